// Survival of the prompt, churn and the choices at golden's cut against loops over captured evictions.
#include <torch/types.h>

#include <algorithm>

#include "tests/evaluation/recorded.h"
#include "tests/golden_eviction/whole_attention.h"
#include "trainer/evaluation/side_by_side.h"
// after torch: c10 defines CHECK too
#include "tests/catch.h"

using namespace foresight;  // NOLINT(google-build-using-namespace): a test of this namespace

namespace {

using Kept = std::vector<std::vector<std::vector<Positions>>>;  // [layer][step][head]

/// Two traces whose prompts have 5 and 21 tokens.
struct WithPrompts : Recorded {
  WithPrompts() {
    traces[0].completion.narrow(0, 0, 5).fill_(false);
    traces[1].completion.narrow(0, 0, 21).fill_(false);
  }
};

double count_below(const Positions& positions, std::int64_t end) {
  return static_cast<double>(std::count_if(positions.begin(), positions.end(),
                                           [&](std::int64_t position) { return position < end; }));
}

/// Share of the prompt that is live after a step, mean over layers and heads.
double live_share(const Kept& kept, std::size_t step, std::int64_t prompt) {
  double sum = 0, heads = 0;
  for (const auto& layer : kept) {
    for (const Positions& head : layer[step]) {
      sum += count_below(head, prompt);
      ++heads;
    }
  }
  return sum / heads / static_cast<double>(prompt);
}

/// Share of (layer, prompt token) pairs that at least `least` heads hold after the last step.
double held_by(const Kept& kept, std::int64_t prompt, std::int64_t least) {
  double pairs = 0;
  for (const auto& layer : kept) {
    for (std::int64_t token = 0; token < prompt; ++token) {
      const auto holding = std::count_if(layer.back().begin(), layer.back().end(),
                                         [&](const Positions& head) { return head.count(token) > 0; });
      pairs += holding >= least ? 1 : 0;
    }
  }
  return pairs / static_cast<double>(static_cast<std::int64_t>(kept.size()) * prompt);
}

/// Of the candidates kept at each step but the first, the share that was no kept candidate the step before.
double churn_sum(const Kept& kept, const CacheSize& size) {
  double sum = 0;
  for (const auto& layer : kept) {
    for (std::size_t step = 1; step < layer.size(); ++step) {
      const std::int64_t end = size.seen_at_step(static_cast<std::int64_t>(step)) - size.window;
      double changed = 0, all = 0;
      for (std::size_t head = 0; head < layer[step].size(); ++head) {
        for (const std::int64_t position : layer[step][head]) {
          if (position >= end) continue;  // the newest
          const bool before = position < end - size.window && layer[step - 1][head].count(position) > 0;
          changed += before ? 0 : 1;
          ++all;
        }
      }
      sum += changed / all;
    }
  }
  return sum / static_cast<double>(kept.size());
}

/// Candidates of golden's step in order of eviction: lowest C first, of equal ones the older.
std::vector<std::int64_t> golden_order(const Kept& golden, const std::vector<torch::Tensor>& attention,
                                       std::size_t layer, std::size_t step, std::size_t head,
                                       const CacheSize& size) {
  const std::int64_t seen = size.seen_at_step(static_cast<std::int64_t>(step)), end = seen - size.window;
  Positions live;
  if (step == 0) {
    for (std::int64_t position = 0; position < end; ++position) live.insert(position);
  } else {
    live = golden[layer][step - 1][head];
  }
  std::vector<std::pair<double, std::int64_t>> ranked;
  const auto windows = attention[layer].size(1);
  for (const std::int64_t position : live) {
    double future = 0;
    for (std::int64_t window = seen / size.window; window < windows; ++window) {
      future = std::max(future,
                        attention[layer][static_cast<std::int64_t>(head)][window][position].item<double>());
    }
    ranked.emplace_back(future, position);
  }
  std::sort(ranked.begin(), ranked.end());
  std::vector<std::int64_t> order;
  for (const auto& [future, position] : ranked) order.push_back(position);
  return order;
}

/// Of the `each` entries on both sides of golden's cut, the share that a policy decides alike, over all
/// steps.
double boundary_sum(const Kept& own, const Kept& golden, const std::vector<torch::Tensor>& attention,
                    const CacheSize& size, std::int64_t each) {
  double sum = 0;
  for (std::size_t layer = 0; layer < own.size(); ++layer) {
    for (std::size_t step = 0; step < own[layer].size(); ++step) {
      double alike = 0;
      for (std::size_t head = 0; head < own[layer][step].size(); ++head) {
        const auto order = golden_order(golden, attention, layer, step, head, size);
        for (std::int64_t rank = size.window - each; rank < size.window + each; ++rank) {
          const bool holds = own[layer][step][head].count(order[static_cast<std::size_t>(rank)]) > 0;
          alike += holds == (rank >= size.window) ? 1 : 0;
        }
      }
      sum += alike / static_cast<double>(2 * each * static_cast<std::int64_t>(own[layer][step].size()));
    }
  }
  return sum / static_cast<double>(own.size());
}

}  // namespace

TEST_CASE("kept entries: survival, churn and the cut equal loops over the evictions", "[evaluation]") {
  const WithPrompts recorded;
  const std::vector<Policy> policies = {rule_policy("golden", kSize, 1), rule_policy("h2o", kSize, 1),
                                        rule_policy("random", kSize, 1),
                                        rule_policy("recency_protected", kSize, 1)};
  const auto runs = run_policies(recorded.model, recorded.traces, {PolicySet{kSize, policies}}, Detail::kAll,
                                 8, {}, alone())[0];
  const std::vector<std::int64_t> prompts = {5, 21};
  const std::int64_t heads = recorded.model.shape().kv_heads;
  for (std::size_t p = 0; p < policies.size(); ++p) {
    INFO(policies[p].name);
    double boundary = 0, churn = 0;
    std::vector<double> live(5, 0), held(static_cast<std::size_t>(heads), 0);
    for (std::size_t n = 0; n < 2; ++n) {
      const RecordedTrace& trace = recorded.traces[n];
      const Kept own = captured(recorded.model, trace, policies[p]),
                 golden = captured(recorded.model, trace, policies[0]);
      REQUIRE(own[0].size() == 5);
      boundary += boundary_sum(own, golden, whole_attention(trace, kSize.window), kSize, 4);
      churn += churn_sum(own, kSize);
      for (std::size_t step = 0; step < 5; ++step) live[step] += live_share(own, step, prompts[n]) / 2;
      for (std::int64_t least = 1; least <= heads; ++least)
        held[static_cast<std::size_t>(least - 1)] += held_by(own, prompts[n], least) / 2;
    }
    const PolicyResult result = score_run(runs[p], recorded.traces, {.first_scored = 25, .window = 8});
    CHECK(*result.boundary_accuracy == Approx(boundary / 10));
    CHECK(*result.churn == Approx(churn / 8));
    REQUIRE(result.prompt_live.size() == 5);
    REQUIRE(result.prompt_held_by.size() == held.size());
    for (std::size_t step = 0; step < 5; ++step) CHECK(result.prompt_live[step] == Approx(live[step]));
    for (std::size_t i = 0; i < held.size(); ++i) CHECK(result.prompt_held_by[i] == Approx(held[i]));
    if (p == 0) CHECK(*result.boundary_accuracy == 1.0);
  }
  // Recency drops a whole window of what it kept at every step; 21 tokens of prompt fill its choice.
  const PolicyResult recency = score_run(runs[3], recorded.traces, {.first_scored = 25});
  CHECK(recency.prompt_live.back() == Approx((1.0 + 8.0 / 21) / 2));
}

TEST_CASE("kept entries: protected entries are no part of golden's cut", "[evaluation]") {
  const WithPrompts recorded;
  const CacheSize size{24, 8, 0, true};
  const auto run =
      run_policies(recorded.model, recorded.traces,
                   {PolicySet{size, {rule_policy("golden", size, 1), rule_policy("random", size, 1)}}},
                   Detail::kAll, 4, {}, alone())[0];
  const PolicyResult golden = score_run(run[0], recorded.traces, {.first_scored = 33}),
                     random = score_run(run[1], recorded.traces, {.first_scored = 33});
  CHECK(*golden.boundary_accuracy == 1.0);
  CHECK(*random.boundary_accuracy < 0.9);
  // 16 of the 21 tokens of the second prompt can be protected; golden keeps all of the first.
  CHECK(golden.prompt_live.back() >= (1.0 + 16.0 / 21) / 2 - 1e-9);
  const std::vector<RecordedCut> cuts = golden_cuts(recorded.traces[1], size, 4);
  for (const RecordedCut& cut : cuts) {
    // 16 protected of 24 candidates: all others go, and none is left that could go next.
    CHECK((cut.nearest_kept == -1).all().item<bool>());
    CHECK((cut.evicted >= 16).all().item<bool>());
  }
}

TEST_CASE("kept entries: a budget of one window leaves no choice, and no prompt nothing to survive",
          "[evaluation]") {
  const Recorded recorded;
  const CacheSize size{8, 8};
  const auto run =
      run_policies(recorded.model, recorded.traces, {PolicySet{size, {rule_policy("h2o", size, 1)}}},
                   Detail::kAll, 4, {}, alone())[0];
  const PolicyResult result = score_run(run[0], recorded.traces, {.first_scored = 17});
  CHECK_FALSE(result.boundary_accuracy);
  CHECK_FALSE(result.churn);
  CHECK(result.prompt_live.empty());
  CHECK(result.prompt_held_by.empty());
}
