#include "trainer/model/linear_product.h"

#include <torch/types.h>
#include <torch/utils.h>

// after torch: c10 defines CHECK too
#include "tests/catch.h"

using namespace foresight;  // NOLINT(google-build-using-namespace): a test of this namespace

namespace {

/// The product of rows rounded to bfloat16, in float64.
torch::Tensor exact_product(const torch::Tensor& input, const torch::Tensor& weight) {
  return torch::linear(input.to(torch::kBFloat16).to(torch::kFloat64), weight.to(torch::kFloat64));
}

bool packs() {
  return packed_weight(torch::ones({1, 1}, torch::kBFloat16)).is_mkldnn();
}

}  // namespace

TEST_CASE("linear_product of a packed weight is the product of rounded rows, whatever the sizes") {
  if (!packs()) WARN("this processor has no products of bfloat16: packed weights are plain ones");
  torch::manual_seed(3);
  for (const std::int64_t rows : {0, 1, 2, 3, 8, 17, 130}) {
    for (const std::int64_t width : {1, 2, 31, 64, 96, 577}) {
      for (const std::int64_t outputs : {1, 5, 33, 130}) {
        CAPTURE(rows, width, outputs);
        const torch::Tensor input = torch::randn({rows, width});
        const torch::Tensor weight = torch::randn({outputs, width}).to(torch::kBFloat16);
        const torch::Tensor found = linear_product(input, packed_weight(weight));
        REQUIRE(found.scalar_type() == torch::kBFloat16);
        REQUIRE(found.sizes() == torch::IntArrayRef({rows, outputs}));
        // Sums in float32 of terms of about one, then rounded to the 8 bits of bfloat16.
        const double absolute = 1.2e-7 * static_cast<double>(width);
        REQUIRE(torch::allclose(found.to(torch::kFloat64), exact_product(input, weight), 0.00391, absolute));
      }
    }
  }
}

TEST_CASE("linear_product of a packed weight takes rows of any leading shape and adds a bias in float32") {
  torch::manual_seed(4);
  const torch::Tensor weight = torch::randn({40, 24}).to(torch::kBFloat16), bias = torch::randn({40});
  const torch::Tensor wide = torch::randn({2, 3, 48});
  const torch::Tensor input = wide.narrow(2, 12, 24);  // not contiguous
  const torch::Tensor packed = packed_weight(weight);
  const torch::Tensor plain = linear_product(input, packed);
  REQUIRE(plain.sizes() == torch::IntArrayRef({2, 3, 40}));
  CHECK(torch::allclose(plain.to(torch::kFloat64), exact_product(input, weight), 0.00391, 3e-6));
  const torch::Tensor biased = linear_product(input, packed, bias);
  REQUIRE(biased.scalar_type() == torch::kFloat32);
  CHECK(torch::equal(biased, plain.to(torch::kFloat32) + bias));
}

TEST_CASE("a packed weight keeps its sizes; other weights stay what they are") {
  CHECK(packed_weight(torch::randn({7, 5}).to(torch::kBFloat16)).sizes() == torch::IntArrayRef({7, 5}));
  for (const torch::Tensor& weight : {torch::randn({7, 5}), torch::zeros({0}, torch::kBFloat16),
                                      torch::randn({2, 7, 5}).to(torch::kBFloat16)}) {
    CHECK(packed_weight(weight).is_same(weight));
  }
}
