// The replayed features of every training trace: computed once, read by memory map in every epoch.
#pragma once

#include <torch/types.h>

#include <filesystem>
#include <string>
#include <vector>

#include "data/safetensors.h"
#include "golden_eviction/recorded_trace.h"
#include "trainer/comm/world.h"
#include "trainer/scorer/scorer.h"

namespace foresight {

/// Traces of one length that are replayed together: enough rows for full matrix products. Which traces these
/// are must not depend on what is done already: matrix products of other sizes may round differently.
inline constexpr std::size_t kTracesPerReplay = 4;

/// Replays golden plans and writes one safetensors file a trace: `features` [layers, S, K, B, F] float16 and
/// `oracle` [layers, S, K, B] float32, o = -C (high = evict). A file that is there already, for the same
/// model, trace and cache, is kept. The operating system's page cache holds what fits in memory; the rest is
/// read again from disk.
class FeatureStore {
 public:
  /// Computes what is missing in `folder`, dealt out to ranks. Throws Error(kInterrupted) on all of them
  /// after a stop signal (finished files are kept).
  FeatureStore(const std::filesystem::path& folder, const Transformer& model,
               const std::vector<RecordedTrace>& traces, const CacheSize& size, ScorerFeatures kind,
               World& world);

  std::int64_t traces() const { return static_cast<std::int64_t>(files_.size()); }
  std::int64_t steps(std::int64_t trace) const;
  /// [K, B, F] float16 of one layer and step, not copied.
  torch::Tensor features(std::int64_t trace, std::int64_t layer, std::int64_t step) const;
  /// [S, K, B, F] float16 of one layer, not copied.
  torch::Tensor features(std::int64_t trace, std::int64_t layer) const;
  /// [K, B] float32.
  torch::Tensor oracle(std::int64_t trace, std::int64_t layer, std::int64_t step) const;

 private:
  torch::Tensor tensor(std::int64_t trace, const std::string& name) const;
  std::vector<SafetensorsFile> files_;
};

/// Sets the scorer's per-feature mean and deviation from the first `traces` traces.
void fit_normalisation(Scorer& scorer, const FeatureStore& store, std::int64_t traces);

}  // namespace foresight
