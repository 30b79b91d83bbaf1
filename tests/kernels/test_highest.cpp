#include "trainer/kernels/highest.h"

#include <torch/types.h>

#include <limits>

#include "tests/catch.h"

using foresight::kernels::highest;

namespace {

torch::Tensor sorted(const torch::Tensor& values, std::int64_t count) {
  const auto order = std::get<1>(torch::sort(values, /*stable=*/true, /*dim=*/-1, /*descending=*/true));
  return order.narrow(-1, 0, count);
}

}  // namespace

TEST_CASE("highest: a stable sort's first, of rows with many equal numbers too") {
  const auto [entries, count] = GENERATE(table<int, int>({{1, 1}, {7, 7}, {40, 1}, {300, 65}, {1025, 1024}}));
  torch::manual_seed(entries);
  const torch::Tensor smooth = torch::randn({3, 2, entries}),
                      coarse = torch::randint(-2, 3, {3, 2, entries}).to(torch::kFloat32);
  for (const torch::Tensor& values : {smooth, coarse, coarse * -0.0, smooth.to(torch::kFloat64)}) {
    CHECK(torch::equal(highest(values, count), sorted(values, count)));
    CHECK(torch::equal(highest(values.transpose(0, 1), count), sorted(values.transpose(0, 1), count)));
  }
}

TEST_CASE("highest: bounds of floats, and what is no number first") {
  constexpr float kInfinity = std::numeric_limits<float>::infinity(),
                  kNothing = std::numeric_limits<float>::quiet_NaN();
  const torch::Tensor values =
      torch::tensor({-kInfinity, 1.0F, -kNothing, kInfinity, -0.0F, 0.0F, kNothing, -1e-40F, 1e-40F});
  CHECK(torch::equal(highest(values, 9), torch::tensor({2, 6, 3, 1, 8, 4, 5, 7, 0})));
  CHECK(torch::equal(highest(values, 9), sorted(values, 9)));
}
