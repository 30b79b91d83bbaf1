#include <torch/types.h>
#include <torch/utils.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "trainer/eviction/evicting_cache.h"
#include "trainer/scorer/candidate_features.h"
#include "trainer/scorer/entry_scores.h"
#include "trainer/scorer/scorer.h"
// after torch: c10 defines CHECK too
#include "tests/catch.h"

using namespace foresight;  // NOLINT(google-build-using-namespace): a test of this namespace

namespace {

constexpr std::int64_t kWidth = 6;  // d

/// Queries, keys and values of a text, [1, heads, tokens, d] float32 each.
struct Text {
  torch::Tensor query, key, value;
};

/// The attention, in double, of the query of token `token` to those of `positions` that it can see; 0 to the
/// others.
std::vector<double> attention_of(const Text& text, std::int64_t query_head, std::int64_t kv_head,
                                 std::int64_t token, const std::vector<std::int64_t>& positions) {
  const auto query = text.query[0][query_head][token].to(torch::kFloat64);
  std::vector<double> shares;
  double sum = 0;
  for (const std::int64_t position : positions) {
    const auto key = text.key[0][kv_head][position].to(torch::kFloat64);
    const double product = query.dot(key).item<double>() / std::sqrt(static_cast<double>(kWidth));
    shares.push_back(position <= token ? std::exp(product) : 0.0);
    sum += shares.back();
  }
  for (double& share : shares) share /= sum;
  return shares;
}

/// docs/method.md, "The scorer": the eight serving statistics of one candidate and query head, from the
/// attention of the window's last queries to it, oldest first.
std::vector<double> statistics_by_definition(const std::vector<double>& attention) {
  const auto sum_of_last = [&](std::size_t queries) {
    double sum = 0;
    for (std::size_t i = attention.size() - std::min(queries, attention.size()); i < attention.size(); ++i)
      sum += attention[i];
    return sum;
  };
  const double most = *std::max_element(attention.begin(), attention.end()),
               least = *std::min_element(attention.begin(), attention.end());
  double mean = 0;
  for (const double each : attention)
    mean += std::log(1 + 1e6 * each) / static_cast<double>(attention.size());
  return {std::log(1 + 100 * most),
          std::log(1 + 100 * sum_of_last(8)),
          std::log(1 + 100 * sum_of_last(4)),
          std::log(1 + 100 * sum_of_last(2)),
          std::log(1 + 100 * sum_of_last(1)),
          std::log(1 + 1e6 * most),
          mean,
          std::log(1 + 1e6 * least)};
}

/// The largest difference between the statistics among `features` and those by the definition, over all
/// candidates of a view. The view tells which tokens are live, and nothing else.
double most_off(const Text& text, const EvictionView& view, const torch::Tensor& features) {
  const std::int64_t heads = text.key.size(1), group = text.query.size(1) / heads,
                     recent = std::min<std::int64_t>(8, view.window);
  double off = 0;
  for (std::int64_t head = 0; head < heads; ++head) {
    const torch::Tensor live = view.positions[0][head].contiguous();
    const std::vector<std::int64_t> positions(live.data_ptr<std::int64_t>(),
                                              live.data_ptr<std::int64_t>() + live.numel());
    for (std::int64_t g = 0; g < group; ++g) {
      std::vector<std::vector<double>> queries;
      for (std::int64_t token = positions.back() - recent + 1; token <= positions.back(); ++token)
        queries.push_back(attention_of(text, head * group + g, head, token, positions));
      for (std::int64_t entry = 0; entry < view.budget; ++entry) {
        std::vector<double> attention;
        for (const auto& query : queries) attention.push_back(query[static_cast<std::size_t>(entry)]);
        const std::vector<double> expected = statistics_by_definition(attention);
        for (std::int64_t i = 0; i < 8; ++i) {
          const auto found = features[0][head][entry][2 * kWidth + i * group + g].item<double>();
          off = std::max(off, std::abs(found - expected[static_cast<std::size_t>(i)]));
        }
      }
    }
  }
  return off;
}

}  // namespace

TEST_CASE("scorer: serving features are those of the last eight queries of a window, by the definition",
          "[scorer]") {
  const std::int64_t window = GENERATE(16, 8, 4), at_once = GENERATE(16, 3);
  CAPTURE(window, at_once);
  torch::manual_seed(3);
  const std::int64_t budget = 16, heads = 2, group = 3, length = budget + 5 * window;
  ModelShape shape;
  shape.layers = 1;
  shape.query_heads = heads * group;
  shape.kv_heads = heads;
  shape.head_dimension = kWidth;
  const Text text{.query = 2 * torch::randn({1, heads * group, length, kWidth}),
                  .key = 2 * torch::randn({1, heads, length, kWidth}),
                  .value = torch::randn({1, heads, length, kWidth})};
  ScorerFacts facts;
  facts.features = ScorerFeatures::kServing;
  const Scorer scorer = Scorer::random(shape, facts, RandomStream(1, "test"));
  const EvictionSelector follow = scorer_selector(scorer);
  std::int64_t evictions = 0;
  EvictingCache cache(
      shape, RowLayout{}, {budget, window}, kEndless,
      [&](const EvictionView& view) {
        const torch::Tensor features = candidate_features(view, ScorerFeatures::kServing);
        CHECK(features.sizes() == torch::IntArrayRef({1, heads, budget, 2 * kWidth + 8 * group}));
        CHECK(most_off(text, view, features) < 1e-4);
        CHECK(torch::equal(features.narrow(3, 0, kWidth), view.keys.narrow(2, 0, budget)));
        CHECK(torch::equal(features.narrow(3, kWidth, kWidth), view.values.narrow(2, 0, budget)));
        ++evictions;
        return follow(view);
      },
      ModelOptions{});
  for (std::int64_t first = 0; first < length;) {
    const std::int64_t count = std::min({cache.room(), length - first, at_once});
    cache.attend(0, text.query.narrow(2, first, count), text.key.narrow(2, first, count),
                 text.value.narrow(2, first, count));
    first += count;
  }
  CHECK(evictions == 5);
}

TEST_CASE("scorer: serving features need nothing of an entry from earlier windows", "[scorer]") {
  torch::manual_seed(4);
  EvictionView view{.layer = 0,
                    .step = 0,
                    .budget = 8,
                    .window = 4,
                    .keys = torch::randn({2, 1, 12, 4}),
                    .values = torch::randn({2, 1, 12, 4}),
                    .positions = {},
                    .window_statistics = {},
                    .queries = torch::randn({2, 1, 2, 4, 4}),
                    .rule = {},
                    .frequencies = {},
                    .cumulative = {},
                    .decayed = {},
                    .prompt_tokens = {},
                    .protected_entries = {}};
  CHECK(candidate_features(view, ScorerFeatures::kServing).sizes() == torch::IntArrayRef({2, 1, 8, 24}));
}
