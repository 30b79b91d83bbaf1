// The ranking loss against its definition (loops over all pairs), torch's gradient, finite differences and
// the authors' released function.
#include <torch/types.h>
#include <torch/utils.h>

#include <algorithm>
#include <limits>
#include <numeric>
#include <set>
#include <vector>

#include "tests/supervised/all_pairs.h"
#include "tests/supervised/mean_ranking_loss.h"
#include "tests/tensors.h"
#include "trainer/base/error.h"
#include "trainer/supervised/ranking_loss.h"

#include "tests/catch.h"

namespace foresight {
namespace {

using testing::all_close;

/// Loss by the definition: three loops in double.
double loss_by_loops(const torch::Tensor& scores, const torch::Tensor& oracle, double margin,
                     PairWeight weight = PairWeight::kUniform) {
  const auto score = scores.detach().to(torch::kFloat64), wish = oracle.to(torch::kFloat64);
  const auto s = score.accessor<double, 2>(), o = wish.accessor<double, 2>();
  double total = 0.0;
  std::int64_t rows = 0;
  for (std::int64_t r = 0; r < s.size(0); ++r) {
    double row = 0.0, pairs = 0.0;
    for (std::int64_t i = 0; i < s.size(1); ++i) {
      for (std::int64_t j = 0; j < s.size(1); ++j) {
        if (o[r][i] <= o[r][j]) continue;
        const double pair = weight == PairWeight::kUniform ? 1.0 : o[r][i] - o[r][j];
        pairs += pair;
        row += pair * std::max(0.0, margin - (s[r][i] - s[r][j]));
      }
    }
    if (pairs > 0) total += row / pairs;
    rows += pairs > 0 ? 1 : 0;
  }
  return rows == 0 ? 0.0 : total / static_cast<double>(rows);
}

struct ValueAndGradient {
  double value;
  torch::Tensor gradient;
};

template <class Loss>
ValueAndGradient differentiate(const Loss& loss, const torch::Tensor& scores, const torch::Tensor& oracle,
                               double margin, PairWeight weight = PairWeight::kUniform) {
  const auto leaf = scores.detach().clone().set_requires_grad(true);
  const auto value = loss(leaf, oracle, margin, weight);
  value.backward();
  return {value.template item<double>(), leaf.grad()};
}

void require_same(const torch::Tensor& scores, const torch::Tensor& oracle, double margin) {
  for (const PairWeight weight : {PairWeight::kUniform, PairWeight::kGap}) {
    const auto fast = differentiate(pairwise_ranking_loss, scores, oracle, margin, weight);
    const auto plain = differentiate(pairwise_ranking_loss_all_pairs, scores, oracle, margin, weight);
    const double tolerance = scores.scalar_type() == torch::kFloat64 ? 1e-12 : 1e-5;
    REQUIRE(fast.value ==
            Approx(loss_by_loops(scores, oracle, margin, weight)).epsilon(tolerance).margin(1e-12));
    REQUIRE(fast.value == Approx(plain.value).epsilon(tolerance).margin(1e-12));
    REQUIRE(all_close(fast.gradient, plain.gradient, tolerance, tolerance * 1e-2));
  }
}

TEST_CASE("ranking loss: the sweep equals the pairs on random rows", "[supervised][unit]") {
  torch::manual_seed(11);
  for (const std::int64_t entries : {2, 3, 7, 16, 65, 128}) {
    for (const double margin : {0.0, 0.01, 0.5, 10.0}) {
      const auto options = torch::TensorOptions(torch::kFloat64);
      require_same(torch::randn({5, entries}, options), torch::randn({5, entries}, options), margin);
    }
  }
}

TEST_CASE("ranking loss: ties in scores and in the oracle are handled as the definition says",
          "[supervised][unit]") {
  torch::manual_seed(12);
  for (int repeat = 0; repeat < 20; ++repeat) {
    // Multiples of 1/8 with a margin of 1/4: many equal scores and many pairs exactly at the kink, all exact
    // in binary.
    const auto scores = torch::randint(-6, 6, {4, 24}).to(torch::kFloat64) / 8.0;
    const auto oracle = torch::randint(0, 5, {4, 24}).to(torch::kFloat64);
    require_same(scores, oracle, 0.25);
    require_same(scores, oracle, 0.2);
    require_same(scores.to(torch::kFloat32), oracle.to(torch::kFloat32), 0.25);
  }
}

TEST_CASE("ranking loss: a full-size float32 row agrees with the pairs", "[supervised][unit]") {
  torch::manual_seed(13);
  const auto oracle = -torch::rand({3, 1000}).pow(8);
  const auto scores = torch::randn({3, 1000}) * 0.02;
  const auto fast = differentiate(pairwise_ranking_loss, scores, oracle, 0.01);
  REQUIRE(fast.value == Approx(loss_by_loops(scores, oracle, 0.01)).epsilon(1e-6));
  const auto exact = differentiate(pairwise_ranking_loss_all_pairs, scores.to(torch::kFloat64),
                                   oracle.to(torch::kFloat64), 0.01);
  REQUIRE(all_close(fast.gradient, exact.gradient, 1e-5, 1e-9));
}

TEST_CASE("ranking loss: the gradient matches finite differences away from kinks", "[supervised][unit]") {
  torch::manual_seed(14);
  const double margin = 0.3;
  torch::Tensor scores;
  double nearest_kink = 0.0;
  while (nearest_kink < 1e-3) {
    scores = torch::randn({3, 10}, torch::kFloat64);
    nearest_kink = (scores.unsqueeze(2) - scores.unsqueeze(1) - margin).abs().min().item<double>();
  }
  const auto oracle = torch::randint(0, 6, {3, 10}).to(torch::kFloat64);
  for (const PairWeight weight : {PairWeight::kUniform, PairWeight::kGap}) {
    const auto expected = testing::finite_difference_gradient(
        [&](const torch::Tensor& x) { return pairwise_ranking_loss(x, oracle, margin, weight); }, scores);
    REQUIRE(all_close(differentiate(pairwise_ranking_loss, scores, oracle, margin, weight).gradient, expected,
                      1e-7, 1e-9));
  }
}

TEST_CASE("ranking loss: the released function's values and gradients are reproduced", "[supervised][unit]") {
  const auto vectors = testing::load_reference_vectors("pairwise_loss");
  const auto& scores = vectors.at("model_scores");
  const auto& oracle = vectors.at("oracle_scores");
  const auto fast = differentiate(pairwise_ranking_loss, scores, oracle, 0.01);
  REQUIRE(fast.value == Approx(vectors.at("loss").item<double>()).epsilon(1e-5));
  REQUIRE(all_close(fast.gradient, vectors.at("grad_model_scores"), 1e-5, 1e-7));
  const auto rows = pairwise_ranking_rows(scores, oracle, 0.01);
  REQUIRE(all_close(rows.losses, vectors.at("per_row_loss"), 1e-5, 1e-7));
  REQUIRE_FALSE(rows.has_pair[2].item<bool>());
  REQUIRE(rows.has_pair.sum().item<std::int64_t>() == scores.size(0) - 1);
}

TEST_CASE("ranking loss: without a strict pair it is 0 with zero gradient on the graph",
          "[supervised][unit]") {
  const auto tied = differentiate(pairwise_ranking_loss, torch::randn({2, 6}), torch::ones({2, 6}), 0.01);
  REQUIRE(tied.value == 0.0);
  REQUIRE(torch::equal(tied.gradient, torch::zeros({2, 6})));
  const auto single = differentiate(pairwise_ranking_loss, torch::randn({4, 1}), torch::randn({4, 1}), 0.01);
  REQUIRE(single.value == 0.0);
  REQUIRE(torch::equal(single.gradient, torch::zeros({4, 1})));
  const auto plain =
      differentiate(pairwise_ranking_loss_all_pairs, torch::randn({4, 1}), torch::randn({4, 1}), 0.01);
  REQUIRE(plain.value == 0.0);
}

TEST_CASE("ranking loss: the gradient from above scales it and none reaches the oracle",
          "[supervised][unit]") {
  torch::manual_seed(15);
  const auto scores = torch::randn({2, 9}, torch::kFloat64), oracle = torch::randn({2, 9}, torch::kFloat64);
  const auto leaf = scores.clone().set_requires_grad(true);
  const auto wish = oracle.clone().set_requires_grad(true);
  (pairwise_ranking_loss(leaf * 2.0, wish, 0.1) * 3.0).backward();
  const auto inner = differentiate(pairwise_ranking_loss_all_pairs, scores * 2.0, oracle, 0.1).gradient;
  REQUIRE(all_close(leaf.grad(), inner * 6.0, 1e-12, 1e-14));
  REQUIRE_FALSE(wish.grad().defined());
}

TEST_CASE("ranking loss: the number of threads does not change a bit", "[supervised][unit]") {
  torch::manual_seed(16);
  const auto scores = torch::randn({33, 70}), oracle = torch::randn({33, 70});
  const int threads = at::get_num_threads();
  at::set_num_threads(1);
  const auto one = differentiate(pairwise_ranking_loss, scores, oracle, 0.1);
  at::set_num_threads(3);
  const auto three = differentiate(pairwise_ranking_loss, scores, oracle, 0.1);
  at::set_num_threads(threads);
  REQUIRE(one.value == three.value);
  REQUIRE(torch::equal(one.gradient, three.gradient));
}

TEST_CASE("ranking loss: wrong input is refused", "[supervised][unit]") {
  const auto good = torch::randn({2, 4});
  const auto kind_of = [](const auto& call) {
    try {
      call();
    } catch (const Error& error) {
      return error.kind();
    }
    return ErrorKind::kInterrupted;
  };
  REQUIRE(kind_of([&] { pairwise_ranking_loss(good, torch::randn({2, 5}), 0.01); }) == ErrorKind::kInternal);
  REQUIRE(kind_of([&] { pairwise_ranking_loss(good[0], good[0], 0.01); }) == ErrorKind::kInternal);
  REQUIRE(kind_of([&] { pairwise_ranking_loss(good, good.to(torch::kFloat64), 0.01); }) ==
          ErrorKind::kInternal);
  REQUIRE(kind_of([&] { pairwise_ranking_loss(good, good, -1.0); }) == ErrorKind::kInternal);
  REQUIRE(kind_of([&] { pairwise_ranking_loss(good, good, std::numeric_limits<double>::quiet_NaN()); }) ==
          ErrorKind::kInternal);
  const auto broken = torch::full({2, 4}, std::numeric_limits<float>::quiet_NaN());
  REQUIRE(kind_of([&] { pairwise_ranking_loss(broken, good, 0.01); }) == ErrorKind::kNumeric);
  REQUIRE(kind_of([&] { pairwise_ranking_loss(good, broken, 0.01); }) == ErrorKind::kNumeric);
  REQUIRE(kind_of([&] { top_overlap(good, good, 0); }) == ErrorKind::kInternal);
  REQUIRE(kind_of([&] { top_overlap(good, good, 5); }) == ErrorKind::kInternal);
  REQUIRE(kind_of([&] { top_overlap(good, torch::randn({2, 5}), 1); }) == ErrorKind::kInternal);
}

/// The first `count` indices by falling value, ties to the lower index.
std::set<std::int64_t> top_by_loops(const torch::Tensor& values, std::int64_t count) {
  std::vector<std::int64_t> order(static_cast<std::size_t>(values.size(0)));
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(), [&](std::int64_t a, std::int64_t b) {
    const double left = values[a].item<double>(), right = values[b].item<double>();
    return left != right ? left > right : a < b;
  });
  return {order.begin(), order.begin() + count};
}

TEST_CASE("top overlap: the shared entries are counted, ties to the older", "[supervised][unit]") {
  torch::manual_seed(17);
  const auto scores = torch::randint(0, 6, {6, 20}).to(torch::kFloat32);
  const auto oracle = torch::randint(0, 6, {6, 20}).to(torch::kFloat32);
  for (const std::int64_t count : {1, 5, 20}) {
    const auto overlap = top_overlap(scores, oracle, count);
    for (std::int64_t row = 0; row < 6; ++row) {
      const auto mine = top_by_loops(scores[row], count), golden = top_by_loops(oracle[row], count);
      const auto shared = std::count_if(mine.begin(), mine.end(), [&](auto i) { return golden.contains(i); });
      REQUIRE(overlap[row].item<double>() ==
              Approx(static_cast<double>(shared) / static_cast<double>(count)));
    }
  }
  REQUIRE(top_overlap(torch::tensor({{1.0F, 1.0F, 1.0F}}), torch::tensor({{0.0F, 2.0F, 2.0F}}), 1)
              .item<float>() == 0.0F);
  REQUIRE(top_overlap(torch::tensor({{1.0F, 1.0F, 1.0F}}), torch::tensor({{2.0F, 2.0F, 0.0F}}), 1)
              .item<float>() == 1.0F);
}

}  // namespace
}  // namespace foresight
