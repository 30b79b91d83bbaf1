// Detail measures against loops over captured evictions and against full logits.
#include <torch/types.h>
#include <torch/utils.h>

#include "tests/evaluation/recorded.h"
#include "tests/eviction/evicted_losses.h"
#include "tests/golden_eviction/whole_attention.h"
#include "trainer/evaluation/kept_attention.h"
#include "trainer/evaluation/side_by_side.h"
#include "trainer/eviction/evicted_run.h"
#include "trainer/eviction/evicting_cache.h"
// after torch: c10 defines CHECK too
#include "tests/catch.h"

using namespace foresight;  // NOLINT(google-build-using-namespace): a test of this namespace

TEST_CASE("kept attention: mass and overlap equal loops over the evictions", "[evaluation]") {
  // Recorded in windows, and in blocks that windows are made of.
  const Recorded recorded(GENERATE(8, 4));
  const std::vector<Policy> policies = {rule_policy("golden", kSize, 1),
                                        rule_policy("streaming_llm", kSize, 1),
                                        rule_policy("random", kSize, 1)};
  const auto runs = run_policies(recorded.model, recorded.traces, {PolicySet{kSize, policies}}, Detail::kAll,
                                 6, {}, alone())[0];
  const std::int64_t layers = recorded.model.shape().layers, heads = recorded.model.shape().kv_heads;
  for (std::size_t p = 0; p < policies.size(); ++p) {
    INFO(policies[p].name);
    torch::Tensor mass = torch::zeros({layers, heads}, torch::kFloat64);
    double overlap = 0, evictions = 0;
    for (const RecordedTrace& trace : recorded.traces) {
      const auto own = captured(recorded.model, trace, policies[p]);
      const auto golden = captured(recorded.model, trace, policies[0]);
      const auto attention = whole_attention(trace, kSize.window);
      evictions += static_cast<double>(own[0].size());
      for (std::int64_t layer = 0; layer < layers; ++layer) {
        const auto l = static_cast<std::size_t>(layer);
        for (std::size_t step = 0; step < own[l].size(); ++step) {
          const std::int64_t seen = kSize.seen_at_step(static_cast<std::int64_t>(step));
          for (std::int64_t head = 0; head < heads; ++head) {
            const auto h = static_cast<std::size_t>(head);
            double sum = 0, shared = 0;
            for (std::int64_t position = 0; position < trace.length(); ++position) {
              const bool held = own[l][step][h].count(position) > 0;
              if (held || position >= seen)
                sum += attention[l][head][seen / kSize.window][position].item<double>();
              if (held && position < seen - kSize.window)
                shared += static_cast<double>(golden[l][step][h].count(position));
            }
            mass[layer][head] += sum;
            overlap += shared / static_cast<double>((kSize.budget - kSize.window) * layers * heads);
          }
        }
      }
    }
    CHECK(runs[p].kept.evictions == static_cast<std::int64_t>(evictions));
    CHECK(torch::allclose(runs[p].kept.mass, mass, 1e-6, 1e-6));
    CHECK(runs[p].kept.golden_overlap == Approx(overlap).margin(1e-6));
    // A head holds the budget, and what came after the last eviction.
    const std::int64_t last = kSize.seen_at_step(kSize.steps(61) - 1);
    CHECK(runs[p].held.sum().item<double>() ==
          Approx(static_cast<double>(kSize.budget + 61 - last)).margin(1e-4));
  }
  CHECK(runs[0].kept.golden_overlap == Approx(static_cast<double>(runs[0].kept.evictions)));
  CHECK(runs[1].kept.golden_overlap < runs[0].kept.golden_overlap);
}

TEST_CASE("kept attention: strips of one window give the bits of whole traces", "[evaluation]") {
  const Recorded recorded(GENERATE(8, 4));
  const std::int64_t layers = recorded.model.shape().layers, heads = recorded.model.shape().kv_heads;
  const std::vector<const RecordedTrace*> traces = {&recorded.traces[0], &recorded.traces[1]};
  const torch::Tensor tokens = torch::stack({traces[0]->tokens, traces[1]->tokens});
  for (const CacheSize& size : {kSize, CacheSize{8, 8}}) {
    const auto watched = [&](std::int64_t strip_bytes) {
      EvictionWatcher watcher(traces, size, 2, layers, heads, strip_bytes);
      evicted_losses(recorded.model, tokens, size, 2,
                     watcher.watching(side_by_side({rule_policy("golden", size, 1).make(traces),
                                                    rule_policy("h2o", size, 1).make(traces)})));
      return std::pair(watcher.results(), watcher.held());
    };
    const auto [whole, whole_held] = watched(kStripBytes);
    const auto [streamed, streamed_held] = watched(0);
    CHECK(torch::equal(whole_held, streamed_held));
    for (std::size_t p = 0; p < 2; ++p) {
      CHECK(torch::equal(whole[p].mass, streamed[p].mass));
      CHECK(whole[p].golden_overlap == streamed[p].golden_overlap);
    }
    CHECK(whole[0].golden_overlap == Approx(static_cast<double>(whole[0].evictions)));
  }
}

TEST_CASE("kept attention: a step out of turn is the caller's fault", "[evaluation]") {
  const Recorded recorded;
  EvictionWatcher watcher({&recorded.traces[0]}, kSize, 1, recorded.model.shape().layers,
                          recorded.model.shape().kv_heads);
  const EvictionSelector select = watcher.watching([](const EvictionView&) {
    return torch::zeros({1, 1, 8}, torch::kInt64);
  });
  EvictionView view;
  view.step = 1;
  REQUIRE_THROWS_WITH(select(view), Catch::Contains("step 1 of layer 0 came where step 0 was due"));
}

TEST_CASE("evaluation: divergence and agreement equal those of whole logits", "[evaluation]") {
  const Recorded recorded;
  const Policy policy = rule_policy("streaming_llm", kSize, 1);
  const auto runs = run_policies(recorded.model, recorded.traces,
                                 {PolicySet{kSize, {rule_policy("h2o", kSize, 1), policy}}}, Detail::kAll, 4,
                                 {}, alone())[0];
  for (std::size_t n = 0; n < recorded.traces.size(); ++n) {
    const RecordedTrace& trace = recorded.traces[n];
    EvictingCache cache(recorded.model.shape(), RowLayout{}, kSize, 61, policy.make({&trace}),
                        ModelOptions{});
    FullCache everything(recorded.model.shape(), 1, 61, ModelOptions{});
    const torch::Tensor full =
        recorded.model.forward(trace.tokens.unsqueeze(0), torch::arange(61), everything)[0];
    for (std::int64_t first = 0; first < 61;) {
      const std::int64_t count = std::min(cache.room(), 61 - first);
      const torch::Tensor hidden = recorded.model.forward(trace.tokens.narrow(0, first, count).unsqueeze(0),
                                                          torch::arange(first, first + count), cache)[0];
      for (std::int64_t i = 0; i < count && first + i + 1 < 61; ++i) {
        const std::int64_t token = first + i + 1;
        const torch::Tensor own = recorded.model.logits(hidden.narrow(0, i, 1))[0].to(torch::kFloat64),
                            reference =
                                recorded.model.logits(full.narrow(0, first + i, 1))[0].to(torch::kFloat64);
        const torch::Tensor p = torch::softmax(reference, 0);
        const double expected = (p * (p.log() - torch::log_softmax(own, 0))).sum().item<double>();
        const bool scored = token >= kSize.first_scored();
        CHECK(runs[1].divergence[n][token].item<double>() == Approx(scored ? expected : 0.0).margin(1e-5));
        const bool same = own.argmax().item<std::int64_t>() == reference.argmax().item<std::int64_t>();
        CHECK(runs[1].agreement[n][token].item<double>() == (scored && !same ? 0.0 : 1.0));
      }
      first += count;
    }
  }
}

TEST_CASE("evaluation: sides of several budgets run as each alone", "[evaluation]") {
  const Recorded recorded;
  const CacheSize large{32, 8};
  const auto policies = [](const CacheSize& size) {
    return std::vector<Policy>{rule_policy("golden", size, 1), rule_policy("h2o", size, 1)};
  };
  const auto together = run_policies(recorded.model, recorded.traces,
                                     {PolicySet{kSize, policies(kSize)}, PolicySet{large, policies(large)}},
                                     Detail::kAll, 4, {}, alone());
  const auto by_itself = run_policies(recorded.model, recorded.traces, {PolicySet{large, policies(large)}},
                                      Detail::kLosses, 1, {}, alone());
  for (std::size_t p = 0; p < 2; ++p) {
    for (std::size_t n = 0; n < 2; ++n)
      CHECK(torch::allclose(together[1][p].loss[n], by_itself[0][p].loss[n], 1e-5, 1e-5));
    CHECK(by_itself[0][p].divergence.empty());
  }
  CHECK(run_tokens(recorded.traces, {PolicySet{kSize, policies(kSize)}}, 6, alone()) ==
        2 * (24 + 2 * (61 - 24)));
}
