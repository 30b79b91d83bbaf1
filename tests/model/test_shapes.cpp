// Shapes, types and settings that a public function refuses.
#include <torch/types.h>

#include "tests/reference/paths.h"
#include "trainer/base/error.h"
#include "trainer/eviction/full_cache.h"
#include "trainer/model/tensor_io.h"
#include "trainer/model/transformer.h"
// after torch: c10 defines CHECK too
#include "tests/catch.h"

using namespace foresight;  // NOLINT(google-build-using-namespace): a test of this namespace
using Catch::Contains;

TEST_CASE("check shape: the message names the tensor, what was expected and what came", "[model]") {
  CHECK_NOTHROW(check_shape(torch::ones({2, 3}), {2, -1}, "thing"));
  REQUIRE_THROWS_WITH(check_shape(torch::ones({2, 3}), {2, 4}, "thing"),
                      Contains("thing: expected shape [2, 4]") && Contains("got [2, 3]"));
  REQUIRE_THROWS_WITH(check_shape(torch::ones({2}), {2, -1}, "thing"), Contains("got [2]"));
  REQUIRE_THROWS_WITH(check_shape(torch::Tensor(), {2}, "thing"), Contains("got no tensor"));
}

TEST_CASE("tensor io: types that the file format lacks, and views, are refused", "[model]") {
  CHECK_THROWS_WITH(to_dtype(torch::kComplexFloat), Contains("ComplexFloat"));
  CHECK_THROWS_WITH(to_scalar_type(static_cast<Dtype>(99)), Contains("without a torch type"));
  CHECK_THROWS_WITH(tensor_to_write("name", torch::ones({2, 3}).t()),
                    Contains("'name'") && Contains("contiguous"));
}

TEST_CASE("transformer: hidden states and targets of other shapes are refused", "[model]") {
  const Transformer model = Transformer::load(reference_folder() / "llama/tiny", {});
  const std::int64_t hidden = model.shape().hidden_size;
  CHECK_THROWS_WITH(model.logits(torch::ones({3, hidden + 1})), Contains("hidden: expected shape"));
  CHECK_THROWS_WITH(model.loss_and_entropy(torch::ones({3, hidden}), torch::zeros({4}, torch::kInt64)),
                    Contains("targets: expected shape [3]"));
}

TEST_CASE("full cache: more tokens than it was made for are refused", "[model]") {
  ModelShape shape;
  shape.layers = 1;
  shape.query_heads = shape.kv_heads = 1;
  shape.head_dimension = 4;
  FullCache cache(shape, 1, 3, {});
  const torch::Tensor two = torch::ones({1, 1, 2, 4});
  cache.attend(0, two, two, two);
  CHECK_THROWS_WITH(cache.attend(0, two, two, two), Contains("full cache of 3 tokens cannot take 4"));
}

TEST_CASE("packed tensors: come back with type, shape and bits; bytes that end early are refused",
          "[model]") {
  const std::vector<torch::Tensor> tensors = {torch::randn({2, 3}),
                                              torch::Tensor(),
                                              torch::arange(4, torch::kInt64).flip(0),
                                              torch::tensor(0.1, torch::kFloat64),
                                              torch::empty({0, 5}),
                                              torch::randn({3, 2}).t()};
  const std::string bytes = pack_tensors(tensors);
  const auto back = unpack_tensors(bytes);
  REQUIRE(back.size() == tensors.size());
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    REQUIRE(back[i].defined() == tensors[i].defined());
    if (!tensors[i].defined()) continue;
    CHECK(back[i].scalar_type() == tensors[i].scalar_type());
    CHECK(torch::equal(back[i], tensors[i]));
  }
  CHECK(unpack_tensors("").empty());
  CHECK_THROWS_WITH(unpack_tensors(bytes.substr(0, bytes.size() - 1)), Contains("end too early"));
}
