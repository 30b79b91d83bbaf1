#include <torch/types.h>
#include <torch/utils.h>

#include "trainer/base/error.h"
#include "trainer/model/few_rows.h"
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

TEST_CASE("Batched products and sums of few rows are those of the library, of parts of a buffer too") {
  torch::manual_seed(3);
  for (const std::int64_t rows : {1, 3, 4, 7, 16}) {
    for (const std::int64_t length : {1, 5, 70}) {
      for (const std::int64_t width : {1, 8, 40, 64, 75}) {
        CAPTURE(rows, length, width);
        const torch::Tensor matrices = torch::randn({3, length + 9, width}).narrow(1, 2, length);
        const torch::Tensor queries = torch::randn({3, rows, width}),
                            weights = torch::rand({3, rows, length});
        const auto exactly = [](const torch::Tensor& a, const torch::Tensor& b) {
          return torch::bmm(a.to(torch::kFloat64), b.to(torch::kFloat64));
        };
        const auto close = [](const torch::Tensor& found, const torch::Tensor& exact, std::int64_t terms) {
          return found.sizes() == exact.sizes() &&
                 torch::allclose(found.to(torch::kFloat64), exact, 1e-6, 1.2e-7 * static_cast<double>(terms));
        };
        REQUIRE(
            close(few_rows_products(queries, matrices), exactly(queries, matrices.transpose(1, 2)), width));
        REQUIRE(close(few_rows_sums(weights, matrices), exactly(weights, matrices), length));
      }
    }
  }
}

TEST_CASE("A row of the batched functions depends on neither the rows beside it nor the number of threads") {
  torch::manual_seed(4);
  const torch::Tensor matrices = torch::randn({3, 200, 64});
  const torch::Tensor queries = torch::randn({3, 7, 64}), weights = torch::rand({3, 7, 200});
  const torch::Tensor products = few_rows_products(queries, matrices),
                      sums = few_rows_sums(weights, matrices);
  for (std::int64_t row = 0; row < 7; ++row) {
    REQUIRE(torch::equal(few_rows_products(queries.narrow(1, row, 1), matrices), products.narrow(1, row, 1)));
    REQUIRE(torch::equal(few_rows_sums(weights.narrow(1, row, 1), matrices), sums.narrow(1, row, 1)));
  }
  const int threads = torch::get_num_threads();
  torch::set_num_threads(threads == 1 ? 2 : 1);
  CHECK(torch::equal(few_rows_products(queries, matrices), products));
  CHECK(torch::equal(few_rows_sums(weights, matrices), sums));
  torch::set_num_threads(threads);
}

TEST_CASE("Few rows: products and sums refuse what does not fit") {
  const torch::Tensor matrices = torch::randn({2, 5, 8});
  CHECK_THROWS_AS(few_rows_products(torch::randn({2, kFewRows + 1, 8}), matrices), Error);
  CHECK_THROWS_AS(few_rows_products(torch::randn({2, 3, 5}), matrices), Error);
  CHECK_THROWS_AS(few_rows_sums(torch::randn({2, 3, 8}), matrices), Error);
  CHECK_THROWS_AS(few_rows_sums(torch::randn({1, 3, 5}), matrices), Error);
  CHECK_FALSE(suits_few_rows_batch(2, matrices.transpose(1, 2)));
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

TEST_CASE("few rows read bfloat16 matrices as the floats that they are") {
  torch::manual_seed(2);
  for (const std::int64_t rows : {1, 3, 5, 16}) {
    for (const std::int64_t width : {1, 7, 8, 64, 70}) {
      for (const std::int64_t length : {1, 9, 40}) {
        CAPTURE(rows, width, length);
        const torch::Tensor input = torch::randn({3, rows, width}), weights = torch::rand({3, rows, length});
        const torch::Tensor matrices = torch::randn({3, length, width}).to(torch::kBFloat16);
        const torch::Tensor exact = matrices.to(torch::kFloat64);
        REQUIRE(suits_few_rows_batch(rows, matrices));
        CHECK(torch::allclose(few_rows_products(input, matrices).to(torch::kFloat64),
                              torch::bmm(input.to(torch::kFloat64), exact.transpose(1, 2)), 1e-5, 1e-5));
        CHECK(torch::allclose(few_rows_sums(weights, matrices).to(torch::kFloat64),
                              torch::bmm(weights.to(torch::kFloat64), exact), 1e-5, 1e-5));
      }
    }
  }
  CHECK_FALSE(suits_few_rows_batch(1, torch::zeros({1, 2, 2}, torch::kFloat16)));
}
