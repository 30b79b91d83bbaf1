#include <torch/torch.h>

#include "tests/reference/paths.h"
#include "trainer/base/error.h"
#include "trainer/evaluation/cost.h"
#include "trainer/evaluation/policies.h"
// after torch: c10 defines CHECK too
#include "tests/catch.h"

using namespace foresight;  // NOLINT(google-build-using-namespace): a test of this namespace

TEST_CASE("cost: an evicting cache is as large at every context, the full one grows", "[evaluation]") {
  const Transformer model = Transformer::load(reference_folder() / "llama/tiny", {});
  const ModelShape& shape = model.shape();
  const CacheSize size{16, 8};
  const torch::Tensor text = torch::arange(20);
  const std::vector<std::int64_t> contexts = {30, 61};
  std::int64_t told = 0;
  const auto costs =
      measure_cost(model, {{"full", std::nullopt}, {"h2o", rule_policy("h2o", size, 1).make({})}}, size,
                   contexts, text, [&](std::int64_t tokens) { told += tokens; });
  REQUIRE(costs.size() == 2);
  CHECK(told == cost_tokens(2, size, contexts));
  const std::int64_t bytes_per_entry = shape.layers * shape.kv_heads * shape.head_dimension * 2 * 4;
  CHECK(costs[0].kv_bytes == std::vector<std::int64_t>{46 * bytes_per_entry, 77 * bytes_per_entry});
  CHECK(costs[1].kv_bytes == std::vector<std::int64_t>{24 * bytes_per_entry, 24 * bytes_per_entry});
  CHECK(costs[0].milliseconds_per_eviction == 0.0);
  CHECK(costs[0].scoring_share == 0.0);
  CHECK(costs[1].milliseconds_per_eviction > 0.0);
  CHECK(costs[1].scoring_share > 0.0);
  CHECK(costs[1].scoring_share < 1.0);
  for (const PolicyCost& cost : costs) {
    REQUIRE(cost.decode_tokens_per_second.size() == 2);
    CHECK(cost.decode_tokens_per_second[1] > 0.0);
    CHECK(cost.prefill_tokens_per_second[0] > 0.0);
  }
  REQUIRE_THROWS_WITH(measure_cost(model, {{"full", std::nullopt}}, size, {1'000'000}, text),
                      Catch::Contains("evaluation.cost_contexts") && Catch::Contains("1000000"));
}
