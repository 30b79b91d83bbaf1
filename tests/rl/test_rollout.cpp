#include <torch/types.h>
#include <torch/utils.h>

#include "rl/rollout.h"
#include "tests/rl/rollout_fixture.h"
#include "trainer/base/error.h"
// after torch: c10 defines CHECK too
#include "tests/catch.h"

using namespace foresight;  // NOLINT(google-build-using-namespace): a test of this namespace

namespace {

struct Drawn {
  EvictedPass pass;
  RecordedDraws draws;
};

PolicyOptions options_of(const RolloutFixture& fixture) {
  return {fixture.config.grpo.temperature, 2, Likelihood::kPlackettLuce};
}

RolloutBatch batch_of(std::vector<const RecordedTrace*> traces, std::int64_t copies, std::int64_t step = 2,
                      std::int64_t first_copy = 0) {
  const RowLayout rows{.traces = static_cast<std::int64_t>(traces.size()), .copies = copies};
  return {std::move(traces), rows, first_copy, 5, step};
}

Drawn draw(const RolloutFixture& fixture, const RolloutBatch& batch, bool compared = false) {
  const CacheSize& size = fixture.config.eviction;
  Drawn drawn{.pass = EvictedPass(0, 0, false), .draws = {}};
  const EvictionSelector select =
      policy_selector(fixture.scorer, options_of(fixture),
                      recording_draws(sampled_draws(batch), fixture.scorer.layers(),
                                      size.steps(batch.traces.front()->length()), drawn.draws),
                      {});
  drawn.pass = run_rollouts(fixture.model, batch, size, select, compared);
  return drawn;
}

}  // namespace

TEST_CASE("rollouts: a trace's samples and losses do not depend on other traces", "[rl]") {
  const RolloutFixture fixture;
  const Drawn together = draw(fixture, batch_of({&fixture.a, &fixture.b}, 3));
  const Drawn alone = draw(fixture, batch_of({&fixture.b}, 3));
  REQUIRE(together.pass.losses.size(0) == 6);
  for (std::int64_t copy = 0; copy < 3; ++copy) {
    CHECK(torch::allclose(together.pass.losses[copy * 2 + 1], alone.pass.losses[copy], 1e-4, 1e-5));
    for (std::size_t layer = 0; layer < 2; ++layer) {
      CHECK(torch::equal(together.draws.layers[layer].select(1, copy * 2 + 1),
                         alone.draws.layers[layer].select(1, copy)));
    }
  }
  const Drawn other_step = draw(fixture, batch_of({&fixture.b}, 3, 3));
  CHECK_FALSE(torch::equal(other_step.draws.layers[0], alone.draws.layers[0]));
}

TEST_CASE("rollouts: samples are distinct, from the shortlist, and take two bytes each", "[rl]") {
  const RolloutFixture fixture;
  const Drawn drawn = draw(fixture, batch_of({&fixture.a}, 3));
  REQUIRE(drawn.draws.layers[1].scalar_type() == torch::kInt16);
  const torch::Tensor draws = drawn.draws.layers[1].to(torch::kInt64);  // [S, R, K, W]
  REQUIRE(draws.sizes() == torch::IntArrayRef({fixture.config.eviction.steps(61), 3, 2, 8}));
  CHECK(draws.min().item<std::int64_t>() >= 0);
  CHECK(draws.max().item<std::int64_t>() < 16);
  const torch::Tensor sorted = std::get<0>(draws.sort(-1));
  CHECK((sorted.narrow(-1, 1, 7) > sorted.narrow(-1, 0, 7)).all().item<bool>());
}

TEST_CASE("rollouts: replaying recorded samples gives bit-identical losses", "[rl]") {
  const RolloutFixture fixture(GENERATE(61, 56, 57));
  const RolloutBatch batch = batch_of({&fixture.a, &fixture.b}, 3);
  const Drawn drawn = draw(fixture, batch);
  const EvictedPass again = run_rollouts(
      fixture.model, batch, fixture.config.eviction,
      policy_selector(fixture.scorer, options_of(fixture), replayed_draws(drawn.draws), {}), false);
  CHECK(drawn.pass.losses.abs().max().item<double>() > 1);
  CHECK(torch::equal(again.losses, drawn.pass.losses));
}

TEST_CASE("credit: a trace that ends at its first eviction has no signal and figures of 0", "[rl]") {
  constexpr CacheSize kSmall{32, 16};
  RecordedTrace trace;
  trace.id = "short";
  trace.tokens = torch::zeros({kSmall.budget + kSmall.window + 1}, torch::kInt64);
  trace.loss = torch::ones({trace.length()});
  trace.entropy = torch::ones({trace.length()});
  REQUIRE(kSmall.steps(trace.length()) == 1);
  for (const Credit credit : {Credit::kStep, Credit::kTrace}) {
    const GroupCredit result =
        group_credit(torch::rand({4, trace.length()}), {}, trace, {.credit = credit}, kSmall, /*step=*/0);
    CHECK(result.without_signal);
    CHECK(result.loss_rise == 0.0);
    CHECK(result.low_entropy_loss_rise == 0.0);
    CHECK(result.large_rise_share == 0.0);
    CHECK(result.rewards.abs().max().item<double>() == 0.0);
    CHECK(result.advantages.abs().max().item<double>() == 0.0);
  }
}

TEST_CASE("rollouts: some copies of a group are the same as in the whole group", "[rl]") {
  const RolloutFixture fixture;
  const Drawn whole = draw(fixture, batch_of({&fixture.a, &fixture.b}, 3)),
              last = draw(fixture, batch_of({&fixture.a, &fixture.b}, 2, 2, /*first_copy=*/1));
  REQUIRE(last.pass.losses.size(0) == 4);
  CHECK(torch::allclose(last.pass.losses, whole.pass.losses.narrow(0, 2, 4), 1e-4, 1e-5));
  for (std::size_t layer = 0; layer < 2; ++layer)
    CHECK(torch::equal(last.draws.layers[layer], whole.draws.layers[layer].narrow(1, 2, 4)));
}

TEST_CASE("rollouts: the expected rise is the divergence from full KV, token by token", "[rl]") {
  const RolloutFixture fixture;
  const RolloutBatch batch = batch_of({&fixture.a, &fixture.b}, 3);
  const Drawn plain = draw(fixture, batch), compared = draw(fixture, batch, true);
  CHECK_FALSE(plain.pass.divergence.defined());
  CHECK(torch::allclose(compared.pass.losses, plain.pass.losses, 1e-5, 1e-6));
  const torch::Tensor& divergence = compared.pass.divergence;
  REQUIRE(divergence.sizes() == compared.pass.losses.sizes());
  CHECK(divergence.min().item<double>() > -1e-5);
  CHECK(divergence.max().item<double>() > 1e-4);
  // The reward: minus the mean over the reward's tokens, whatever the losses are.
  const torch::Tensor group = batch.rows.of_trace(divergence, 0),
                      losses = batch.rows.of_trace(compared.pass.losses, 0);
  const CacheSize& size = fixture.config.eviction;
  const CreditOptions options{.reward = RewardShape::kExpectedRise, .tokens = RewardTokens::kAll};
  const GroupCredit credit = group_credit(losses, group, fixture.a, options, size, 6);
  CHECK(torch::allclose(credit.rewards,
                        -group.narrow(1, size.first_scored(), 61 - size.first_scored()).mean(1), 1e-5, 1e-7));
  REQUIRE_THROWS_WITH(group_credit(losses, {}, fixture.a, options, size, 6),
                      Catch::Contains("divergence of the rollouts"));
  torch::Tensor broken = group.clone();
  broken[0][33] = NAN;
  REQUIRE_THROWS_WITH(group_credit(losses, broken, fixture.a, options, size, 6),
                      Catch::Contains("step 7, trace a: the divergence of token 33 in rollout 0"));
}

TEST_CASE("credit: by step or by trace, advantages of a group have mean 0 and no signal is said", "[rl]") {
  const RolloutFixture fixture;
  const CacheSize& size = fixture.config.eviction;
  const torch::Tensor losses = fixture.a.loss.unsqueeze(0).repeat({3, 1});
  CHECK(group_credit(losses, {}, fixture.a, {}, size, 6).without_signal);
  torch::manual_seed(4);
  const torch::Tensor risen = losses + torch::rand({3, 61});
  for (const Credit credit : {Credit::kStep, Credit::kTrace}) {
    for (const AdvantageScale scale : {AdvantageScale::kTrace, AdvantageScale::kStep}) {
      for (const RewardShape shape : {RewardShape::kClampedRise, RewardShape::kMeanRise}) {
        const GroupCredit result =
            group_credit(risen, {}, fixture.a, {.reward = shape, .credit = credit, .scale = scale}, size, 6);
        REQUIRE(result.advantages.sizes() == torch::IntArrayRef({size.steps(61), 3}));
        CHECK(result.advantages.mean(1).abs().max().item<double>() < 1e-5);
        CHECK_FALSE(result.without_signal);
      }
    }
  }
  const CreditOptions large{.reward = RewardShape::kSquaredLargeRise};  // no rise passes 1.5 nats
  CHECK(group_credit(risen, {}, fixture.a, large, size, 6).without_signal);
  const torch::Tensor broken = risen.clone();
  broken[1][40] = std::numeric_limits<float>::infinity();
  REQUIRE_THROWS_WITH(group_credit(broken, {}, fixture.a, {}, size, 6),
                      Catch::Contains("step 7, trace a: the loss of token 40 in rollout 1"));
}
