// Tails of the loss rise against values worked out by hand.
#include <torch/types.h>

#include "trainer/evaluation/tails.h"
// after torch: c10 defines CHECK too
#include "tests/catch.h"

using namespace foresight;  // NOLINT(google-build-using-namespace): a test of this namespace

TEST_CASE("tails: percentiles, large rises and the worst tokens of 200 by hand", "[evaluation]") {
  // 0.00, 0.01, .. 1.99 in a shuffled order, over two traces
  torch::manual_seed(3);
  const torch::Tensor all = torch::randperm(200).to(torch::kFloat64) / 100.0;
  const RiseTails tails = rise_tails({all.narrow(0, 0, 90), all.narrow(0, 90, 110)}, 8);
  CHECK(tails.p95 == Approx(0.95 * 1.99));
  CHECK(tails.p99 == Approx(0.99 * 1.99));
  CHECK(tails.large_share == Approx(49.0 / 200));               // 1.51 .. 1.99
  CHECK(tails.worst_percent == Approx((1.98 + 1.99) / 199.0));  // 199 = the sum of all
  REQUIRE(tails.points.size() == 9);
  CHECK(tails.points.front().share == 0.5);
  CHECK(tails.points.front().rise == Approx(0.995));
  CHECK(tails.points.back().share == 0.001);
  CHECK(tails.points.back().rise == Approx(0.999 * 1.99));
}

TEST_CASE("tails: falls count as no part of the rise, and windows slide within a trace", "[evaluation]") {
  const torch::Tensor first = torch::tensor({-4.0, 1.0, 0.0, 2.0, 2.0, -1.0}, torch::kFloat64);
  const torch::Tensor second = torch::tensor({0.5, -0.1}, torch::kFloat64);
  const RiseTails tails = rise_tails({first, second, torch::zeros({0}, torch::kFloat64)}, 3);
  CHECK(tails.worst_percent == Approx(2.0 / 5.5));           // one token of eight
  CHECK(tails.worst_window == Approx((4.0 / 3 + 0.2) / 2));  // 0, 2, 2; and both of the short trace
  CHECK(tails.large_share == Approx(2.0 / 8));
  const RiseTails other = rise_tails({second}, 3);
  const RiseTails mean = mean_tails({tails, other});
  CHECK(mean.worst_window == Approx((tails.worst_window + 0.2) / 2));
  CHECK(mean.p95 == Approx((tails.p95 + other.p95) / 2));
  CHECK(mean.points[0].rise == Approx((tails.points[0].rise + 0.2) / 2));
}

TEST_CASE("tails: nothing that rises, and nothing scored, are zeros", "[evaluation]") {
  for (const torch::Tensor& rises :
       {torch::zeros({12}, torch::kFloat64), torch::zeros({0}, torch::kFloat64)}) {
    const RiseTails tails = rise_tails({rises}, 4);
    CHECK(tails.worst_percent == 0);
    CHECK(tails.p99 == 0);
    CHECK(tails.worst_window == 0);
    CHECK(tails.points.size() == 9);
  }
}
