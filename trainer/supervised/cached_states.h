// States that were replayed once and are read by memory map in every epoch, within a limit on their size.
#pragma once

#include <torch/types.h>

#include <filesystem>
#include <optional>
#include <vector>

#include "data/safetensors.h"
#include "trainer/comm/world.h"
#include "trainer/config/cache_size.h"
#include "trainer/config/choices.h"
#include "trainer/model/rope.h"
#include "trainer/model/transformer.h"
#include "trainer/supervised/behaviour.h"
#include "trainer/supervised/state_source.h"
#include "trainer/traces/recorded_trace.h"

namespace foresight {

/// Traces of one length and budget that are replayed together: enough rows for full matrix products. Which
/// traces these are must not depend on what is done already: matrix products of other sizes may round
/// differently.
inline constexpr std::size_t kTracesPerReplay = 4;

/// Which evictions of traces of these lengths, with caches of these `sizes`, a cache of `limit_bytes` holds:
/// of each trace as many, spread over it by `seed`, all where they fit. Nothing where the limit leaves fewer
/// than `least` evictions of some trace that has as many.
std::optional<std::vector<std::vector<std::int64_t>>> cached_evictions(
    const std::vector<std::int64_t>& lengths, const ModelShape& shape, ScorerFeatures features,
    const std::vector<CacheSize>& sizes, double limit_bytes, std::int64_t least, std::uint64_t seed);

/// Bytes of a trace's file that holds `evictions` evictions, the last of which is step `last`.
double cached_bytes(const ModelShape& shape, ScorerFeatures features, const CacheSize& size,
                    std::int64_t evictions, std::int64_t last);

/// One safetensors file a trace: `entries` [layers, K, positions, 2d] float16, key and value of every
/// position once; for each stored eviction the `positions` of its candidates [layers, n, K, B] int32, their
/// `statistics` [layers, n, K, B, S] float16 (S as statistics_of()) and `oracle` [layers, n, K, B] float32. A
/// file that is there already, for the same model, trace, cache, behaviour and evictions, is kept.
class CachedStates : public StateSource {
 public:
  /// `sizes`: of the cache for each trace. Computes what is missing in `folder`, dealt out to ranks; files
  /// are written as the replay goes on, so that memory does not grow with the traces. Throws
  /// Error(kInterrupted) on all ranks after a stop signal (finished files are kept), Error(kResource) for a
  /// full disk.
  CachedStates(const std::filesystem::path& folder, const Transformer& model,
               const std::vector<RecordedTrace>& traces, const std::vector<CacheSize>& sizes,
               ScorerFeatures features, const Behaviour& behaviour,
               std::vector<std::vector<std::int64_t>> evictions, World& world);

  const std::vector<std::vector<std::int64_t>>& evictions() const override { return evictions_; }
  void visit(std::int64_t trace, const std::vector<std::int64_t>& evictions,
             const RankedStatesConsumer& consume) const override;

 private:
  std::vector<std::vector<std::int64_t>> evictions_;
  std::vector<SafetensorsFile> files_;
  std::vector<std::int64_t> protected_;  ///< first candidates that may not go, by trace
  std::vector<CacheSize> sizes_;         ///< by trace
  ScorerFeatures features_;
  KeyRotation rotation_;
};

}  // namespace foresight
