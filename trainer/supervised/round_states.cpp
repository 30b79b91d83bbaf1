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

/// The states of a trace that one source knows, then those of the same evictions that another does.
class BothStates : public StateSource {
 public:
  BothStates(std::unique_ptr<StateSource> first, std::unique_ptr<StateSource> second)
      : first_(std::move(first)), second_(std::move(second)) {
    if (first_->evictions() != second_->evictions())
      throw Error(ErrorKind::kInternal, "supervised: two sources of states with different evictions");
  }
  const std::vector<std::vector<std::int64_t>>& evictions() const override { return first_->evictions(); }
  void visit(std::int64_t trace, const std::vector<std::int64_t>& evictions,
             const RankedStatesConsumer& consume) const override {
    first_->visit(trace, evictions, consume);
    second_->visit(trace, evictions, consume);
  }

 private:
  std::unique_ptr<StateSource> first_, second_;
};

}  // namespace

std::optional<std::vector<CachedRound>> cached_rounds_of(const Config& config, const ModelShape& shape,
                                                         const std::vector<std::int64_t>& lengths) {
  const SupervisedConfig& stage = config.supervised;
  if (stage.features == FeatureSource::kStream) return std::nullopt;
  constexpr double kGib = 1024.0 * 1024.0 * 1024.0;
  const std::int64_t least = stage.evictions_per_trace == 0 ? std::numeric_limits<std::int64_t>::max()
                                                            : kLeastDraws * stage.evictions_per_trace;
  const double limit_gib = stage.features_gib / (stage.states == TrainingStates::kBoth ? 2 : 1);
  std::vector<CachedRound> rounds;
  for (std::int64_t round = 0; round <= round_of_step(stage, stage.steps - 1).index; ++round) {
    CachedRound own{.sizes = sizes_of_round(config, lengths, round), .evictions = {}};
    auto cached = cached_evictions(lengths, shape, config.scorer.features, own.sizes, limit_gib * kGib, least,
                                   static_cast<std::uint64_t>(config.runtime.seed));
    if (!cached && stage.features == FeatureSource::kCache) {
      throw Error(ErrorKind::kConfig,
                  concat("supervised.features_gib: ", stage.features_gib, " GiB do not hold ", kLeastDraws,
                         " times the evictions that a step samples from each of ", lengths.size(), " traces",
                         stage.states == TrainingStates::kBoth ? ", on golden and on own states" : "",
                         ": raise it, lower data.max_train_traces, or set supervised.features=stream"));
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

std::unique_ptr<StateSource> RoundStates::under(const Behaviour& behaviour, std::int64_t round,
                                                const std::filesystem::path& folder) const {
  if (cached_) {
    const CachedRound& own = cached_->at(static_cast<std::size_t>(round));
    return std::make_unique<CachedStates>(folder, *model_, *traces_, own.sizes, config_->scorer.features,
                                          behaviour, own.evictions, *world_);
  }
  return std::make_unique<StreamedStates>(*model_, *traces_, sizes_of_round(*config_, lengths_, round),
                                          config_->scorer.features, behaviour,
                                          [world = world_](std::int64_t /*tokens*/) { world->tick(); });
}

std::unique_ptr<StateSource> RoundStates::golden() const {
  return under(golden_behaviour(), 0, RunFolder{config_->output}.features());
}

std::unique_ptr<StateSource> RoundStates::own_of(const Round& round, TrainingSession& session) const {
  const RunFolder run{config_->output};
  const auto folder =
      config_->supervised.states == TrainingStates::kBoth ? run.own_features() : run.features();
  if (!cached_) return under(scorer_behaviour(session.scorer()), round.index, folder);
  if (session.step() == round.first_step || !session.behaviour()) session.set_behaviour(session.scorer());
  return under(scorer_behaviour(*session.behaviour()), round.index, folder);
}

std::unique_ptr<StateSource> RoundStates::of_round(const Round& round, TrainingSession& session) const {
  if (!round.on_own_states()) return golden();
  auto own = own_of(round, session);
  if (config_->supervised.states != TrainingStates::kBoth) return own;
  return std::make_unique<BothStates>(
      std::move(own), under(golden_behaviour(), round.index, RunFolder{config_->output}.features()));
}

}  // namespace foresight
