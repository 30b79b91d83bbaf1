#include <torch/types.h>
#include <torch/utils.h>

#include "trainer/base/error.h"
#include "trainer/model/few_rows_linear.h"
// after torch: c10 defines CHECK too
#include "tests/catch.h"

using namespace foresight;  // NOLINT(google-build-using-namespace): a test of this namespace

TEST_CASE("few_rows_linear is the product, whatever the sizes") {
  torch::manual_seed(1);
  for (const std::int64_t rows : {0, 1, 2, 3, 4, 5, 7, 8, 11, 16}) {
    for (const std::int64_t width : {1, 7, 8, 9, 64, 577}) {
      for (const std::int64_t outputs : {1, 2, 3, 8, 9, 130}) {
        CAPTURE(rows, width, outputs);
        const torch::Tensor input = torch::randn({rows, width}), weight = torch::randn({outputs, width});
        const torch::Tensor exact = torch::linear(input.to(torch::kFloat64), weight.to(torch::kFloat64));
        const torch::Tensor found = few_rows_linear(input, weight);
        REQUIRE(found.sizes() == exact.sizes());
        // A sum of `width` terms of about one is off by at most `width` roundings of float32.
        const double absolute = 1.2e-7 * static_cast<double>(width);
        REQUIRE(torch::allclose(found.to(torch::kFloat64), exact, 1e-6, absolute));
      }
    }
  }
}

TEST_CASE("few_rows_linear takes rows of any leading shape, contiguous or not") {
  const torch::Tensor weight = torch::randn({10, 24}), wide = torch::randn({2, 3, 48});
  const torch::Tensor input = wide.narrow(2, 7, 24);
  const torch::Tensor found = few_rows_linear(input, weight);
  CHECK(found.sizes() == torch::IntArrayRef({2, 3, 10}));
  CHECK(torch::allclose(found, torch::linear(input, weight), 1e-6, 24 * 1.2e-7));
}

TEST_CASE("A row of few_rows_linear depends on neither the rows beside it nor the number of threads") {
  torch::manual_seed(2);
  const torch::Tensor input = torch::randn({kFewRows, 576}), weight = torch::randn({1000, 576});
  const torch::Tensor together = few_rows_linear(input, weight);
  for (std::int64_t row = 0; row < kFewRows; ++row)
    REQUIRE(torch::equal(few_rows_linear(input[row], weight), together[row]));
  const int threads = torch::get_num_threads();
  torch::set_num_threads(threads == 1 ? 2 : 1);
  CHECK(torch::equal(few_rows_linear(input, weight), together));
  torch::set_num_threads(threads);
}

TEST_CASE("few_rows_linear refuses what it is not made for") {
  const torch::Tensor weight = torch::randn({10, 24});
  for (const torch::Tensor& input :
       {torch::randn({kFewRows + 1, 24}), torch::randn({2, 23}), torch::randn({2, 24}, torch::kFloat64)}) {
    CHECK_FALSE(suits_few_rows(input, weight));
    CHECK_THROWS_AS(few_rows_linear(input, weight), Error);
  }
  CHECK_FALSE(suits_few_rows(torch::randn({2, 10}), weight.t()));
}
