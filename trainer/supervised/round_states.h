// The states that each round of the supervised stage learns from: replayed once and stored, or by every step.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <vector>

#include "trainer/comm/world.h"
#include "trainer/config/config.h"
#include "trainer/model/transformer.h"
#include "trainer/supervised/behaviour.h"
#include "trainer/supervised/rounds.h"
#include "trainer/supervised/state_source.h"
#include "trainer/traces/recorded_trace.h"
#include "trainer/training/training_session.h"

namespace foresight {

/// What a round replays and stores, by trace.
struct CachedRound {
  std::vector<CacheSize> sizes;
  std::vector<std::vector<std::int64_t>> evictions;
};

/// Whether this config's features are cached, and then which evictions of traces of these lengths, for each
/// round (supervised.features, supervised.features_gib); nothing where they are streamed. With
/// supervised.states: both, golden and own states have such a cache each. Throws Error(kConfig) where a cache
/// is asked for and its limit is too small.
std::optional<std::vector<CachedRound>> cached_rounds_of(const Config& config, const ModelShape& shape,
                                                         const std::vector<std::int64_t>& lengths);

/// Opens the states of rounds.
class RoundStates {
 public:
  /// All must outlive it. Throws as cached_rounds_of().
  RoundStates(const Config& config, const Transformer& model, const std::vector<RecordedTrace>& traces,
              World& world);

  /// Those of the golden plan. A collective, like of_round(): what is to be stored is replayed now, dealt out
  /// to ranks. Throws as CachedStates.
  std::unique_ptr<StateSource> golden() const;
  /// Those of a round. Stored ones of the scorer's own are those of the scorer that began the round, which
  /// the session keeps; streamed ones are those of the scorer as it is at each step. With
  /// supervised.states: both, golden ones of the same evictions follow them.
  std::unique_ptr<StateSource> of_round(const Round& round, TrainingSession& session) const;

 private:
  std::unique_ptr<StateSource> under(const Behaviour& behaviour, std::int64_t round,
                                     const std::filesystem::path& folder) const;
  std::unique_ptr<StateSource> own_of(const Round& round, TrainingSession& session) const;

  const Config* config_;
  const Transformer* model_;
  const std::vector<RecordedTrace>* traces_;
  World* world_;
  std::vector<std::int64_t> lengths_;               ///< of the traces
  std::optional<std::vector<CachedRound>> cached_;  ///< by round; none: streamed
};

}  // namespace foresight
