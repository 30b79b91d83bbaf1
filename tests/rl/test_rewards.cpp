// Rewards and advantages against loops and the authors' released functions.
#include <torch/types.h>
#include <torch/utils.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "rl/advantages.h"
#include "rl/rewards.h"
#include "tests/rl/kind_of.h"
#include "tests/tensors.h"
#include "trainer/traces/token_selection.h"

#include "tests/catch.h"

namespace foresight {
namespace {

using testing::all_close;

torch::Tensor bools(const std::vector<int>& values) {
  return torch::tensor(values, torch::kInt64).to(torch::kBool);
}

/// Advantages of single rewards [G], or of columns [G, S] that are each a group.
torch::Tensor step_advantages(const torch::Tensor& rewards) {
  const bool single = rewards.dim() == 1;
  const auto found = group_advantages(single ? rewards.unsqueeze(1) : rewards, AdvantageScale::kStep);
  return single ? found.squeeze(1) : found;
}

torch::Tensor squared_large_rise_reward(const torch::Tensor& rise, const torch::Tensor& mask,
                                        double threshold_nats) {
  return trace_rewards(squared_large_rise(rise, threshold_nats), mask);
}

TEST_CASE("low entropy: floor(0.2 N) tokens are dropped for every N", "[rl][unit]") {
  torch::manual_seed(31);
  for (std::int64_t scored = 0; scored <= 300; ++scored) {
    const auto mask = low_entropy_mask(torch::rand({scored + 7}), 7, 0.8);
    REQUIRE(mask.sum().item<std::int64_t>() == scored - scored / 5);
    REQUIRE_FALSE(mask.narrow(0, 0, 7).any().item<bool>());
  }
  REQUIRE(low_entropy_mask(torch::rand({10}), 0, 1.0).all().item<bool>());
  REQUIRE_FALSE(low_entropy_mask(torch::rand({10}), 0, 0.0).any().item<bool>());
  REQUIRE(low_entropy_mask(torch::rand({10}), 0, 0.7).sum().item<std::int64_t>() == 7);
}

TEST_CASE("low entropy: the lowest are kept and ties go to the earlier position", "[rl][unit]") {
  const auto entropy = torch::tensor({9.0F, 2.0F, 1.0F, 2.0F, 0.5F, 2.0F, 0.1F, 3.0F});
  const auto scored = bools({0, 1, 1, 1, 1, 1, 0, 0});  // N = 5, one dropped: the last of the tied
  REQUIRE(torch::equal(low_entropy_mask(entropy, scored), bools({0, 1, 1, 1, 1, 0, 0, 0})));
  REQUIRE(torch::equal(low_entropy_mask(entropy, scored, 0.4), bools({0, 0, 1, 0, 1, 0, 0, 0})));
  REQUIRE(torch::equal(low_entropy_mask(entropy, scored, 0.6), bools({0, 1, 1, 0, 1, 0, 0, 0})));
}

TEST_CASE("rewards: the released selection, returns and advantages are reproduced", "[rl][unit]") {
  const auto vectors = testing::load_reference_vectors("grpo");
  const auto mask =
      low_entropy_mask(vectors.at("reward.entropy"), 64 + 16);  // scored from budget + window on
  REQUIRE(mask.sum().item<std::int64_t>() == vectors.at("reward.n_selected").item<std::int64_t>());
  const auto& evicted_loss = vectors.at("reward.lm_loss");  // [4, 219]
  const auto rise = evicted_loss - vectors.at("reward.loss2").unsqueeze(0);
  const auto rewards = squared_large_rise_reward(rise, mask, 1.5);
  REQUIRE(all_close(rewards, vectors.at("reward.returns"), 1e-5, 1e-7));
  REQUIRE(all_close(step_advantages(rewards), vectors.at("reward.advantages"), 1e-5, 1e-6));
  REQUIRE(
      all_close(step_advantages(vectors.at("reward.returns")), vectors.at("reward.advantages"), 1e-5, 1e-7));
  REQUIRE(all_close(trace_rewards(evicted_loss, mask), vectors.at("reward_qwen2.returns"), 1e-5, 1e-7));
}

/// - mean over the masked tokens of shape(rise), from `first` to before `end`.
template <class Shape>
double reward_by_loops(const torch::Tensor& rise, const torch::Tensor& mask, std::int64_t first,
                       std::int64_t end, const Shape& shape) {
  double sum = 0.0;
  std::int64_t count = 0;
  for (std::int64_t t = first; t < std::min(end, rise.size(0)); ++t) {
    if (!mask[t].item<bool>()) continue;
    sum += shape(rise[t].item<double>());
    ++count;
  }
  return count == 0 ? 0.0 : -sum / static_cast<double>(count);
}

TEST_CASE("rewards: each shape is its formula over the mask, whatever lies outside", "[rl][unit]") {
  torch::manual_seed(32);
  auto rise = torch::randn({3, 40}, torch::kFloat64) * 3.0;
  const auto mask = torch::rand({40}) < 0.6;
  rise.masked_fill_(mask.logical_not().unsqueeze(0), std::numeric_limits<double>::quiet_NaN());
  for (std::int64_t row = 0; row < 3; ++row) {
    const auto expect = [&](const torch::Tensor& rewards, const auto& shape) {
      REQUIRE(rewards[row].item<double>() ==
              Approx(reward_by_loops(rise[row], mask, 0, 40, shape)).epsilon(1e-12));
    };
    expect(trace_rewards(rise, mask), [](double d) { return d; });
    expect(squared_large_rise_reward(rise, mask, 1.5), [](double d) { return d > 1.5 ? d * d : 0.0; });
    expect(trace_rewards(clamped_rise(rise, -1.0, 4.0), mask),
           [](double d) { return std::min(std::max(d, -1.0), 4.0); });
  }
  const auto nothing = torch::zeros({40}, torch::kBool);
  REQUIRE(torch::equal(trace_rewards(rise, nothing), torch::zeros({3}, torch::kFloat64)));
}

TEST_CASE("rewards: a rise at the threshold does not count", "[rl][unit]") {
  const auto rise = torch::tensor({{1.5, 1.75, -9.0}}, torch::kFloat64);
  REQUIRE(squared_large_rise_reward(rise, bools({1, 1, 1}), 1.5).item<double>() ==
          Approx(-1.75 * 1.75 / 3.0));
}

TEST_CASE("window rewards: every step owns the tokens it is the first to touch", "[rl][unit]") {
  torch::manual_seed(33);
  // B = 8, W = 4, L = 27: steps while p_s = 12, 16, 20, 24 < 27; the last window is cut.
  const std::int64_t budget = 8, window = 4, tokens = 27;
  std::int64_t steps = 0;
  while (budget + (steps + 1) * window < tokens) ++steps;
  REQUIRE(steps == 4);
  auto rise = torch::randn({2, tokens}, torch::kFloat64);
  auto mask = torch::rand({tokens}) < 0.7;
  mask.narrow(0, 17, 4).fill_(false);  // window 1 has no masked token
  rise[0][0] = std::numeric_limits<double>::quiet_NaN();
  mask[0] = false;
  const auto rewards = window_rewards(rise, mask, budget + window + 1, window, steps);
  REQUIRE(rewards.sizes() == torch::IntArrayRef({2, steps}));
  for (std::int64_t row = 0; row < 2; ++row) {
    for (std::int64_t step = 0; step < steps; ++step) {
      const std::int64_t position = budget + (step + 1) * window;  // p_s
      const double expected =
          reward_by_loops(rise[row], mask, position + 1, position + window + 1, [](double d) { return d; });
      REQUIRE(rewards[row][step].item<double>() == Approx(expected).margin(1e-14));
    }
  }
  REQUIRE(rewards[0][1].item<double>() == 0.0);
  // p_0 = L - 1: the only step has no token after it.
  REQUIRE(torch::equal(window_rewards(rise, mask, tokens, window, 1), torch::zeros({2, 1}, torch::kFloat64)));
}

TEST_CASE("discounted credit: it is the discounted sum of the rewards from the step on", "[rl][unit]") {
  torch::manual_seed(34);
  const auto rewards = torch::randn({3, 6}, torch::kFloat64);
  for (const double discount : {0.0, 0.5, 1.0}) {
    const auto credit = discounted_credit(rewards, discount);
    for (std::int64_t row = 0; row < 3; ++row) {
      for (std::int64_t step = 0; step < 6; ++step) {
        double expected = 0.0;
        for (std::int64_t later = step; later < 6; ++later) {
          expected +=
              std::pow(discount, static_cast<double>(later - step)) * rewards[row][later].item<double>();
        }
        REQUIRE(credit[row][step].item<double>() == Approx(expected).margin(1e-14));
      }
    }
  }
  REQUIRE(discounted_credit(torch::zeros({2, 0}), 0.5).sizes() == torch::IntArrayRef({2, 0}));
}

TEST_CASE("advantages: each column is normalised by its own group", "[rl][unit]") {
  torch::manual_seed(35);
  const auto rewards = torch::randn({8, 5}, torch::kFloat64) * 1e-3 - 0.4;
  const auto advantages = step_advantages(rewards);
  for (std::int64_t column = 0; column < 5; ++column) {
    double mean = 0.0, variance = 0.0;
    for (std::int64_t g = 0; g < 8; ++g) mean += rewards[g][column].item<double>() / 8.0;
    for (std::int64_t g = 0; g < 8; ++g)
      variance += std::pow(rewards[g][column].item<double>() - mean, 2) / 8.0;
    for (std::int64_t g = 0; g < 8; ++g) {
      const double expected = (rewards[g][column].item<double>() - mean) / std::sqrt(variance);
      REQUIRE(advantages[g][column].item<double>() == Approx(expected).epsilon(1e-9).margin(1e-12));
    }
  }
}

TEST_CASE("advantages: equal rewards give exactly zero", "[rl][unit]") {
  auto rewards = torch::full({3, 4}, 0.1F);  // 0.1 is not exact: a mean of it may round
  REQUIRE(torch::equal(step_advantages(rewards), torch::zeros({3, 4})));
  rewards[2][1] = 0.2F;
  REQUIRE(step_advantages(rewards)[2][1].item<float>() > 1.0F);
  REQUIRE(torch::equal(step_advantages(torch::tensor({5.0F})), torch::zeros({1})));
  REQUIRE(step_advantages(torch::zeros({2, 0})).numel() == 0);
}

TEST_CASE("rewards and advantages: wrong input is refused", "[rl][unit]") {
  const auto rise = torch::zeros({2, 4});
  const auto mask = bools({1, 1, 1, 1});
  REQUIRE(kind_of([&] { low_entropy_mask(rise, mask); }) == ErrorKind::kInternal);
  REQUIRE(kind_of([&] { low_entropy_mask(rise, 1); }) == ErrorKind::kInternal);
  REQUIRE(kind_of([&] { low_entropy_mask(rise[0], mask.to(torch::kInt64)); }) == ErrorKind::kInternal);
  REQUIRE(kind_of([&] { low_entropy_mask(rise[0], mask, 1.1); }) == ErrorKind::kInternal);
  REQUIRE(kind_of([&] { trace_rewards(rise, mask.narrow(0, 0, 3)); }) == ErrorKind::kInternal);
  REQUIRE(kind_of([&] { trace_rewards(rise, mask.to(torch::kInt64)); }) == ErrorKind::kInternal);
  REQUIRE(kind_of([&] { window_rewards(rise, mask, 1, 0, 1); }) == ErrorKind::kInternal);
  REQUIRE(kind_of([&] { window_rewards(rise, mask, -1, 2, 1); }) == ErrorKind::kInternal);
  REQUIRE(kind_of([&] { discounted_credit(rise[0], 0.5); }) == ErrorKind::kInternal);
  REQUIRE(kind_of([&] { step_advantages(torch::zeros({0, 3})); }) == ErrorKind::kInternal);
  REQUIRE(kind_of([&] { group_advantages(torch::zeros({3}), AdvantageScale::kTrace); }) ==
          ErrorKind::kInternal);
}

}  // namespace
}  // namespace foresight
