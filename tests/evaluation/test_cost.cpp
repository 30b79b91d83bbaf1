#include <torch/types.h>

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
  const CostOptions options{size, {30, 61}, 6};
  const EvictionSelector h2o = rule_policy("h2o", size, 1).make({});
  const std::vector<MeasuredPolicy> policies = {{"full", std::nullopt, std::nullopt}, {"h2o", h2o, h2o}};
  std::int64_t told = 0;
  const auto costs =
      measure_cost(model, policies, options, text, [&](std::int64_t tokens) { told += tokens; });
  REQUIRE(costs.size() == 2);
  CHECK(told == cost_tokens(policies, options));
  const std::int64_t bytes_per_entry = shape.layers * shape.kv_heads * shape.head_dimension * 2 * 4;
  CHECK(costs[0].kv_bytes == std::vector<std::int64_t>{62 * bytes_per_entry, 93 * bytes_per_entry});
  CHECK(costs[1].kv_bytes == std::vector<std::int64_t>{24 * bytes_per_entry, 24 * bytes_per_entry});
  CHECK(costs[0].milliseconds_per_eviction == 0.0);
  CHECK(costs[0].scoring_share == 0.0);
  CHECK(costs[1].milliseconds_per_eviction > 0.0);
  CHECK(costs[1].scoring_share > 0.0);
  CHECK(costs[1].scoring_share < 1.0);
  // 6 rows of 24 entries: two full rows of 62 entries fit, one of 93.
  CHECK(costs[0].equal_memory_rows == std::vector<std::int64_t>{2, 1});
  CHECK(costs[0].equal_memory_decode_tokens_per_second.size() == 2);
  CHECK(costs[1].equal_memory_rows.empty());
  for (const PolicyCost& cost : costs) {
    REQUIRE(cost.batch_decode_tokens_per_second.size() == 2);
    CHECK(cost.batch_decode_tokens_per_second[1] > 0.0);
    CHECK(cost.peak_resident_bytes[0] > cost.kv_bytes[0]);
    REQUIRE(cost.decode_tokens_per_second.size() == 2);
    CHECK(cost.decode_tokens_per_second[1] > 0.0);
    CHECK(cost.prefill_tokens_per_second[0] > 0.0);
  }
  REQUIRE_THROWS_WITH(measure_cost(model, {policies[0]}, {size, {1'000'000}, 1}, text),
                      Catch::Contains("evaluation.cost_contexts") && Catch::Contains("1000000"));
}

TEST_CASE("cost: one row alone has no batch figures, and a batch that no full row fits says 0",
          "[evaluation]") {
  const Transformer model = Transformer::load(reference_folder() / "llama/tiny", {});
  const std::vector<MeasuredPolicy> full = {{"full", std::nullopt, std::nullopt}};
  const auto alone = measure_cost(model, full, {{16, 8}, {30}, 1}, torch::arange(20));
  CHECK(alone[0].batch_decode_tokens_per_second.empty());
  CHECK(alone[0].equal_memory_rows.empty());
  const auto two = measure_cost(model, full, {{16, 8}, {30}, 2}, torch::arange(20));
  CHECK(two[0].equal_memory_rows == std::vector<std::int64_t>{0});
  CHECK(two[0].equal_memory_decode_tokens_per_second == std::vector<double>{0.0});
}
