#include <torch/types.h>
#include <torch/utils.h>

#include "tests/random_trace_in_memory.h"
#include "tests/reference/paths.h"
#include "trainer/base/error.h"
#include "trainer/evaluation/side_by_side.h"
#include "trainer/traces/token_selection.h"
// after torch: c10 defines CHECK too
#include "tests/catch.h"

using namespace foresight;  // NOLINT(google-build-using-namespace): a test of this namespace

namespace {

RecordedTrace recorded(const Transformer& model, const std::string& id, std::int64_t length,
                       std::int64_t seed) {
  RecordedTrace trace = random_trace_in_memory(model, id, length, static_cast<std::uint64_t>(seed));
  trace.completion = torch::arange(length) >= length / 2;
  return trace;
}

}  // namespace

TEST_CASE("evaluation: figures are pooled over tokens and equal those of each policy alone", "[evaluation]") {
  const Transformer model = Transformer::load(reference_folder() / "llama/tiny", {});
  const CacheSize size{16, 8};
  // Two lengths, so that batches split.
  const std::vector<RecordedTrace> traces = {recorded(model, "a", 61, 1), recorded(model, "b", 61, 2),
                                             recorded(model, "c", 48, 3)};
  const std::vector<Policy> policies = {rule_policy("streaming_llm", size, 1), rule_policy("random", size, 1),
                                        rule_policy("h2o", size, 1)};
  const EvaluationOptions options{.size = size, .rows_per_pass = 6};
  std::int64_t told = 0;
  run_policies(
      model, traces, {PolicySet{size, policies}}, Detail::kLosses, 6,
      [&](std::int64_t tokens) { told += tokens; }, alone());
  CHECK(told == run_tokens(traces, {PolicySet{size, policies}}, 6, alone()));
  const auto together = evaluate_policies(model, traces, policies, options, alone());
  REQUIRE(together.size() == 4);
  CHECK(together[0].name == "full");
  CHECK(together[0].loss_rise == 0.0);
  CHECK(together[0].tokens == 2 * (61 - 25) + (48 - 25));
  for (std::size_t p = 0; p < policies.size(); ++p) {
    const auto single =
        evaluate_policies(model, traces, {policies[p]}, {.size = size, .rows_per_pass = 1}, alone());
    CHECK(single[1].loss_rise == Approx(together[p + 1].loss_rise).margin(1e-5));
    CHECK(single[1].low_entropy_loss_rise == Approx(together[p + 1].low_entropy_loss_rise).margin(1e-5));
    CHECK(together[p + 1].loss - together[0].loss == Approx(together[p + 1].loss_rise).margin(1e-9));
    CHECK(together[p + 1].loss / together[0].loss == Approx(together[p + 1].loss_ratio).margin(1e-9));
    double pooled = 0;
    const double weights[] = {36, 36, 23};
    for (std::size_t n = 0; n < 3; ++n) pooled += together[p + 1].trace_loss_rise[n] * weights[n] / 95;
    CHECK(pooled == Approx(together[p + 1].loss_rise).margin(1e-9));
  }
  const auto other_seed =
      evaluate_policies(model, traces, {rule_policy("random", size, 2)}, options, alone());
  CHECK(other_seed[1].loss != together[2].loss);
}

TEST_CASE("evaluation: completion tokens alone can be scored", "[evaluation]") {
  const Transformer model = Transformer::load(reference_folder() / "llama/tiny", {});
  const RecordedTrace trace = recorded(model, "a", 61, 1);
  CHECK(scored_tokens(trace, 25, ScoreTokens::kAll).sum().item<std::int64_t>() == 36);
  CHECK(scored_tokens(trace, 25, ScoreTokens::kCompletion).sum().item<std::int64_t>() == 31);
}

TEST_CASE("evaluation: a policy that is not known is refused by name", "[evaluation]") {
  REQUIRE_THROWS_WITH(rule_policy("h3o", {16, 8}, 1), Catch::Contains("h3o"));
}

TEST_CASE("evaluation: a loss that is not finite names trace and policy", "[evaluation]") {
  const Transformer model = Transformer::load(reference_folder() / "llama/tiny", {});
  RecordedTrace trace = recorded(model, "trace-7", 61, 1);
  trace.loss[3] = std::numeric_limits<float>::quiet_NaN();
  REQUIRE_THROWS_WITH(
      evaluate_policies(model, {trace}, {rule_policy("h2o", {16, 8}, 1)}, {.size = {16, 8}}, alone()),
      Catch::Contains("trace-7") && Catch::Contains("h2o"));
}
