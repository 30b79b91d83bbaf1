#include <torch/types.h>
#include <torch/utils.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "golden_eviction/future_attention.h"
#include "golden_eviction/golden_plan.h"
#include "golden_eviction/plan_file.h"
#include "tests/golden_eviction/naive_attention.h"
#include "tests/golden_eviction/whole_attention.h"
#include "trainer/base/error.h"
#include "trainer/model/tensor_io.h"
// after torch: c10 defines CHECK too
#include "tests/catch.h"

using namespace foresight;  // NOLINT(google-build-using-namespace): a test of this namespace

namespace {

/// The plan of one head by the words of the method: at each step, sort the candidates by their greatest later
/// attention.
std::vector<std::vector<std::int64_t>> naive_plan(const torch::Tensor& attention, const CacheSize& size,
                                                  std::int64_t protected_entries = 0) {
  const std::int64_t blocks = attention.size(0), length = attention.size(1);
  std::vector<std::int64_t> live;
  std::vector<std::vector<std::int64_t>> evicted;
  for (std::int64_t t = 0; t < length; ++t) {
    live.push_back(t);
    if (static_cast<std::int64_t>(live.size()) < size.budget + size.window || t + 1 == length) continue;
    std::vector<std::pair<float, std::int64_t>> order;
    for (std::int64_t i = 0; i < size.budget; ++i) {
      const std::int64_t position = live[static_cast<std::size_t>(i)];
      if (position < protected_entries) continue;
      float most = 0;
      for (std::int64_t b = 0; b < blocks; ++b) {
        if (b * size.window >= t + 1) most = std::max(most, attention[b][position].item<float>());
      }
      order.emplace_back(most, position);
    }
    std::sort(order.begin(), order.end());
    std::vector<std::int64_t> gone;
    for (std::int64_t i = 0; i < size.window; ++i) gone.push_back(order[static_cast<std::size_t>(i)].second);
    for (const std::int64_t position : gone) live.erase(std::find(live.begin(), live.end(), position));
    evicted.push_back(gone);
  }
  return evicted;
}

}  // namespace

TEST_CASE("future attention: equals the definition, with a partial last block averaged over its real queries",
          "[golden]") {
  torch::manual_seed(3);
  for (const std::int64_t length : {16, 19, 24}) {
    const torch::Tensor query = torch::randn({6, length, 8}) * 2, key = torch::randn({2, length, 8});
    const torch::Tensor attention = future_attention(query, key, 4);
    const std::vector<double> expected = naive_attention(query, key, 4);
    REQUIRE(attention.numel() == static_cast<std::int64_t>(expected.size()));
    const float* values = attention.const_data_ptr<float>();
    for (std::size_t i = 0; i < expected.size(); ++i)
      REQUIRE(static_cast<double>(values[i]) == Approx(expected[i]).margin(1e-6));
  }
}

TEST_CASE("future attention: packed rows unpack to the causal half in float16", "[golden]") {
  torch::manual_seed(4);
  const OracleDimensions dimensions{.layers = 1, .kv_heads = 2, .tokens = 19, .block_tokens = 4};
  const torch::Tensor attention = future_attention(torch::randn({4, 19, 8}), torch::randn({2, 19, 8}), 4);
  const torch::Tensor back = unpack_windows(pack_attention(attention, dimensions), dimensions, 4, 0, 5);
  CHECK(torch::equal(back, attention.to(torch::kFloat16).to(torch::kFloat32)));
}

TEST_CASE("future attention: a window of several blocks is their mean, weighted by real queries",
          "[golden]") {
  torch::manual_seed(5);
  for (const std::int64_t length : {22, 24, 25, 33}) {
    const torch::Tensor query = torch::randn({4, length, 8}), key = torch::randn({2, length, 8});
    const OracleDimensions dimensions{.layers = 1, .kv_heads = 2, .tokens = length, .block_tokens = 4};
    const torch::Tensor packed = pack_attention(future_attention(query, key, 4), dimensions);
    const torch::Tensor windows = unpack_windows(packed, dimensions, 8, 0, (length + 7) / 8);
    CHECK(torch::allclose(windows, future_attention(query, key, 8), 1e-3, 1e-7));
    CHECK(torch::equal(windows, merge_blocks(unpack_attention(packed, dimensions), 4, 8)));
  }
}

TEST_CASE("future attention: some windows of some heads are those of the whole", "[golden]") {
  torch::manual_seed(9);
  for (const std::int64_t length : {22, 32}) {
    const OracleDimensions dimensions{.layers = 1, .kv_heads = 3, .tokens = length, .block_tokens = 2};
    const torch::Tensor packed = torch::rand({3, dimensions.packed_elements()}).to(torch::kFloat16);
    for (const std::int64_t window : {2, 6}) {
      const std::int64_t windows = (length + window - 1) / window;
      const torch::Tensor whole = unpack_windows(packed, dimensions, window, 0, windows);
      for (std::int64_t first = 0; first < windows; ++first) {
        for (std::int64_t count = 1; first + count <= windows; ++count) {
          const BlockRange blocks = blocks_of_windows(dimensions, window, first, count);
          const torch::Tensor part =
              packed.narrow(0, 1, 2).narrow(1, dimensions.first_element(blocks.first),
                                            dimensions.elements_of_blocks(blocks.first, blocks.count));
          CHECK(torch::equal(unpack_windows(part, dimensions, window, first, count),
                             whole.narrow(0, 1, 2).narrow(1, first, count)));
        }
      }
    }
  }
}

TEST_CASE("future attention: windows that do not fit the recorded blocks or the trace are refused",
          "[golden]") {
  const OracleDimensions dimensions{.layers = 1, .kv_heads = 2, .tokens = 22, .block_tokens = 4};
  const torch::Tensor packed = torch::zeros({2, dimensions.packed_elements()}, torch::kFloat16);
  REQUIRE_THROWS_WITH(unpack_windows(packed, dimensions, 6, 0, 1),
                      Catch::Contains("eviction.window 6 is not a multiple of the recorded block of 4"));
  REQUIRE_THROWS_WITH(unpack_windows(packed, dimensions, 0, 0, 1), Catch::Contains("not a multiple"));
  REQUIRE_THROWS_WITH(unpack_windows(packed, dimensions, 8, 0, 4), Catch::Contains("there are 3"));
  REQUIRE_THROWS_WITH(unpack_windows(packed, dimensions, 8, 0, 2),
                      Catch::Contains("recorded attention: expected shape"));
}

TEST_CASE("golden plan: equals the step-by-step definition on random attention, ties older first",
          "[golden]") {
  torch::manual_seed(6);
  for (const auto& [length, size] : std::vector<std::pair<std::int64_t, CacheSize>>{
           {24, {8, 4}}, {25, {8, 4}}, {31, {4, 4}}, {12, {8, 4}}, {13, {8, 4}}}) {
    const std::int64_t windows = (length + size.window - 1) / size.window;
    // Few distinct values, so that ties are common.
    const torch::Tensor attention = torch::randint(0, 4, {3, windows, length}).to(torch::kFloat32) / 8;
    const torch::Tensor before = attention.clone();
    const GoldenPlan plan = golden_plan(attention, size);
    CHECK(torch::equal(attention, before));
    for (std::int64_t head = 0; head < 3; ++head) {
      const auto expected = naive_plan(attention[head], size);
      REQUIRE(plan.evicted.size(1) == static_cast<std::int64_t>(expected.size()));
      for (std::size_t step = 0; step < expected.size(); ++step) {
        const torch::Tensor row = plan.evicted[head][static_cast<std::int64_t>(step)];
        CHECK(torch::equal(row.to(torch::kInt64), torch::tensor(expected[step], torch::kInt64)));
      }
    }
  }
}

TEST_CASE("golden plan: protected entries never go, and stand among the candidates", "[golden]") {
  torch::manual_seed(12);
  const torch::Tensor attention = torch::randint(0, 4, {2, 8, 61}).to(torch::kFloat32) / 8;
  // Of a prompt of 30 tokens the first budget - window = 16 are protected.
  for (const auto& [size, prompt, protected_entries] :
       std::vector<std::tuple<CacheSize, std::int64_t, std::int64_t>>{{{24, 8, 3, false}, 11, 3},
                                                                      {{24, 8, 3, true}, 11, 11},
                                                                      {{24, 8, 0, true}, 30, 16},
                                                                      {{24, 8, 0, true}, 0, 0}}) {
    const GoldenPlan plan = golden_plan(attention, size, prompt);
    for (std::int64_t head = 0; head < 2; ++head) {
      const auto expected = naive_plan(attention[head], size, protected_entries);
      REQUIRE(plan.evicted.size(1) == static_cast<std::int64_t>(expected.size()));
      for (std::size_t step = 0; step < expected.size(); ++step) {
        const torch::Tensor row = plan.evicted[head][static_cast<std::int64_t>(step)];
        CHECK(torch::equal(row.to(torch::kInt64), torch::tensor(expected[step], torch::kInt64)));
        const torch::Tensor first =
            plan.candidates[head][static_cast<std::int64_t>(step)].narrow(0, 0, protected_entries);
        CHECK(torch::equal(first.to(torch::kInt64), torch::arange(protected_entries)));
      }
    }
  }
}

TEST_CASE("contribution: of every position, the most that a window from the eviction on gives it",
          "[golden]") {
  torch::manual_seed(10);
  for (const auto& [length, size] :
       std::vector<std::pair<std::int64_t, CacheSize>>{{24, {8, 4}}, {31, {4, 4}}, {13, {8, 4}}}) {
    const std::int64_t windows = (length + size.window - 1) / size.window;
    const torch::Tensor attention = torch::rand({3, windows, length});
    std::vector<std::int64_t> steps;
    for (std::int64_t step = size.steps(length) - 1; step >= 0; step -= 2) steps.push_back(step);
    const torch::Tensor found = long_term_contribution(
        3, length, size, steps, [&](std::int64_t head, std::int64_t first, std::int64_t count) {
          return attention[head].narrow(0, first, count).clone();
        });
    REQUIRE(found.sizes() == torch::IntArrayRef({static_cast<std::int64_t>(steps.size()), 3, length}));
    for (std::size_t i = 0; i < steps.size(); ++i) {
      const std::int64_t seen = size.budget + (steps[i] + 1) * size.window;
      for (std::int64_t head = 0; head < 3; ++head) {
        for (std::int64_t position = 0; position < seen; ++position) {
          float most = 0;
          for (std::int64_t window = 0; window < windows; ++window) {
            if (window * size.window < seen) continue;  // it was over when the eviction came
            most = std::max(most, attention[head][window][position].item<float>());
          }
          CHECK(found[static_cast<std::int64_t>(i)][head][position].item<float>() == most);
        }
      }
    }
    CHECK_THROWS_WITH(long_term_contribution(3, length, size, {size.steps(length)},
                                             [&](std::int64_t head, std::int64_t first, std::int64_t count) {
                                               return attention[head].narrow(0, first, count).clone();
                                             }),
                      Catch::Contains("contribution at eviction"));
  }
}

TEST_CASE("golden plan: a long trace is planned from parts of its windows, as from all at once", "[golden]") {
  torch::manual_seed(13);
  constexpr std::int64_t kLength = 3001, kWindows = 751, kMostElements = 1 << 18;
  const CacheSize size{8, 4};
  const torch::Tensor attention = torch::rand({2, kWindows, kLength});
  std::int64_t parts = 0;
  const HeadAttention by_part = [&](std::int64_t head, std::int64_t first, std::int64_t count) {
    CHECK(count * kLength <= kMostElements);
    ++parts;
    return attention[head].narrow(0, first, count).clone();
  };
  const std::int64_t steps = size.steps(kLength);
  const std::vector<std::int64_t> some = {steps - 1, 0, 346, 347, 500};
  const torch::Tensor contribution = long_term_contribution(2, kLength, size, some, by_part);
  CHECK(parts == 2 * 9);  // each part of each head once
  parts = 0;
  const torch::Tensor last = long_term_contribution(2, kLength, size, {steps - 1}, by_part);
  CHECK(parts == 2);  // nothing before the eviction is read
  CHECK(torch::equal(last[0], contribution[0]));
  const GoldenPlan plan = golden_plan(2, kLength, size, 0, by_part);
  CHECK(torch::equal(golden_evicted(2, kLength, size, 0, by_part), plan.evicted));
  for (std::size_t i = 0; i < some.size(); ++i) {
    const std::int64_t row = 2 + some[i] + 1;  // the window after the eviction
    const torch::Tensor most = attention.narrow(1, row, kWindows - row).amax(1);  // [2, L]
    CHECK(torch::equal(contribution[static_cast<std::int64_t>(i)], most));
    const torch::Tensor candidates = plan.candidates.select(1, some[i]).to(torch::kInt64);
    CHECK(torch::equal(plan.contribution.select(1, some[i]), most.gather(1, candidates)));
  }
}

TEST_CASE("golden plan: contribution belongs to the candidates and the evicted ones have the least",
          "[golden]") {
  torch::manual_seed(7);
  const CacheSize size{8, 4};
  const GoldenPlan plan = golden_plan(torch::rand({2, 8, 32}), size);
  REQUIRE(plan.contribution.sizes() == torch::IntArrayRef({2, size.steps(32), 8}));
  const torch::Tensor sorted = std::get<0>(plan.contribution.sort(-1));
  for (std::int64_t head = 0; head < 2; ++head) {
    for (std::int64_t step = 0; step < size.steps(32); ++step) {
      const torch::Tensor index = torch::searchsorted(plan.candidates[head][step], plan.evicted[head][step]);
      CHECK(torch::equal(plan.contribution[head][step].index_select(0, index),
                         sorted[head][step].narrow(0, 0, 4)));
    }
  }
}

TEST_CASE(
    "golden plan: a budget that is no multiple of the window, or attention of another shape, is refused",
    "[golden]") {
  REQUIRE_THROWS_WITH(golden_plan(torch::rand({1, 6, 24}), {10, 4}), Catch::Contains("multiple"));
  REQUIRE_THROWS_WITH(golden_plan(torch::rand({1, 5, 24}), {8, 4}), Catch::Contains("6 windows"));
  REQUIRE_THROWS_WITH(golden_plan(1, 24, {8, 4}, 0,
                                  [](std::int64_t, std::int64_t, std::int64_t) {
                                    return torch::rand({5, 24});
                                  }),
                      Catch::Contains("future attention of a head: expected shape"));
}

TEST_CASE("future attention: probabilities of another shape are refused", "[golden]") {
  REQUIRE_THROWS_WITH(block_mean_attention(torch::rand({2, 3, 4}), 2),
                      Catch::Contains("attention probabilities: expected shape"));
}

TEST_CASE("plan: a file of captured tensors gives attention, evictions and contributions", "[golden]") {
  torch::manual_seed(8);
  const auto folder = std::filesystem::temp_directory_path() / "foresight_test_plan";
  std::filesystem::remove_all(folder);
  std::filesystem::create_directories(folder);
  const torch::Tensor query = torch::randn({4, 40, 8}), key = torch::randn({2, 40, 8});
  write_safetensors(folder / "in.safetensors", {tensor_to_write("query", query), tensor_to_write("key", key)},
                    {});
  plan_file(folder / "in.safetensors", {16, 8}, PlanPrecision::kFloat32, folder / "out.safetensors");
  const SafetensorsFile out(folder / "out.safetensors");
  const torch::Tensor attention = future_attention(query, key, 8);
  CHECK(torch::equal(view_tensor(out.at("future_attention")), attention));
  const GoldenPlan plan = golden_plan(attention, {16, 8});
  CHECK(torch::equal(view_tensor(out.at("evicted")), plan.evicted.to(torch::kInt64)));
  CHECK(torch::equal(view_tensor(out.at("candidates")), plan.candidates.to(torch::kInt64)));
  CHECK(view_tensor(out.at("contribution")).sizes() == torch::IntArrayRef({2, 2, 16}));
  SECTION("shapes that do not fit") {
    write_safetensors(folder / "bad.safetensors",
                      {tensor_to_write("query", query), tensor_to_write("key", torch::randn({3, 40, 8}))},
                      {});
    REQUIRE_THROWS_WITH(plan_file(folder / "bad.safetensors", {16, 8}, PlanPrecision::kFloat32, folder / "o"),
                        Catch::Contains("query [H, L, d]"));
  }
  SECTION("a missing tensor") {
    write_safetensors(folder / "bad.safetensors", {tensor_to_write("query", query)}, {});
    REQUIRE_THROWS_WITH(plan_file(folder / "bad.safetensors", {16, 8}, PlanPrecision::kFloat32, folder / "o"),
                        Catch::Contains("key"));
  }
  SECTION("a budget that is no multiple") {
    REQUIRE_THROWS_WITH(plan_file(folder / "in.safetensors", {12, 8}, PlanPrecision::kFloat32, folder / "o"),
                        Catch::Contains("multiple"));
  }
  SECTION("whole numbers") {
    write_safetensors(folder / "bad.safetensors",
                      {tensor_to_write("query", query.to(torch::kInt32)), tensor_to_write("key", key)}, {});
    REQUIRE_THROWS_WITH(plan_file(folder / "bad.safetensors", {16, 8}, PlanPrecision::kFloat32, folder / "o"),
                        Catch::Contains("bad.safetensors: query and key must be floating point"));
  }
  SECTION("NaN") {
    query[0][0][0] = NAN;
    write_safetensors(folder / "bad.safetensors",
                      {tensor_to_write("query", query), tensor_to_write("key", key)}, {});
    REQUIRE_THROWS_WITH(plan_file(folder / "bad.safetensors", {16, 8}, PlanPrecision::kFloat32, folder / "o"),
                        Catch::Contains("NaN"));
  }
  std::filesystem::remove_all(folder);
}
