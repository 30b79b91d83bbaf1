// The eviction rules against plain loops written from their definitions.
#include <torch/types.h>
#include <torch/utils.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <numeric>
#include <string>
#include <vector>

#include "tests/kernels/statistics_of.h"
#include "tests/tensors.h"
#include "trainer/base/error.h"
#include "trainer/eviction/eviction_view.h"
#include "trainer/eviction/rule_policies.h"

#include "tests/catch.h"

namespace foresight {
namespace {

using Row = std::vector<double>;
using Matrix = std::vector<Row>;

constexpr std::int64_t kRows = 2, kHeads = 3, kBudget = 20, kWindow = 5, kLive = kBudget + kWindow,
                       kHeadSize = 6;

/// The causal softmax [R, K, g, W, N] of a view's queries over its keys, in float64.
torch::Tensor exact_attention(const EvictionView& view) {
  auto logits = torch::matmul(view.queries.to(torch::kFloat64),
                              view.keys.to(torch::kFloat64).unsqueeze(2).transpose(3, 4)) /
                std::sqrt(static_cast<double>(kHeadSize));
  for (std::int64_t query = 0; query + 1 < kWindow; ++query) {
    const std::int64_t future = kBudget + query + 1;
    logits.select(3, query)
        .narrow(-1, future, kLive - future)
        .fill_(-std::numeric_limits<double>::infinity());
  }
  return torch::softmax(logits, -1);
}

/// The same in float32, as the rules are given it.
torch::Tensor attention_of(const EvictionView& view) {
  return exact_attention(view).to(torch::kFloat32);
}

/// A view with random keys and queries, the statistics of their attention, and accumulators that are not its
/// sums.
EvictionView random_view(std::int64_t group, std::int64_t seed) {
  torch::manual_seed(static_cast<std::uint64_t>(seed));
  EvictionView view;
  view.budget = kBudget;
  view.window = kWindow;
  view.keys = torch::randn({kRows, kHeads, kLive, kHeadSize}) + 0.7;
  // Near copies at several distances, so that R-KV finds similar keys.
  for (std::int64_t i = 3; i < kLive; i += 4) {
    view.keys.select(2, i).copy_(view.keys.select(2, i - 3) + 0.1 * torch::randn({kRows, kHeads, kHeadSize}));
  }
  view.values = torch::randn({kRows, kHeads, kLive, kHeadSize});
  view.positions =
      std::get<0>(torch::rand({kRows, kHeads, 60}).argsort(-1, false).narrow(-1, 0, kLive).sort(-1));
  view.queries = 2 * torch::randn({kRows, kHeads, group, kWindow, kHeadSize});
  view.window_statistics = testing::statistics_of(attention_of(view));
  const auto sums = view.statistic(kernels::kSum);
  view.cumulative = sums + torch::rand_like(sums) * 4.0;
  view.decayed = sums + torch::rand_like(sums);
  return view;
}

Row to_row(const torch::Tensor& values) {
  const auto flat = values.to(torch::kFloat64).contiguous().view(-1);
  return {flat.const_data_ptr<double>(), flat.const_data_ptr<double>() + flat.numel()};
}

/// [A, B] as nested vectors.
Matrix to_matrix(const torch::Tensor& values) {
  Matrix result;
  for (std::int64_t i = 0; i < values.size(0); ++i) result.push_back(to_row(values[i]));
  return result;
}

Row max_pool(const Row& values, std::int64_t kernel) {
  const auto size = static_cast<std::int64_t>(values.size());
  Row result;
  for (std::int64_t i = 0; i < size; ++i) {
    double highest_value = -std::numeric_limits<double>::infinity();
    for (std::int64_t j = std::max<std::int64_t>(0, i - kernel / 2); j <= std::min(size - 1, i + kernel / 2);
         ++j) {
      highest_value = std::max(highest_value, values[static_cast<std::size_t>(j)]);
    }
    result.push_back(highest_value);
  }
  return result;
}

double dot(const Row& a, const Row& b) {
  return std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
}

/// Checks scores [R, K, B] against `expected`(row, head), a vector of B values.
template <class Expected>
void require_scores(const torch::Tensor& scores, const Expected& expected, double tolerance = 1e-6) {
  REQUIRE(scores.sizes() == torch::IntArrayRef({kRows, kHeads, kBudget}));
  REQUIRE(scores.scalar_type() == torch::kFloat32);
  for (std::int64_t row = 0; row < kRows; ++row) {
    for (std::int64_t head = 0; head < kHeads; ++head) {
      const Row actual = to_row(scores[row][head]);
      const Row wanted = expected(row, head);
      REQUIRE(wanted.size() >= actual.size());
      for (std::size_t i = 0; i < actual.size(); ++i) {
        REQUIRE(actual[i] == Approx(wanted[i]).epsilon(1e-5).margin(tolerance));
      }
    }
  }
}

/// Minus the mean over the group of `statistic` [R, K, g, N].
auto minus_group_mean(const torch::Tensor& statistic) {
  return [statistic](std::int64_t row, std::int64_t head) {
    const Matrix per_head = to_matrix(statistic[row][head]);
    Row result(static_cast<std::size_t>(kBudget), 0.0);
    for (const Row& one : per_head) {
      for (std::size_t i = 0; i < result.size(); ++i)
        result[i] -= one[i] / static_cast<double>(per_head.size());
    }
    return result;
  };
}

Row rkv_importance_by_loops(const torch::Tensor& attention) {  // [g, W, N]
  const std::int64_t group = attention.size(0);
  Row result(static_cast<std::size_t>(kBudget), 0.0);
  for (std::int64_t query = 0; query < kWindow; ++query) {
    Row merged(static_cast<std::size_t>(kBudget), 0.0);
    for (std::int64_t member = 0; member < group; ++member) {
      const Row probabilities = to_row(attention[member][query]);
      for (std::size_t i = 0; i < merged.size(); ++i) merged[i] = std::max(merged[i], probabilities[i]);
    }
    const double total = std::accumulate(merged.begin(), merged.end(), 0.0);
    for (std::size_t i = 0; i < merged.size(); ++i)
      result[i] += merged[i] / total / static_cast<double>(kWindow);
  }
  return max_pool(result, 7);
}

/// `changed` counts the retained keys, so that the test knows the case occurs.
Row rkv_redundancy_by_loops(const Matrix& keys, std::int64_t& changed) {
  const std::size_t size = keys.size();
  Matrix similarity(size, Row(size, 0.0));
  for (std::size_t i = 0; i < size; ++i) {
    for (std::size_t j = 0; j < size; ++j) {
      if (i != j)
        similarity[i][j] = dot(keys[i], keys[j]) / std::sqrt(dot(keys[i], keys[i]) * dot(keys[j], keys[j]));
    }
  }
  for (std::size_t i = 0; i < size; ++i) {
    std::size_t newest = 0;
    for (std::size_t j = 0; j < size; ++j) {
      if (similarity[i][j] > 0.5) newest = j;
    }
    changed += newest > 0 ? 1 : 0;
    similarity[i][newest] = 0.0;
  }
  Row result(size, 0.0);
  double total = 0.0;
  for (std::size_t j = 0; j < size; ++j) {
    for (std::size_t i = 0; i < size; ++i) result[j] += similarity[i][j] / static_cast<double>(size);
    result[j] = std::exp(result[j]);
    total += result[j];
  }
  for (double& value : result) value /= total;
  return result;
}

TEST_CASE("streaming_llm: sinks stay, and else the newest", "[eviction][unit]") {
  auto view = random_view(1, 41);
  view.positions.narrow(-1, 0, 3).copy_(torch::tensor({0, 1, 3}, torch::kInt64));
  view.positions.narrow(-1, 3, kLive - 3).copy_(torch::arange(4, 4 + kLive - 3));
  const auto scores = streaming_llm_scores(view);
  require_scores(scores, [&](std::int64_t row, std::int64_t head) {
    Row result = to_row(view.positions[row][head]);
    for (double& value : result) value = value < 4.0 ? -std::numeric_limits<float>::max() : -value;
    return result;
  });
  REQUIRE(torch::equal(highest_entries(scores, 3)[1][2], torch::tensor({3, 4, 5}, torch::kInt64)));
  // With every candidate evicted the sinks go last, the oldest of them first.
  REQUIRE(torch::equal(highest_entries(scores, kBudget)[0][0].narrow(0, kBudget - 3, 3),
                       torch::tensor({0, 1, 2}, torch::kInt64)));
}

TEST_CASE("h2o, snapkv and tova: the scores are the loops' over every group size", "[eviction][unit]") {
  for (const std::int64_t group : {1, 3}) {
    const auto view = random_view(group, 42 + group);
    require_scores(h2o_scores(view), minus_group_mean(view.cumulative));
    const auto attention = attention_of(view);
    require_scores(tova_scores(view, attention), minus_group_mean(attention.select(3, kWindow - 1)));
    REQUIRE(
        torch::equal(tova_scores(view, attention.narrow(3, kWindow - 1, 1)), tova_scores(view, attention)));
    const auto mean_attention = minus_group_mean(attention.mean(3));
    for (const std::int64_t kernel : {1, 3, 7}) {
      require_scores(snapkv_scores(view, kernel), [&](std::int64_t row, std::int64_t head) {
        Row importance = mean_attention(row, head);
        for (double& value : importance) value = -value;
        Row pooled = max_pool(importance, kernel);
        for (double& value : pooled) value = -value;
        return pooled;
      });
    }
    REQUIRE(torch::equal(snapkv_scores(view), snapkv_scores(view, 7)));
  }
}

TEST_CASE("keydiff: the scores are cosines with the mean of the unit keys", "[eviction][unit]") {
  const auto view = random_view(3, 46);
  require_scores(keydiff_scores(view), [&](std::int64_t row, std::int64_t head) {
    const Matrix keys = to_matrix(view.keys[row][head]);
    Row anchor(static_cast<std::size_t>(kHeadSize), 0.0);
    for (const Row& key : keys) {
      for (std::size_t i = 0; i < anchor.size(); ++i)
        anchor[i] += key[i] / std::sqrt(dot(key, key)) / static_cast<double>(kLive);
    }
    Row result;
    for (const Row& key : keys)
      result.push_back(dot(key, anchor) / std::sqrt(dot(key, key) * dot(anchor, anchor)));
    return result;
  });
  auto with_zero_key = view;
  with_zero_key.keys = view.keys.clone();
  with_zero_key.keys.select(2, 4).zero_();
  REQUIRE(torch::isfinite(keydiff_scores(with_zero_key)).all().item<bool>());
}

TEST_CASE("rkv: importance and redundancy are the loops' over every group size", "[eviction][unit]") {
  for (const std::int64_t group : {1, 3}) {
    const auto view = random_view(group, 47 + group);
    const auto attention = attention_of(view);
    for (const double weight : {0.0, 0.1, 1.0}) {
      std::int64_t retained = 0;
      require_scores(
          rkv_scores(view, attention, {.importance_weight = weight}),
          [&](std::int64_t row, std::int64_t head) {
            const Row importance = rkv_importance_by_loops(attention[row][head]);
            const Row redundancy = rkv_redundancy_by_loops(to_matrix(view.keys[row][head]), retained);
            Row result;
            for (std::size_t i = 0; i < importance.size(); ++i) {
              result.push_back(-(weight * importance[i] - (1.0 - weight) * redundancy[i]));
            }
            return result;
          },
          1e-7);
      REQUIRE(retained > 0);
    }
    REQUIRE(
        torch::equal(rkv_scores(view, attention), rkv_scores(view, attention, {.importance_weight = 0.1})));
  }
}

TEST_CASE("rkv: a window that sees no candidate gives finite scores", "[eviction][unit]") {
  const auto view = random_view(1, 50);
  auto attention = attention_of(view);
  attention.narrow(-1, 0, kBudget).zero_();
  REQUIRE(torch::isfinite(rkv_scores(view, attention)).all().item<bool>());
}

TEST_CASE("rules: only candidates are scored, whatever the window's accumulators hold", "[eviction][unit]") {
  const auto view = random_view(3, 51);
  auto other = view;
  for (torch::Tensor* tensor : {&other.cumulative, &other.window_statistics}) {
    *tensor = tensor->clone();
    tensor->narrow(-1, kBudget, kWindow).fill_(100.0);
  }
  REQUIRE(torch::equal(h2o_scores(view), h2o_scores(other)));
  REQUIRE(torch::equal(snapkv_scores(view), snapkv_scores(other)));
}

TEST_CASE("rules: bfloat16 keys give float32 scores", "[eviction][unit]") {
  auto view = random_view(1, 52);
  const auto attention = attention_of(view);
  view.keys = view.keys.to(torch::kBFloat16);
  auto exact = view;
  exact.keys = view.keys.to(torch::kFloat32);
  REQUIRE(torch::equal(keydiff_scores(view), keydiff_scores(exact)));
  REQUIRE(torch::equal(rkv_scores(view, attention), rkv_scores(exact, attention)));
}

TEST_CASE("rules: rows are scored alone", "[eviction][unit]") {
  const auto view = random_view(3, 53);
  const auto second = view.rows(1, 1);
  const auto attention = attention_of(view), of_second = attention.narrow(0, 1, 1);
  REQUIRE(second.keys.sizes() == torch::IntArrayRef({1, kHeads, kLive, kHeadSize}));
  REQUIRE(second.budget == kBudget);
  REQUIRE(torch::equal(rkv_scores(second, of_second)[0], rkv_scores(view, attention)[1]));
  REQUIRE(torch::equal(keydiff_scores(second)[0], keydiff_scores(view)[1]));
  REQUIRE(torch::equal(h2o_scores(second)[0], h2o_scores(view)[1]));
  REQUIRE(torch::equal(tova_scores(second, of_second)[0], tova_scores(view, attention)[1]));
  REQUIRE(torch::equal(attention_of_last(second, 3)[0], attention_of_last(view, 3)[1]));
  REQUIRE(torch::equal(snapkv_scores(second)[0], snapkv_scores(view)[1]));
  REQUIRE(torch::equal(streaming_llm_scores(second)[0], streaming_llm_scores(view)[1]));
  EvictionView partial;
  partial.positions = view.positions;
  REQUIRE_FALSE(partial.rows(0, 1).keys.defined());
}

TEST_CASE("random: the noise is the score", "[eviction][unit]") {
  const auto view = random_view(1, 54);
  const auto noise = torch::rand({kRows, kHeads, kBudget});
  REQUIRE(torch::equal(random_scores(view, noise), noise));
}

TEST_CASE("highest: by falling score, ties to the older entry", "[eviction][unit]") {
  torch::manual_seed(55);
  const auto scores = torch::randint(0, 4, {kRows, kHeads, 300}).to(torch::kFloat32);
  const auto picked = highest_entries(scores, 120);
  REQUIRE(picked.sizes() == torch::IntArrayRef({kRows, kHeads, 120}));
  REQUIRE(picked.scalar_type() == torch::kInt64);
  for (std::int64_t row = 0; row < kRows; ++row) {
    for (std::int64_t head = 0; head < kHeads; ++head) {
      const Row values = to_row(scores[row][head]);
      std::vector<std::int64_t> order(values.size());
      std::iota(order.begin(), order.end(), 0);
      std::sort(order.begin(), order.end(), [&](std::int64_t a, std::int64_t b) {
        const double left = values[static_cast<std::size_t>(a)], right = values[static_cast<std::size_t>(b)];
        return left != right ? left > right : a < b;
      });
      order.resize(120);
      REQUIRE(torch::equal(picked[row][head], torch::tensor(order, torch::kInt64)));
    }
  }
}

TEST_CASE("rules: views that do not fit are refused", "[eviction][unit]") {
  const auto refuses = [](const auto& call, const std::string& name) {
    try {
      call();
    } catch (const Error& error) {
      return error.kind() == ErrorKind::kInternal &&
             std::string(error.what()).find(name) != std::string::npos;
    }
    return false;
  };
  auto view = random_view(1, 56);
  const auto attention = attention_of(view);
  view.cumulative = view.cumulative.narrow(-1, 0, kBudget);
  view.keys = view.keys.narrow(2, 0, kBudget);
  view.positions = torch::Tensor();
  REQUIRE(refuses([&] { h2o_scores(view); }, "cumulative"));
  REQUIRE(refuses([&] { keydiff_scores(view); }, "keys"));
  REQUIRE(refuses([&] { rkv_scores(view, attention); }, "keys"));
  view.values = view.keys;
  REQUIRE(refuses([&] { vase_scores(view, attention, torch::rand({kRows, kHeads, kBudget})); }, "values"));
  REQUIRE(refuses([&] { vase_scores(view, attention, torch::rand({kRows, kHeads, kBudget - 1})); }, "noise"));
  REQUIRE(refuses([&] { tova_scores(view, attention.narrow(-1, 0, kBudget)); }, "attention"));
  REQUIRE(refuses([&] { streaming_llm_scores(view); }, "positions"));
  REQUIRE(refuses([&] { snapkv_scores(view, 4); }, "kernel"));
  REQUIRE(refuses([&] { random_scores(view, torch::rand({kRows, kHeads, kBudget + 1})); }, "noise"));
  REQUIRE(refuses([&] { highest_entries(torch::rand({2, 3}), 4); }, "4 entries"));
  REQUIRE(refuses([&] { highest_entries(torch::rand({2, 3}), 0); }, "0 entries"));
}

}  // namespace
}  // namespace foresight
