#include <torch/types.h>
#include <torch/utils.h>

#include "rl/credit.h"
#include "rl/policy_terms.h"
#include "rl/rollout.h"
#include "tests/reference/paths.h"
#include "trainer/base/error.h"
#include "trainer/eviction/evicted_pass.h"
// after torch: c10 defines CHECK too
#include "tests/catch.h"

using namespace foresight;  // NOLINT(google-build-using-namespace): a test of this namespace

namespace {

const CacheSize kSize{16, 8};

RecordedTrace recorded(const Transformer& model, const std::string& id, std::uint64_t seed) {
  torch::manual_seed(seed);
  RecordedTrace trace;
  trace.id = id;
  trace.tokens = torch::randint(0, 97, {61}, torch::kInt64);
  const FullPass pass = full_pass(model, trace.tokens, 16);
  trace.loss = pass.loss;
  trace.entropy = pass.entropy;
  trace.completion = torch::ones({61}, torch::kBool);
  return trace;
}

struct Fixture {
  Transformer model = Transformer::load(reference_folder() / "llama/tiny", {});
  RecordedTrace a = recorded(model, "a", 1), b = recorded(model, "b", 2);
  Scorer scorer = Scorer::random(model.shape(), {}, RandomStream(3, "test"));
  GrpoConfig config = [] {
    GrpoConfig grpo;
    grpo.group_size = 3;
    grpo.temperature = 0.5;
    return grpo;
  }();
};

}  // namespace

TEST_CASE("rollouts: a trace's draws and losses do not depend on the traces beside it", "[rl]") {
  const Fixture fixture;
  const Rollouts together =
      run_rollouts(fixture.model, {&fixture.a, &fixture.b}, fixture.scorer, fixture.config, kSize, 5, 2);
  const Rollouts alone =
      run_rollouts(fixture.model, {&fixture.b}, fixture.scorer, fixture.config, kSize, 5, 2);
  REQUIRE(together.losses.size(0) == 6);
  for (std::int64_t copy = 0; copy < 3; ++copy) {
    CHECK(torch::allclose(together.losses[copy * 2 + 1], alone.losses[copy], 1e-4, 1e-5));
    for (std::size_t layer = 0; layer < 2; ++layer) {
      CHECK(torch::equal(together.layers[layer].draws.select(1, copy * 2 + 1),
                         alone.layers[layer].draws.select(1, copy)));
    }
  }
  const Rollouts other_step =
      run_rollouts(fixture.model, {&fixture.b}, fixture.scorer, fixture.config, kSize, 5, 3);
  CHECK_FALSE(torch::equal(other_step.layers[0].draws, alone.layers[0].draws));
}

TEST_CASE("rollouts: draws are distinct and stay in the shortlist", "[rl]") {
  const Fixture fixture;
  const Rollouts rollouts =
      run_rollouts(fixture.model, {&fixture.a}, fixture.scorer, fixture.config, kSize, 5, 0);
  const torch::Tensor& draws = rollouts.layers[1].draws;  // [S, R, K, W]
  REQUIRE(draws.sizes() == torch::IntArrayRef({kSize.steps(61), 3, 2, 8}));
  CHECK(draws.min().item<std::int64_t>() >= 0);
  CHECK(draws.max().item<std::int64_t>() < 16);
  const torch::Tensor sorted = std::get<0>(draws.sort(-1));
  CHECK((sorted.narrow(-1, 1, 7) > sorted.narrow(-1, 0, 7)).all().item<bool>());
}

TEST_CASE("rollouts: the gradient of a layer's likelihood agrees with finite differences", "[rl]") {
  Fixture fixture;
  fixture.config.likelihood = GENERATE(Likelihood::kPlackettLuce, Likelihood::kIndependent);
  const Rollouts rollouts =
      run_rollouts(fixture.model, {&fixture.a}, fixture.scorer, fixture.config, kSize, 5, 0);
  const auto value = [&] {
    return draw_log_likelihood(fixture.scorer, 1, rollouts.layers[1], fixture.config).mean();
  };
  value().backward();
  const torch::Tensor weight = fixture.scorer.parameters()[6];  // second linear map of layer 1
  const torch::Tensor gradient = weight.grad().clone();
  REQUIRE(gradient.abs().max().item<double>() > 0);
  const torch::NoGradGuard no_grad;
  for (const std::int64_t index : {0, 7, 31}) {
    const torch::Tensor entry = weight.view(-1)[index];
    const double middle = entry.item<double>(), step = 1e-2;
    entry.fill_(middle + step);
    const double up = value().item<double>();
    entry.fill_(middle - step);
    const double down = value().item<double>();
    entry.fill_(middle);
    // float32 differences of a smooth function: the step's square and the rounding are both below this.
    CHECK(gradient.view(-1)[index].item<double>() == Approx((up - down) / (2 * step)).margin(2e-3));
  }
}

TEST_CASE("rollouts: the expected rise is the divergence from full KV, token by token", "[rl]") {
  const Fixture fixture;
  GrpoConfig config = fixture.config;
  const auto run = [&] {
    return run_rollouts(fixture.model, {&fixture.a, &fixture.b}, fixture.scorer, config, kSize, 1, 2);
  };
  const Rollouts plain = run();
  CHECK_FALSE(plain.divergence.defined());
  config.reward = RewardShape::kExpectedRise;
  const Rollouts rollouts = run();
  CHECK(torch::allclose(rollouts.losses, plain.losses, 1e-5, 1e-6));
  REQUIRE(rollouts.divergence.sizes() == rollouts.losses.sizes());
  CHECK(rollouts.divergence.min().item<double>() > -1e-5);
  CHECK(rollouts.divergence.max().item<double>() > 1e-4);
  // The reward: minus the mean over the reward's tokens, whatever the losses are.
  const torch::Tensor group = rollouts.divergence.slice(0, 0, torch::nullopt, 2);
  config.reward_tokens = RewardTokens::kAll;
  const GroupCredit credit =
      group_credit(rollouts.losses.slice(0, 0, torch::nullopt, 2), group, fixture.a, config, kSize, 6);
  CHECK(torch::allclose(
      credit.rewards, -group.narrow(1, kSize.first_scored(), 61 - kSize.first_scored()).mean(1), 1e-5, 1e-7));
  REQUIRE_THROWS_WITH(group_credit(rollouts.losses, {}, fixture.a, config, kSize, 6),
                      Catch::Contains("divergence of the rollouts"));
  torch::Tensor broken = group.clone();
  broken[0][33] = NAN;
  REQUIRE_THROWS_WITH(
      group_credit(rollouts.losses.slice(0, 0, torch::nullopt, 2), broken, fixture.a, config, kSize, 6),
      Catch::Contains("step 7, trace a: the divergence of token 33 in rollout 0"));
}

TEST_CASE("credit: by step or by trace, advantages of a group have mean 0 and no signal is said", "[rl]") {
  const Fixture fixture;
  GrpoConfig config = fixture.config;
  const torch::Tensor losses = fixture.a.loss.unsqueeze(0).repeat({3, 1});
  CHECK(group_credit(losses, {}, fixture.a, config, kSize, 6).without_signal);
  torch::manual_seed(4);
  const torch::Tensor risen = losses + torch::rand({3, 61});
  for (const Credit credit : {Credit::kStep, Credit::kTrace}) {
    config.credit = credit;
    for (const RewardShape shape : {RewardShape::kClampedRise, RewardShape::kMeanRise}) {
      config.reward = shape;
      const GroupCredit result = group_credit(risen, {}, fixture.a, config, kSize, 6);
      REQUIRE(result.advantages.sizes() == torch::IntArrayRef({kSize.steps(61), 3}));
      CHECK(result.advantages.mean(1).abs().max().item<double>() < 1e-5);
      CHECK_FALSE(result.without_signal);
    }
  }
  config.reward = RewardShape::kSquaredLargeRise;  // no rise passes 1.5 nats
  CHECK(group_credit(risen, {}, fixture.a, config, kSize, 6).without_signal);
  const torch::Tensor broken = risen.clone();
  broken[1][40] = std::numeric_limits<float>::infinity();
  REQUIRE_THROWS_WITH(group_credit(broken, {}, fixture.a, config, kSize, 6),
                      Catch::Contains("step 7, trace a: the loss of token 40 in rollout 1"));
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
    GrpoConfig config;
    config.credit = credit;
    const GroupCredit result =
        group_credit(torch::rand({4, trace.length()}), {}, trace, config, kSmall, /*step=*/0);
    CHECK(result.without_signal);
    CHECK(result.loss_rise == 0.0);
    CHECK(result.low_entropy_loss_rise == 0.0);
    CHECK(result.large_rise_share == 0.0);
    CHECK(result.rewards.abs().max().item<double>() == 0.0);
    CHECK(result.advantages.abs().max().item<double>() == 0.0);
  }
}

TEST_CASE("rollouts: some copies of a group are the same as in the whole group", "[rl]") {
  const Fixture fixture;
  const std::vector<const RecordedTrace*> traces = {&fixture.a, &fixture.b};
  const auto run = [&](CopyRange copies) {
    return run_rollouts(fixture.model, traces, fixture.scorer, fixture.config, kSize, 5, 2, {}, copies);
  };
  const Rollouts whole = run({}), last = run({1, 2});
  REQUIRE(last.losses.size(0) == 4);
  CHECK(torch::allclose(last.losses, whole.losses.narrow(0, 2, 4), 1e-4, 1e-5));
  for (std::size_t layer = 0; layer < 2; ++layer)
    CHECK(torch::equal(last.layers[layer].draws, whole.layers[layer].draws.narrow(1, 2, 4)));
}
