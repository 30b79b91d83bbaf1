#include <torch/types.h>
#include <torch/utils.h>

#include <cmath>

#include "data/safetensors.h"
#include "tests/base/temporary_folder.h"
#include "trainer/comm/world.h"
#include "trainer/model/tensor_io.h"
#include "trainer/supervised/normalisation.h"
// after torch: c10 defines CHECK too
#include "tests/catch.h"

using namespace foresight;  // NOLINT(google-build-using-namespace): a test of this namespace

namespace {

constexpr std::int64_t kWidth = 2, kStatistics = 8;

/// One trace of one state, whose statistics never change.
class ConstantStates : public StateSource {
 public:
  const std::vector<std::vector<std::int64_t>>& evictions() const override { return evictions_; }
  void visit(std::int64_t, const std::vector<std::int64_t>&,
             const RankedStatesConsumer& consume) const override {
    const torch::Tensor ascending = torch::arange(-2, 3).view({1, 1, 5, 1}) * 1e-3;
    consume(
        {0, {0}, torch::cat({ascending.expand({1, 1, 5, 2 * kWidth}), torch::zeros({1, 1, 5, 8})}, 3), {}});
  }

 private:
  std::vector<std::vector<std::int64_t>> evictions_ = {{0}};
};

}  // namespace

TEST_CASE("normalisation: a serving statistic that never changed in the sample is not blown up later",
          "[supervised]") {
  ModelShape shape;
  shape.layers = shape.query_heads = shape.kv_heads = 1;
  shape.head_dimension = kWidth;
  const TemporaryFolder folder;
  for (const auto& [kind, least] :
       {std::pair{ScorerFeatures::kServing, 0.1}, {ScorerFeatures::kNormalized, 1e-4}}) {
    ScorerFacts facts;
    facts.features = kind;
    Scorer scorer = Scorer::random(shape, facts, RandomStream(3, "test"));
    fit_normalisation(scorer, ConstantStates(), 4, 2 * kWidth, alone());
    scorer.save(folder.path() / "scorer.safetensors");
    const SafetensorsFile file(folder.path() / "scorer.safetensors");
    const torch::Tensor deviation = view_tensor(file.at("feature_deviation"))[0][0];
    CHECK(torch::allclose(deviation.narrow(0, 0, 2 * kWidth), torch::full({2 * kWidth}, std::sqrt(2e-6))));
    CHECK(torch::allclose(deviation.narrow(0, 2 * kWidth, kStatistics), torch::full({kStatistics}, least)));
  }
}
