#include <torch/types.h>
#include <torch/utils.h>

#include "tests/supervised/mean_ranking_loss.h"
#include "tests/tensors.h"
#include "trainer/model/tensor_io.h"
#include "trainer/scorer/scorer.h"
#include "trainer/supervised/ranking_loss.h"
// after torch: c10 defines CHECK too
#include "tests/catch.h"

using namespace foresight;           // NOLINT(google-build-using-namespace): a test of this namespace
using namespace foresight::testing;  // NOLINT(google-build-using-namespace)

TEST_CASE("supervised: loss and weight gradients of a layer equal the released code's", "[supervised]") {
  const auto inputs = load_reference_vectors("scorer_gqa3_B128_W32");
  const auto expected = load_reference_vectors("sl_layer_loss_grads");
  ModelShape shape;
  shape.layers = 1;
  shape.query_heads = inputs.at("q").size(1);
  shape.kv_heads = inputs.at("k").size(1);
  shape.head_dimension = inputs.at("q").size(3);
  Scorer scorer = Scorer::random(shape, {}, RandomStream(1, "test"));
  const std::vector<torch::Tensor> parameters = scorer.parameters();
  const char* const names[] = {"fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias"};
  {
    const torch::NoGradGuard no_grad;
    for (std::size_t i = 0; i < 4; ++i)
      parameters[i].copy_(inputs.at("judge_model." + std::string(names[i])));
  }
  const torch::Tensor scores = scorer.score(0, inputs.at("features")).flatten(0, 1);  // [S K, B]
  const torch::Tensor loss = pairwise_ranking_loss(scores, expected.at("oracle_scores").flatten(0, 1), 0.01);
  CHECK(loss.item<double>() == Approx(expected.at("loss").item<double>()).epsilon(1e-5));
  loss.backward();
  for (std::size_t i = 0; i < 3; ++i) {
    INFO(names[i]);
    const torch::Tensor& reference = expected.at("grad." + std::string(names[i]));
    // relative to the largest gradient: single entries are sums of thousands of float32 terms that cancel
    CHECK(
        all_close(parameters[i].grad(), reference, 1e-5, 1e-5 * reference.abs().max().item<double>() + 1e-7));
  }
  CHECK(parameters[3].grad().abs().max().item<double>() < 1e-6);  // a constant moves no difference
}
