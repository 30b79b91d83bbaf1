// VaSE against its published code: the same tensors and the same noise in, the same entries out.
// tests/reference/rules/make_vase_fixture.py says how it was called and what drew for it.
#include <torch/types.h>

#include "tests/eviction/published_rules.h"

#include "tests/catch.h"

namespace foresight::testing {
namespace {

TEST_CASE("vase: what goes, and the weights of the draw, are the published code's", "[eviction][unit]") {
  const PublishedRules published("vase");
  const EvictionView view = published.view();
  const torch::Tensor& noise = published.tensors.at("noise");
  for (const std::string& name : {std::string("vase"), std::string("many")}) {
    INFO(name);
    const VaseOptions options{.large = name == "vase" ? -1 : 40};
    const torch::Tensor scores = vase_scores(view, published.attention(), noise, options);
    CHECK(published.same_evicted(name, scores));
    // An entry's score is the log of its arrival, -log(u) / weight; those kept by their range have weight 0.
    const torch::Tensor& weights = published.tensors.at(name + ".weights");
    const torch::Tensor drawn = weights > 0;
    CHECK(all_close(noise.log().neg().div(scores.exp()).masked_select(drawn), weights.masked_select(drawn),
                    1e-5, 1e-8));
    CHECK(torch::equal(scores == std::numeric_limits<float>::lowest(), drawn.logical_not()));
  }
}

TEST_CASE("vase: sinks stay whatever their values and the noise", "[eviction][unit]") {
  const PublishedRules published("vase");
  EvictionView view = published.view();
  view.values = torch::ones_like(view.values);
  const torch::Tensor noise = torch::full_like(published.tensors.at("noise"), 1e-6);
  const torch::Tensor evicted = highest_entries(vase_scores(view, published.attention(), noise), view.window);
  CHECK((evicted >= 4).all().item<bool>());
}

}  // namespace
}  // namespace foresight::testing
