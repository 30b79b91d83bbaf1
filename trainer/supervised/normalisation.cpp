#include "trainer/supervised/normalisation.h"

#include <algorithm>

#include "trainer/model/tensor_io.h"

namespace foresight {

FeatureMoments FeatureMoments::of(const torch::Tensor& samples) {
  check_shape(samples, {-1, -1, -1}, "samples of features");
  const torch::Tensor exact = samples.to(torch::kFloat64);
  const torch::Tensor mean = exact.mean(1);
  return {static_cast<double>(samples.size(1)), mean, (exact - mean.unsqueeze(1)).square_().sum(1)};
}

void FeatureMoments::join(const FeatureMoments& other) {
  if (count == 0) {
    *this = other;
    return;
  }
  if (other.count == 0) return;
  const double all = count + other.count;
  const torch::Tensor difference = other.mean - mean;
  mean = mean + difference * (other.count / all);
  squares = squares + other.squares + difference.square() * (count * other.count / all);
  count = all;
}

torch::Tensor FeatureMoments::deviation() const {
  constexpr double kLeastDeviation = 1e-4;
  return (squares / count).sqrt().clamp_min(kLeastDeviation).to(torch::kFloat32);
}

void fit_normalisation(Scorer& scorer, const StateSource& states, std::int64_t traces, std::int64_t vectors,
                       World& world) {
  constexpr double kLeastServingDeviation = 0.1;
  const auto count = std::min(traces, static_cast<std::int64_t>(states.evictions().size()));
  std::vector<std::int64_t> costs;
  for (std::int64_t trace = 0; trace < count; ++trace)
    costs.push_back(static_cast<std::int64_t>(states.evictions()[static_cast<std::size_t>(trace)].size()));
  const auto work = [&](std::size_t trace) {
    std::vector<FeatureMoments> moments(static_cast<std::size_t>(scorer.layers()));
    states.visit(static_cast<std::int64_t>(trace), states.evictions()[trace], [&](const RankedStates& some) {
      const torch::Tensor features = some.features.to(torch::kCPU).transpose(0, 1);  // [K, n, B, F]
      moments[static_cast<std::size_t>(some.layer)].join(FeatureMoments::of(features.flatten(1, 2)));
      world.tick();
    });
    std::vector<torch::Tensor> packed;
    for (const FeatureMoments& layer : moments) {
      packed.insert(packed.end(), {torch::tensor({layer.count}, torch::kFloat64), layer.mean, layer.squares});
    }
    return pack_tensors(packed);
  };
  std::vector<FeatureMoments> moments(static_cast<std::size_t>(scorer.layers()));
  for (const std::string& part : map_units(world, costs, work, "normalisation of features")) {
    const auto tensors = unpack_tensors(part);
    for (std::size_t layer = 0; layer < moments.size(); ++layer) {
      const torch::Tensor* const own = &tensors.at(3 * layer);
      if (own[0].item<double>() > 0) moments[layer].join({own[0].item<double>(), own[1], own[2]});
    }
  }
  for (std::size_t layer = 0; layer < moments.size(); ++layer) {
    torch::Tensor deviation = moments[layer].deviation();
    if (scorer.facts().features == ScorerFeatures::kServing)
      deviation.slice(1, vectors).clamp_min_(kLeastServingDeviation);
    scorer.set_normalisation(static_cast<std::int64_t>(layer), moments[layer].mean.to(torch::kFloat32),
                             deviation);
  }
}

}  // namespace foresight
