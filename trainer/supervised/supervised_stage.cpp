#include "trainer/supervised/supervised_stage.h"

#include <chrono>
#include <numeric>
#include <optional>

#include "trainer/base/error.h"
#include "trainer/base/text.h"
#include "trainer/evaluation/validation.h"
#include "trainer/model/tensor_io.h"
#include "trainer/supervised/feature_store.h"
#include "trainer/supervised/ranking_loss.h"
#include "trainer/training/schedule.h"
#include "trainer/training/training_session.h"
#include "trainer/training/unit_gradients.h"

namespace foresight {
namespace {

/// One eviction of one trace.
struct Sample {
  std::int64_t trace, step;
};

/// The evictions that training step `step` learns from, by trace: traces in shuffled order, evictions drawn
/// without replacement.
std::vector<std::vector<Sample>> samples_of_step(const SupervisedConfig& config, std::int64_t step,
                                                 const FeatureStore& store, std::uint64_t seed) {
  std::vector<std::vector<Sample>> samples;
  const auto traces =
      items_of_step(step, config.traces_per_step, store.traces(), seed, "supervised trace order");
  for (std::size_t slot = 0; slot < traces.size(); ++slot) {
    const std::int64_t steps = store.steps(traces[slot]);
    const std::int64_t wanted =
        config.evictions_per_trace == 0 ? steps : std::min(steps, config.evictions_per_trace);
    std::vector<std::int64_t> order(static_cast<std::size_t>(steps));
    std::iota(order.begin(), order.end(), 0);
    samples.emplace_back();
    RandomStream random(seed, "supervised evictions", {step, static_cast<std::int64_t>(slot)});
    for (std::int64_t i = 0; i < wanted; ++i) {
      std::swap(order[static_cast<std::size_t>(i)],
                order[static_cast<std::size_t>(i + random.below(steps - i))]);
      samples.back().push_back({traces[slot], order[static_cast<std::size_t>(i)]});
    }
  }
  return samples;
}

std::size_t evictions_of(const std::vector<std::vector<Sample>>& samples) {
  std::size_t evictions = 0;
  for (const auto& unit : samples) evictions += unit.size();
  return evictions;
}

/// A score this large is on its way to overflow, and no ranking needs it.
constexpr double kLargestScore = 1e18;

/// The first of the `samples` with a score that is not finite or too large; `scores` is [samples K, B].
std::optional<std::size_t> first_wild_sample(const torch::Tensor& scores, std::size_t samples) {
  const torch::Tensor tame = (scores.detach().abs() < kLargestScore).all(1);  // NaN compares false
  if (tame.all().item<bool>()) return std::nullopt;
  const std::int64_t row = tame.logical_not().nonzero()[0].item<std::int64_t>();
  return static_cast<std::size_t>(row / (scores.size(0) / static_cast<std::int64_t>(samples)));
}

struct LossAndOverlap {
  double loss = 0, overlap = 0;
};

/// Mean ranking loss over layers of these samples times `weight`, its gradients left in the scorer's weights;
/// and the share of the golden choice that the scorer's top W hits, times `weight`. Layers are independent,
/// so one is differentiated at a time. Throws Error(kNumeric) naming layer, step and trace for scores that
/// overflow.
LossAndOverlap accumulate_gradients(const Scorer& scorer, const FeatureStore& store,
                                    const std::vector<RecordedTrace>& traces,
                                    const std::vector<Sample>& samples, const SupervisedConfig& config,
                                    std::int64_t window, std::int64_t step, double weight) {
  LossAndOverlap result;
  const double layer_weight = weight / static_cast<double>(scorer.layers());
  for (std::int64_t layer = 0; layer < scorer.layers(); ++layer) {
    std::vector<torch::Tensor> features, oracle;
    for (const Sample& sample : samples) {
      features.push_back(store.features(sample.trace, layer, sample.step));
      oracle.push_back(store.oracle(sample.trace, layer, sample.step));
    }
    const torch::Tensor scores =
        scorer.score(layer, torch::stack(features).to(torch::kFloat32)).flatten(0, 1);  // [n K, B]
    if (const auto sample = first_wild_sample(scores, samples.size())) {
      throw Error(
          ErrorKind::kNumeric,
          concat("supervised: a score of layer ", layer, " is not finite, or beyond ", kLargestScore,
                 ", at step ", step + 1, " (trace ",
                 traces[static_cast<std::size_t>(samples[*sample].trace)].id, ", eviction ",
                 samples[*sample].step, "); the last checkpoint is kept: lower supervised.learning_rate"));
    }
    const torch::Tensor target = to_device(torch::stack(oracle).flatten(0, 1), scorer.device());
    const torch::Tensor loss =
        pairwise_ranking_loss(scores, target, config.margin, config.pair_weight) * layer_weight;
    loss.backward();
    result.loss += loss.item<double>();
    result.overlap += top_overlap(scores.detach(), target, window).mean().item<double>() * layer_weight;
  }
  return result;
}

/// The gradients of a step's samples in the scorer's weights, and their mean loss and overlap: a trace is a
/// unit, and units are dealt to ranks.
LossAndOverlap gradients_of_step(const Scorer& scorer, const FeatureStore& store,
                                 const std::vector<RecordedTrace>& traces,
                                 const std::vector<std::vector<Sample>>& samples, const Config& config,
                                 std::int64_t step, World& world) {
  std::vector<std::int64_t> costs;
  for (const auto& unit : samples) costs.push_back(static_cast<std::int64_t>(unit.size()));
  const std::vector<int> rank_of = deal(costs, world.size());
  UnitGradients gradients(world, scorer.parameters(), rank_of, sum_order(config));
  std::vector<std::string> own;
  for (std::size_t u = 0; u < samples.size(); ++u) {
    if (rank_of[u] != world.rank()) continue;
    const double weight = static_cast<double>(costs[u]) / static_cast<double>(evictions_of(samples));
    const LossAndOverlap found = accumulate_gradients(scorer, store, traces, samples[u], config.supervised,
                                                      config.eviction.window, step, weight);
    gradients.add_unit(concat("supervised: step ", step + 1, ", trace ",
                              traces[static_cast<std::size_t>(samples[u].front().trace)].id));
    own.push_back(pack_tensors({torch::tensor({found.loss, found.overlap}, torch::kFloat64)}));
    world.tick();
  }
  gradients.set_summed_gradients();
  LossAndOverlap result;
  for (const std::string& unit : share_units(world, rank_of, own, "losses of a step")) {
    const torch::Tensor found = unpack_tensors(unit).front();
    result.loss += found[0].item<double>();
    result.overlap += found[1].item<double>();
  }
  return result;
}

void remove_features(const std::filesystem::path& folder) {
  std::error_code error;
  std::filesystem::remove_all(folder, error);
  if (!error) return;
  throw Error(ErrorKind::kResource, concat("cannot remove ", folder.string(), ": ", error.message(),
                                           "; check the disk and run again"));
}

}  // namespace

void run_supervised(const Config& config, const Transformer& model, const Tokenizer& tokenizer,
                    World& world) {
  const SupervisedConfig& stage = config.supervised;
  const CacheSize size{config.eviction.budget, config.eviction.window};
  const auto seed = static_cast<std::uint64_t>(config.runtime.seed);
  const RunFolder run{config.output};
  const std::filesystem::path feature_folder = run.features();
  const ScorerFacts facts = scorer_facts(config, model.fingerprint(), model.dtype_name());
  const auto traces = load_recorded_traces(run.oracle(), "train", config.data.max_train_traces,
                                           model.fingerprint(), tokenizer.fingerprint());
  const Validation validation(config, model, tokenizer, world);
  TrainingInputs inputs = training_inputs({.model = model.fingerprint(),
                                           .tokenizer = tokenizer.fingerprint(),
                                           .training_traces = traces_fingerprint(traces),
                                           .validation_traces = validation.fingerprint()});
  std::optional<Scorer> given;
  if (!config.scorer.initial.empty()) {
    given = Scorer::load(config.scorer.initial, model.shape());
    inputs["initial scorer"] = given->fingerprint();
  }
  TrainingStart start(config, Stage::kSupervised, std::move(inputs), world);
  if (start.finished_before()) {
    if (!stage.keep_features && world.leads()) remove_features(feature_folder);
    return start.log_best();
  }
  const FeatureStore store(feature_folder, model, traces, size, facts.features, world);

  Scorer initial =
      given ? *given : Scorer::random(model.shape(), facts, RandomStream(seed, "scorer weights"));
  if (!given && facts.features == ScorerFeatures::kNormalized) {
    constexpr std::int64_t kTracesForNormalisation = 4;
    fit_normalisation(initial, store, kTracesForNormalisation);
  } else if (initial.facts().features != facts.features) {
    throw Error(ErrorKind::kConfig, concat("scorer.initial ", config.scorer.initial,
                                           " was trained on other features than scorer.features asks for"));
  }
  initial.facts() = facts;
  TrainingSession session(std::move(start), initial.to(model.options().device));

  while (!session.finished()) {
    const auto started = std::chrono::steady_clock::now();
    const std::vector<std::vector<Sample>> samples = samples_of_step(stage, session.step(), store, seed);
    const LossAndOverlap result =
        gradients_of_step(session.scorer(), store, traces, samples, config, session.step(), world);
    const double learning_rate = stage.learning_rate * schedule_factor(Schedule::kCosine, session.step(),
                                                                       stage.steps, stage.warmup_steps);
    const double gradient_norm = session.update(learning_rate, stage.gradient_clip);

    nlohmann::ordered_json metrics = {
        {"step", session.step()},           {"loss", result.loss},
        {"grad_norm", gradient_norm},       {"learning_rate", learning_rate},
        {"oracle_overlap", result.overlap}, {"evictions", evictions_of(samples)}};
    std::optional<double> rise;
    if (session.evaluation_due()) {
      if (const auto measured = validation.measure(session.scorer(), metrics)) rise = measured->loss_rise;
    }
    metrics["step_time"] = std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
    session.end_step(metrics, {"loss", "oracle_overlap", "grad_norm", "eval_loss_rise"}, rise);
  }
  if (!stage.keep_features && world.leads()) remove_features(feature_folder);
  world.barrier("supervised ends");
  session.log_best();
}

}  // namespace foresight
