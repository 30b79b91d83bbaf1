// What a view says of its window's attention, against the attention by its definition.
#include "trainer/eviction/eviction_view.h"

#include <torch/types.h>
#include <torch/utils.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <utility>

#include "tests/kernels/statistics_of.h"
#include "trainer/base/error.h"
#include "trainer/eviction/evicting_cache.h"
#include "trainer/eviction/rule_policies.h"
// after torch: c10 defines CHECK too
#include "tests/catch.h"

namespace foresight {
namespace {

constexpr std::int64_t kRows = 2, kHeads = 2, kGroup = 3, kBudget = 48;

/// Queries [R, H, L, d], keys and values [R, K, L, d] of a text, and what its attention goes through.
struct Text {
  torch::Tensor query, key, value;
  AttentionRule rule;
};

/// A text of bfloat16 numbers, so that no cache and no processor rounds them.
Text random_text(std::int64_t length, std::int64_t width, const AttentionRule& rule) {
  const auto numbers = [&](std::int64_t heads) {
    return (1.5 * torch::randn({kRows, heads, length, width})).to(torch::kBFloat16).to(torch::kFloat32);
  };
  return {.query = numbers(kHeads * kGroup), .key = numbers(kHeads), .value = numbers(kHeads), .rule = rule};
}

/// Of keys or values [R, K, L, d] those at `positions` [R, K, N], in float64.
torch::Tensor at_positions(const torch::Tensor& vectors, const torch::Tensor& positions) {
  auto size = positions.sizes().vec();
  size.push_back(vectors.size(3));
  return vectors.gather(2, positions.unsqueeze(3).expand(size)).to(torch::kFloat64);
}

/// The attention, in float64, of the text's tokens from `first`, `count` of them, to the tokens at
/// `positions` [R, K, N]: [R, K, g, count, N].
torch::Tensor attention_by_definition(const Text& text, const torch::Tensor& positions, std::int64_t first,
                                      std::int64_t count) {
  const auto query = text.query.unflatten(1, {kHeads, kGroup}).narrow(3, first, count).to(torch::kFloat64);
  const auto keys = at_positions(text.key, positions);  // [R, K, N, d]
  auto scores =
      torch::matmul(query, keys.unsqueeze(2).transpose(3, 4)) / std::sqrt(static_cast<double>(keys.size(3)));
  if (text.rule.score_cap > 0) scores = text.rule.score_cap * torch::tanh(scores / text.rule.score_cap);
  const auto tokens = torch::arange(first, first + count).view({count, 1});
  scores = scores.masked_fill(positions.view({kRows, kHeads, 1, 1, -1}) > tokens,
                              -std::numeric_limits<double>::infinity());
  const auto powers = scores.exp();
  auto sum = powers.sum(-1, /*keepdim=*/true);
  if (text.rule.sinks.defined()) sum = sum + text.rule.sinks.view({kHeads, kGroup, 1, 1}).exp();
  return powers / sum;
}

double largest_difference(const torch::Tensor& one, const torch::Tensor& other) {
  REQUIRE(one.sizes() == other.sizes());
  return (one.to(torch::kFloat64) - other.to(torch::kFloat64)).abs().max().item<double>();
}

torch::Tensor evicted_by_position(const EvictionView& view) {
  const auto head = torch::arange(kHeads).view({1, -1, 1});
  const auto positions = view.positions.narrow(2, 0, view.budget);
  return highest_entries((positions * (7 + 4 * head) % 13).to(torch::kFloat32), view.window);
}

ModelShape shape_of(const Text& text) {
  ModelShape shape;
  shape.layers = 1;
  shape.query_heads = kHeads * kGroup;
  shape.kv_heads = kHeads;
  shape.head_dimension = text.query.size(3);
  shape.score_cap = text.rule.score_cap;
  return shape;
}

/// Runs the text through a cache, `at_once` tokens at a time, and compares outputs and views.
void compare_windows(const Text& text, std::int64_t window, std::int64_t at_once,
                     const ModelOptions& options) {
  const std::int64_t length = text.query.size(2);
  torch::Tensor positions;  // those live after the last eviction, and what came since
  std::int64_t evictions = 0;
  EvictingCache cache(
      shape_of(text), RowLayout{.traces = kRows}, {kBudget, window}, length,
      [&](const EvictionView& view) {
        const std::int64_t last = kBudget + (view.step + 1) * window;
        const auto expected = attention_by_definition(text, view.positions, last - window, window);
        CHECK(largest_difference(view.window_statistics, testing::statistics_of(expected)) < 2e-5);
        for (const std::int64_t count : {std::int64_t{1}, std::int64_t{3}, window}) {
          CHECK(largest_difference(attention_of_last(view, count),
                                   expected.narrow(3, window - count, count)) < 2e-6);
        }
        CHECK(
            torch::equal(attention_of_last(view.rows(1, 1), 3), attention_of_last(view, 3).narrow(0, 1, 1)));
        CHECK(torch::equal(view.rows(1, 1).window_statistics, view.window_statistics.narrow(0, 1, 1)));
        ++evictions;
        const auto evicted = evicted_by_position(view);
        positions =
            view.positions
                .masked_select(torch::ones_like(view.positions, torch::kBool).scatter(2, evicted, false))
                .view({kRows, kHeads, kBudget});
        return evicted;
      },
      options);
  // A probability rounded to bfloat16 is off by 2^-9 of itself; values are below 8.
  const double tolerance = options.dtype == torch::kBFloat16 ? 8.0 / 512 : 2e-5;
  for (std::int64_t first = 0; first < length;) {
    const std::int64_t count = std::min({cache.room(), length - first, at_once});
    const auto own = torch::arange(first, first + count).expand({kRows, kHeads, count});
    const auto live = positions.defined() ? torch::cat({positions, own}, 2) : own;
    const auto expected = torch::matmul(attention_by_definition(text, live, first, count),
                                        at_positions(text.value, live).unsqueeze(2));
    positions = live;  // an eviction changes them
    const auto output = cache.attend(0, text.query.narrow(2, first, count), text.key.narrow(2, first, count),
                                     text.value.narrow(2, first, count), text.rule.sinks);
    CHECK(largest_difference(output, expected.flatten(1, 2)) < tolerance);
    first += count;
  }
  CHECK(evictions == 3);
}

}  // namespace

TEST_CASE("eviction view: statistics and single queries' attention are those by the definition",
          "[eviction]") {
  const std::string kind = GENERATE("plain", "sinks", "cap", "wide");
  // Windows that hold more and fewer queries than each partial sum, whole and in pieces.
  const auto [window, at_once] = GENERATE(std::pair(40, 64), std::pair(40, 7), std::pair(12, 1));
  const torch::ScalarType cache_type = GENERATE(torch::kFloat32, torch::kBFloat16);
  const bool rounds = GENERATE(false, true);
  INFO(kind << ", window " << window << ", " << at_once << " at once, " << torch::toString(cache_type)
            << (rounds ? ", rounds" : ""));
  torch::manual_seed(17);
  AttentionRule rule;
  if (kind == "sinks") rule.sinks = 2 * torch::randn({kHeads * kGroup});
  if (kind == "cap") rule.score_cap = 1.5;
  // Heads of 260 numbers are too wide for the kernels.
  const Text text = random_text(kBudget + 3 * window + 5, kind == "wide" ? 260 : 16, rule);
  ModelOptions options;
  options.cache_dtype = cache_type;
  options.dtype = rounds ? torch::kBFloat16 : torch::kFloat32;
  compare_windows(text, window, at_once, options);
}

TEST_CASE("eviction view: the attention of no query, of more than there are, and of none kept, is refused",
          "[eviction]") {
  EvictionView view;
  view.budget = 4;
  view.window = 2;
  view.keys = torch::zeros({1, 2, 6, 4});
  CHECK_THROWS_WITH(attention_of_last(view, 2), Catch::Contains("queries of the eviction view"));
  view.queries = torch::zeros({1, 2, 3, 2, 4});
  CHECK(attention_of_last(view, 2).sizes() == torch::IntArrayRef({1, 2, 3, 2, 6}));
  for (const std::int64_t count : {0, 3})
    CHECK_THROWS_WITH(attention_of_last(view, count), Catch::Contains("of 2 queries"));
  view.keys = view.keys.narrow(2, 0, 5);
  CHECK_THROWS_WITH(attention_of_last(view, 1), Catch::Contains("keys of the eviction view"));
}

}  // namespace foresight
