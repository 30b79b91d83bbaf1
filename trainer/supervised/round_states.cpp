#include "trainer/supervised/round_states.h"

#include <limits>

#include "trainer/base/error.h"
#include "trainer/base/log.h"
#include "trainer/base/text.h"
#include "trainer/config/run_layout.h"
#include "trainer/supervised/cached_states.h"
#include "trainer/supervised/streamed_states.h"

namespace foresight {
namespace {

/// Of each trace a cache holds at least so many times the evictions that a step draws from it, or it is not
/// worth its room: fewer would come again and again.
constexpr std::int64_t kLeastDraws = 8;

}  // namespace

std::optional<std::vector<CachedRound>> cached_rounds_of(const Config& config, const ModelShape& shape,
                                                         const std::vector<std::int64_t>& lengths) {
  const SupervisedConfig& stage = config.supervised;
  if (stage.features == FeatureSource::kStream) return std::nullopt;
  constexpr double kGib = 1024.0 * 1024.0 * 1024.0;
  const std::int64_t least = stage.evictions_per_trace == 0 ? std::numeric_limits<std::int64_t>::max()
                                                            : kLeastDraws * stage.evictions_per_trace;
  std::vector<CachedRound> rounds;
  for (std::int64_t round = 0; round <= round_of_step(stage, stage.steps - 1).index; ++round) {
    CachedRound own{.sizes = sizes_of_round(config, lengths, round), .evictions = {}};
    auto cached =
        cached_evictions(lengths, shape, config.scorer.features, own.sizes, stage.features_gib * kGib, least,
                         static_cast<std::uint64_t>(config.runtime.seed));
    if (!cached && stage.features == FeatureSource::kCache) {
      throw Error(
          ErrorKind::kConfig,
          concat("supervised.features_gib: ", stage.features_gib, " GiB do not hold ", kLeastDraws,
                 " times the evictions that a step samples from each of ", lengths.size(),
                 " traces: raise it, lower data.max_train_traces, or set supervised.features=stream"));
    }
    if (!cached) return std::nullopt;
    own.evictions = std::move(*cached);
    rounds.push_back(std::move(own));
  }
  return rounds;
}

RoundStates::RoundStates(const Config& config, const Transformer& model,
                         const std::vector<RecordedTrace>& traces, World& world)
    : config_(&config), model_(&model), traces_(&traces), world_(&world) {
  for (const RecordedTrace& trace : traces) lengths_.push_back(trace.length());
  cached_ = cached_rounds_of(config, model.shape(), lengths_);
  if (!cached_) log_info("supervised: features are streamed: every step replays its traces");
}

std::unique_ptr<StateSource> RoundStates::under(const Behaviour& behaviour, std::int64_t round) const {
  if (cached_) {
    const CachedRound& own = cached_->at(static_cast<std::size_t>(round));
    return std::make_unique<CachedStates>(RunFolder{config_->output}.features(), *model_, *traces_, own.sizes,
                                          config_->scorer.features, behaviour, own.evictions, *world_);
  }
  return std::make_unique<StreamedStates>(*model_, *traces_, sizes_of_round(*config_, lengths_, round),
                                          config_->scorer.features, behaviour,
                                          [world = world_](std::int64_t /*tokens*/) { world->tick(); });
}

std::unique_ptr<StateSource> RoundStates::golden() const {
  return under(golden_behaviour(), 0);
}

std::unique_ptr<StateSource> RoundStates::of_round(const Round& round, TrainingSession& session) const {
  if (!round.on_own_states()) return golden();
  if (!cached_) return under(scorer_behaviour(session.scorer()), round.index);
  if (session.step() == round.first_step || !session.behaviour()) session.set_behaviour(session.scorer());
  return under(scorer_behaviour(*session.behaviour()), round.index);
}

}  // namespace foresight
