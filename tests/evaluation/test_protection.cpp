// Protected entries: no policy evicts them, and what else goes is what it would take of the rest.
#include <torch/types.h>

#include "golden_eviction/recorded_plan.h"
#include "tests/base/temporary_folder.h"
#include "tests/eviction/evicted_losses.h"
#include "tests/golden_eviction/random_recording.h"
#include "tests/reference/paths.h"
#include "tests/traces/load_recorded.h"
#include "trainer/config/names.h"
#include "trainer/evaluation/policies.h"
#include "trainer/eviction/evicted_run.h"
#include "trainer/eviction/protection.h"
#include "trainer/eviction/rule_policies.h"
// after torch: c10 defines CHECK too
#include "tests/catch.h"

using namespace foresight;  // NOLINT(google-build-using-namespace): a test of this namespace

namespace {

/// Two recorded traces of the tiny model whose prompts have 5 and 14 tokens.
struct Prompted {
  TemporaryFolder folder;
  Transformer model = Transformer::load(reference_folder() / "llama/tiny", {});
  std::vector<RecordedTrace> traces;

  Prompted() {
    for (std::int64_t i = 0; i < 2; ++i) record_random_tokens(model, folder.path(), "evaluation", i, 61, 8);
    traces = load_recorded_traces(folder.path(), "evaluation", 2, model.fingerprint(), "none");
    traces[0].completion.narrow(0, 0, 5).fill_(false);
    traces[1].completion.narrow(0, 0, 14).fill_(false);
  }
  std::vector<const RecordedTrace*> both() const { return {&traces[0], &traces[1]}; }
};

/// Lowest position that a policy evicts of each trace, over all evictions, layers and heads.
std::vector<std::int64_t> oldest_evicted(const Prompted& of, const Policy& policy, const CacheSize& size) {
  std::vector<std::int64_t> oldest(2, 1000);
  const EvictionSelector inner = policy.make(of.both());
  evicted_losses(of.model, stacked_tokens(of.both()), size, 1, [&](const EvictionView& view) {
    const torch::Tensor evicted = inner(view);
    for (std::int64_t row = 0; row < 2; ++row) {
      const auto position = view.positions[row].gather(1, evicted[row]).min().item<std::int64_t>();
      oldest[static_cast<std::size_t>(row)] = std::min(oldest[static_cast<std::size_t>(row)], position);
    }
    return evicted;
  });
  return oldest;
}

}  // namespace

TEST_CASE("protection: no policy evicts sinks or prompts, all evict what follows them", "[evaluation]") {
  const Prompted prompted;
  CHECK(prompted.traces[0].prompt_tokens() == 5);
  const Scorer scorer = Scorer::random(prompted.model.shape(), {}, RandomStream(3, "test"));
  // Budget 24, window 8: at most 16 entries can be protected.
  const std::vector<std::pair<CacheSize, std::vector<std::int64_t>>> cases = {{{24, 8, 3, false}, {3, 3}},
                                                                              {{24, 8, 0, true}, {5, 14}},
                                                                              {{24, 8, 9, true}, {9, 14}},
                                                                              {{16, 8, 0, true}, {5, 8}}};
  for (const auto& [size, protected_entries] : cases) {
    for (const std::string& name : policy_names()) {
      if (name == "full" || name == "supervised" || name == "grpo") continue;
      INFO(name << " " << size.budget << " " << size.protect_sinks);
      const auto oldest = oldest_evicted(prompted, rule_policy(name, size, 1), size);
      for (std::size_t row = 0; row < 2; ++row) CHECK(oldest[row] >= protected_entries[row]);
    }
    const auto oldest = oldest_evicted(prompted, scorer_policy("scorer", scorer), size);
    for (std::size_t row = 0; row < 2; ++row) CHECK(oldest[row] >= protected_entries[row]);
  }
  // Without protection these go, or the test would show nothing.
  for (const char* name : {"golden", "random", "h2o", "snapkv"})
    CHECK(oldest_evicted(prompted, rule_policy(name, {24, 8}, 1), {24, 8})[0] < 3);
}

TEST_CASE("protection: random_protected and recency_protected keep 4 sinks and the prompt by themselves",
          "[evaluation]") {
  const Prompted prompted;
  const CacheSize size{24, 8};
  CHECK(oldest_evicted(prompted, rule_policy("recency_protected", size, 1), size) ==
        std::vector<std::int64_t>{5, 14});
  const auto random = oldest_evicted(prompted, rule_policy("random_protected", size, 1), size);
  CHECK(random[0] >= 5);
  CHECK(random[1] >= 14);
  // With a budget of 16 the second trace can protect 8 entries.
  CHECK(oldest_evicted(prompted, rule_policy("recency_protected", {16, 8}, 1), {16, 8})[1] == 8);
}

TEST_CASE("protection: what goes are the highest scores behind the protected entries, rows apart",
          "[evaluation]") {
  torch::manual_seed(11);
  const torch::Tensor scores = torch::randn({2, 3, 24});
  EvictionView view;
  view.budget = 24;
  view.window = 8;
  view.keys = torch::zeros({2, 3, 32, 4});
  view.protected_entries = torch::tensor({0, 13}, torch::kInt64);
  const torch::Tensor evicted = evict_highest(view, scores);
  CHECK(torch::equal(evicted[0], highest_entries(scores[0], 8)));
  CHECK(torch::equal(evicted[1], highest_entries(scores[1].narrow(1, 13, 11), 8) + 13));
  CHECK(most_protected(view) == 13);
  view.prompt_tokens = torch::tensor({2, 40}, torch::kInt64);
  CHECK(torch::equal(protect_also(view, 4).protected_entries, torch::tensor({4, 16}, torch::kInt64)));
}
