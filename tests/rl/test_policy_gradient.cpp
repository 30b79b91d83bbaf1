// The gradient of one pass and of the replay against stored features and autograd over whole traces.
#include <torch/types.h>
#include <torch/utils.h>

#include <map>

#include "rl/eligibility_traces.h"
#include "rl/policy_terms.h"
#include "tests/comm/world_of_threads.h"
#include "tests/rl/rollout_fixture.h"
#include "tests/scorer/gradients.h"
#include "trainer/base/error.h"
// after torch: c10 defines CHECK too
#include "tests/catch.h"

using namespace foresight;  // NOLINT(google-build-using-namespace): a test of this namespace

namespace {

PolicyOptions policy_of(const GrpoConfig& config) {
  return {config.temperature, config.shortlist_windows, config.likelihood};
}

CreditOptions credit_of(const GrpoConfig& config) {
  return {.reward = config.reward,
          .tokens = config.reward_tokens,
          .credit = config.credit,
          .discount = config.credit_discount,
          .scale = config.advantage};
}

/// The objective's gradient in the weights of `scorer`, as its formula stands: the features of every action
/// of whole groups are stored, and autograd goes over them layer by layer.
torch::Tensor gradient_from_stored_features(const RolloutFixture& fixture, const GrpoStep& step,
                                            const Scorer& behaviour, const Scorer& scorer) {
  const GrpoConfig& config = fixture.config.grpo;
  const CacheSize& size = fixture.config.eviction;
  for (const RecordedTrace* trace : step.traces) {
    const RolloutBatch batch{{trace}, {.traces = 1, .copies = config.group_size}, 0, 5, step.step};
    std::map<std::int64_t, std::vector<PolicyChoice>> choices;  // by layer, one a step
    const EvictedPass pass =
        run_rollouts(fixture.model, batch, size,
                     policy_selector(behaviour, policy_of(config), sampled_draws(batch),
                                     [&](const EvictionView& view, const PolicyChoice& choice) {
                                       choices[view.layer].push_back(choice);
                                     }),
                     config.reward == RewardShape::kExpectedRise);
    const torch::Tensor advantages =  // [S, R, 1]
        group_credit(pass.losses, pass.divergence, *trace, credit_of(config), size, step.step)
            .advantages.unsqueeze(-1);
    for (std::int64_t layer = 0; layer < scorer.layers(); ++layer) {
      std::vector<torch::Tensor> now, before, start;
      for (const PolicyChoice& choice : choices[layer]) {
        const auto likelihood = [&](const Scorer& of) {
          return choice_log_likelihood(choice_logits(of, layer, choice, policy_of(config)), choice.draws,
                                       config.likelihood);
        };
        now.push_back(likelihood(scorer));
        before.push_back(likelihood(behaviour));
        start.push_back(likelihood(fixture.reference));
      }
      const torch::Tensor current = torch::stack(now);  // [S, R, K] or [S, R, K, W]
      const torch::Tensor weights = current.dim() == 4 ? advantages.unsqueeze(-1) : advantages;
      const torch::Tensor loss =
          clipped_policy_loss(current, torch::stack(before), weights, config.clip_range).mean() +
          step.kl_weight * kl_k3(current, torch::stack(start)).mean();
      (loss / static_cast<double>(scorer.layers() * static_cast<std::int64_t>(step.traces.size())))
          .backward();
    }
  }
  return take_gradient(scorer);
}

torch::Tensor replayed(const GrpoStep& step, const Scorer& behaviour, const Scorer& scorer) {
  const DrawnRollouts rollouts = roll_out(step, behaviour, alone());
  replayed_gradient(step, rollouts, behaviour, scorer, alone());
  return take_gradient(scorer);
}

}  // namespace

TEST_CASE("policy gradient: one pass, replay and stored features agree", "[rl]") {
  // Each length with each discount; likelihoods and passes in turn: all 48 take minutes under a sanitizer.
  const auto [length, likelihood, rollouts_per_pass] =
      GENERATE(table<int, Likelihood, int>({{61, Likelihood::kPlackettLuce, 3},
                                            {57, Likelihood::kIndependent, 6},
                                            {56, Likelihood::kPlackettLuce, 6},
                                            {49, Likelihood::kIndependent, 3}}));
  RolloutFixture fixture(length);
  GrpoConfig& config = fixture.config.grpo;
  config.likelihood = likelihood;
  config.credit_discount = GENERATE(0.0, 0.5, 1.0);
  config.rollouts_per_pass = rollouts_per_pass;
  const GrpoStep step = fixture.step({&fixture.a, &fixture.b});
  REQUIRE(one_pass_applies(config));
  const torch::Tensor expected =
      gradient_from_stored_features(fixture, step, fixture.scorer.clone(), fixture.scorer);
  REQUIRE(expected.norm().item<double>() > 1e-3);

  RolloutFigures figures;
  UpdateFigures update;
  one_pass_gradient(step, fixture.scorer, figures, update, alone());
  CHECK(relative_difference(take_gradient(fixture.scorer), expected) < 1e-5);
  CHECK(relative_difference(replayed(step, fixture.scorer.clone(), fixture.scorer), expected) < 1e-5);
  CHECK(update.kl > 0);
  CHECK(update.loss == Approx(0.3 * update.kl));
  CHECK(figures.tokens == 6 * fixture.a.length());
}

TEST_CASE("policy gradient: protected entries are never sampled, and the gradient is that of the rest",
          "[rl]") {
  RolloutFixture fixture;
  GrpoConfig& config = fixture.config.grpo;
  config.likelihood = GENERATE(Likelihood::kPlackettLuce, Likelihood::kIndependent);
  config.rollouts_per_pass = 6;
  // Of the 16 candidates 2 are protected in one trace and 7 in the other: fewer are open than the shortlist
  // holds.
  fixture.config.eviction.protect_sinks = 2;
  fixture.config.eviction.protect_prompt = true;
  fixture.b.completion.narrow(0, 0, 7).fill_(false);
  const GrpoStep step = fixture.step({&fixture.a, &fixture.b});
  const RolloutBatch batch{step.traces, {.traces = 2, .copies = 3}, 0, 5, step.step};
  const EvictionSelector draw = policy_selector(fixture.scorer, policy_of(config), sampled_draws(batch), {});
  run_rollouts(
      fixture.model, batch, fixture.config.eviction,
      [&](const EvictionView& view) {
        const torch::Tensor evicted = draw(view), positions = view.positions.gather(2, evicted);
        for (std::int64_t row = 0; row < 6; ++row)
          CHECK(positions[row].min().item<std::int64_t>() >= (batch.rows.trace_of(row) == 0 ? 2 : 7));
        return evicted;
      },
      false);
  const torch::Tensor expected =
      gradient_from_stored_features(fixture, step, fixture.scorer.clone(), fixture.scorer);
  REQUIRE(expected.norm().item<double>() > 1e-3);
  REQUIRE(torch::isfinite(expected).all().item<bool>());
  RolloutFigures figures;
  UpdateFigures update;
  one_pass_gradient(step, fixture.scorer, figures, update, alone());
  CHECK(relative_difference(take_gradient(fixture.scorer), expected) < 1e-5);
  CHECK(relative_difference(replayed(step, fixture.scorer.clone(), fixture.scorer), expected) < 1e-5);
}

TEST_CASE("policy gradient: traces of two lengths and rewards of divergences", "[rl]") {
  RolloutFixture fixture;
  fixture.config.grpo.reward = GENERATE(RewardShape::kExpectedRise, RewardShape::kMeanRise);
  fixture.config.grpo.reward_tokens = RewardTokens::kAll;
  const GrpoStep step = fixture.step({&fixture.a, &fixture.short_one}, 0.0);
  const torch::Tensor expected =
      gradient_from_stored_features(fixture, step, fixture.scorer.clone(), fixture.scorer);
  RolloutFigures figures;
  UpdateFigures update;
  one_pass_gradient(step, fixture.scorer, figures, update, alone());
  CHECK(relative_difference(take_gradient(fixture.scorer), expected) < 1e-5);
  CHECK(relative_difference(replayed(step, fixture.scorer.clone(), fixture.scorer), expected) < 1e-5);
}

TEST_CASE("policy gradient: a replay gives that of every option, and of a second update", "[rl]") {
  RolloutFixture fixture;
  GrpoConfig& config = fixture.config.grpo;
  config.credit = GENERATE(Credit::kStep, Credit::kTrace);
  config.advantage = GENERATE(AdvantageScale::kStep, AdvantageScale::kTrace);
  const auto [likelihood, rollouts_per_pass] =  // a group in two passes, and both groups in one
      GENERATE(table<Likelihood, int>({{Likelihood::kPlackettLuce, 2}, {Likelihood::kIndependent, 8}}));
  config.likelihood = likelihood;
  config.rollouts_per_pass = rollouts_per_pass;
  config.updates_per_batch = 2;
  CHECK_FALSE(one_pass_applies(config));
  const GrpoStep step = fixture.step({&fixture.a, &fixture.b});
  const Scorer behaviour = fixture.scorer.clone();
  Scorer moved = fixture.scorer.clone();  // as after a first update: the ratios are no longer 1
  {
    const torch::NoGradGuard no_grad;
    torch::manual_seed(9);
    for (torch::Tensor parameter : moved.parameters()) parameter.add_(torch::randn_like(parameter), 0.02);
  }
  for (const Scorer* scorer : std::vector<const Scorer*>{&behaviour, &moved}) {
    const Scorer learner = scorer->clone();
    const torch::Tensor expected = gradient_from_stored_features(fixture, step, behaviour, learner);
    CHECK(relative_difference(replayed(step, behaviour, learner), expected) < 1e-5);
  }
}

TEST_CASE("policy gradient: the gradients of one choice are autograd's, row by row", "[rl]") {
  const RolloutFixture fixture;
  torch::manual_seed(3);
  const std::int64_t rows = 3, heads = 2, entries = 16;
  const std::int64_t inputs = fixture.scorer.parameters()[0].size(1);
  Scorer scorer = fixture.scorer.clone();
  scorer.set_normalisation(1, torch::randn({heads, inputs}), torch::rand({heads, inputs}) + 0.5);
  PolicyChoice choice{
      .features = torch::randn({rows, heads, entries, inputs}), .logits = {}, .draws = {}, .closed = {}};
  const PolicyOptions options{.temperature = 0.7,
                              .likelihood = GENERATE(Likelihood::kPlackettLuce, Likelihood::kIndependent)};
  choice.logits = choice_logits(scorer, 1, choice, options).detach();
  choice.draws = std::get<1>(torch::rand({rows, heads, entries}).sort(-1)).narrow(-1, 0, 5).contiguous();
  const ChoiceGradients found = choice_gradients(scorer, fixture.reference, 1, choice, options);
  for (std::int64_t row = 0; row < rows; ++row) {
    for (const bool divergence : {false, true}) {
      const PolicyChoice own{choice.features.narrow(0, row, 1),
                             choice.logits.narrow(0, row, 1),
                             choice.draws.narrow(0, row, 1),
                             {}};
      const auto likelihood = [&](const Scorer& of) {
        return choice_log_likelihood(choice_logits(of, 1, own, options), own.draws, options.likelihood);
      };
      torch::Tensor value = likelihood(scorer);
      if (divergence) value = kl_k3(value, likelihood(fixture.reference));
      (value.dim() == 3 ? value.mean(-1) : value).sum().backward();
      std::vector<torch::Tensor> expected;
      for (std::size_t i = 4; i < 8; ++i) {  // the weights of layer 1
        torch::Tensor parameter = scorer.parameters()[i];
        expected.push_back(parameter.grad().flatten());
        parameter.mutable_grad().reset();
      }
      const torch::Tensor row_gradient = (divergence ? found.divergence : found.likelihood)[row];
      CHECK(relative_difference(row_gradient, torch::cat(expected)) < 1e-5);
    }
  }
}

TEST_CASE("advantages: an ulp between equal rewards stays nothing", "[rl]") {
  const float next = std::nextafter(1.0F, 2.0F);
  const torch::Tensor credits = torch::tensor({1.0F, next, 1.0F, 1.0F}).unsqueeze(1);
  for (const AdvantageScale scale : {AdvantageScale::kTrace, AdvantageScale::kStep})
    CHECK(group_advantages(credits, scale).abs().max().item<double>() < 1e-2);
  CHECK(credit_deviation(credits) == kLeastDeviationNats);
}

TEST_CASE("advantages: one deviation a trace keeps what a step's own would blow up", "[rl]") {
  // Step 0 differs by tenths of a nat, step 1 by thousandths: deviations 0.1 and 0.001 about the means.
  const torch::Tensor credits = torch::tensor({{0.1F, 0.001F}, {-0.1F, -0.001F}});
  const torch::Tensor by_step = group_advantages(credits, AdvantageScale::kStep);
  CHECK(torch::allclose(by_step, torch::tensor({{1.0F, 1.0F}, {-1.0F, -1.0F}}), 1e-4));
  const double deviation = std::sqrt((0.01 + 0.000001) / 2);
  CHECK(credit_deviation(credits) == Approx(deviation));
  CHECK(torch::allclose(group_advantages(credits, AdvantageScale::kTrace), credits / deviation, 1e-5));
}

TEST_CASE("policy gradient: one, two and four ranks leave the same bytes, in one pass and by replay",
          "[rl]") {
  RolloutFixture fixture;
  GrpoConfig& config = fixture.config.grpo;
  config.rollouts_per_pass = GENERATE(2, 3);  // a group in two passes is replayed; three units else
  const GrpoStep step = fixture.step({&fixture.a, &fixture.b, &fixture.short_one});
  const auto gradient = [&](World& world) {
    const Scorer learner = fixture.scorer.clone();
    if (one_pass_applies(config)) {
      RolloutFigures figures;
      UpdateFigures update;
      one_pass_gradient(step, learner, figures, update, world);
      REQUIRE(figures.tokens == 3 * (61 + 61 + 41));
    } else {
      replayed_gradient(step, roll_out(step, fixture.scorer, world), fixture.scorer, learner, world);
    }
    return take_gradient(learner);
  };
  const torch::Tensor expected = gradient(alone());
  for (const int size : {2, 4})
    run_ranks(size, [&](World& world) { return torch::equal(gradient(world), expected); });
}
