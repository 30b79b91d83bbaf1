#include "rl/rollout.h"

#include <ATen/Parallel.h>
#include <torch/utils.h>

#include "rl/policy_terms.h"
#include "trainer/base/random.h"
#include "trainer/eviction/evicted_pass.h"
#include "trainer/eviction/rule_policies.h"
#include "trainer/model/tensor_io.h"

namespace foresight {
namespace {

/// Standard Gumbel noise [R, K, M] from the streams of the rollouts.
torch::Tensor gumbel_noise(std::vector<RandomStream>& streams, std::int64_t heads, std::int64_t candidates) {
  torch::Tensor noise = torch::empty({static_cast<std::int64_t>(streams.size()), heads, candidates});
  float* data = noise.data_ptr<float>();
  // Each number takes two logarithms; a GPU would wait for one thread's.
  at::parallel_for(0, noise.size(0), 1, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t row = first; row < last; ++row) {
      float* const own = data + row * heads * candidates;
      RandomStream& stream = streams[static_cast<std::size_t>(row)];
      for (std::int64_t i = 0; i < heads * candidates; ++i) own[i] = static_cast<float>(stream.gumbel());
    }
  });
  return noise;
}

}  // namespace

Rollouts run_rollouts(const Transformer& model, const std::vector<const RecordedTrace*>& traces,
                      const Scorer& scorer, const GrpoConfig& config, const CacheSize& size,
                      std::uint64_t seed, std::int64_t step,
                      const std::function<void(std::int64_t)>& on_tokens, CopyRange copies) {
  const torch::NoGradGuard no_grad;
  const ModelShape& shape = model.shape();
  if (copies.count == 0) copies.count = config.group_size;
  const auto count = static_cast<std::int64_t>(traces.size());
  const std::int64_t rows = count * copies.count, steps = size.steps(traces.front()->length());
  const std::int64_t inputs = 2 * shape.head_dimension + kStatisticsPerHead * shape.group();
  const bool shortlisted = config.likelihood == Likelihood::kPlackettLuce;
  const std::int64_t shortlist_size = std::min(size.budget, config.shortlist_windows * size.window);
  const std::int64_t stored = shortlisted ? shortlist_size : size.budget;

  Rollouts rollouts;
  rollouts.layers.resize(static_cast<std::size_t>(shape.layers));
  const torch::Device device = model.options().device;
  for (LayerActions& layer : rollouts.layers) {
    layer.features = host_buffer({steps, rows, shape.kv_heads, stored, inputs}, torch::kFloat32, device);
    layer.draws = torch::empty({steps, rows, shape.kv_heads, size.window}, torch::kInt64);
  }
  const Scorer policy = scorer.to(device);
  const EvictionSelector select = [&](const EvictionView& view) {
    const torch::Tensor features = candidate_features(view, policy.facts().features);  // [R, K, B, F]
    const torch::Tensor scores = policy.score(view.layer, features);                   // [R, K, B]
    const torch::Tensor shortlist = highest(scores, shortlist_size);                   // [R, K, M]
    const torch::Tensor logits = scores.gather(2, shortlist) / config.temperature;
    std::vector<RandomStream> streams;
    for (std::int64_t row = 0; row < rows; ++row) {
      const RecordedTrace& trace = *traces[static_cast<std::size_t>(row % count)];
      streams.emplace_back(
          seed, "rollout " + trace.id,
          std::initializer_list<std::int64_t>{step, copies.first + row / count, view.layer, view.step});
    }
    const torch::Tensor noise = to_device(gumbel_noise(streams, view.keys.size(1), shortlist_size), device);
    const torch::Tensor draws = gumbel_top_k(logits, noise, view.window);  // [R, K, W] into the shortlist
    const torch::Tensor evicted = shortlist.gather(2, draws);
    LayerActions& actions = rollouts.layers[static_cast<std::size_t>(view.layer)];
    if (shortlisted) {
      actions.features[view.step].copy_(
          features.gather(2, shortlist.unsqueeze(-1).expand({-1, -1, -1, inputs})));
      actions.draws[view.step].copy_(draws);
    } else {
      actions.features[view.step].copy_(features);
      actions.draws[view.step].copy_(evicted);
    }
    return evicted;
  };
  std::vector<torch::Tensor> tokens, states;
  for (const RecordedTrace* trace : traces) {
    tokens.push_back(trace->tokens);
    if (config.reward == RewardShape::kExpectedRise) states.push_back(full_states(model, trace->tokens));
  }
  const EvictedPass pass = evicted_pass(model, torch::stack(tokens), size, copies.count, select,
                                        states.empty() ? torch::Tensor() : torch::stack(states), on_tokens);
  rollouts.losses = pass.losses.to(torch::kCPU);
  if (pass.divergence.defined()) rollouts.divergence = pass.divergence.to(torch::kCPU);
  return rollouts;
}

torch::Tensor draw_log_likelihood(const Scorer& scorer, std::int64_t layer, const LayerActions& actions,
                                  const GrpoConfig& config) {
  const std::int64_t steps = actions.features.size(0), rows = actions.features.size(1);
  const torch::Tensor scores = scorer.score(layer, actions.features.flatten(0, 1));  // [S R, K, M]
  const torch::Tensor logits = scores.unflatten(0, {steps, rows}) / config.temperature;
  const torch::Tensor draws = to_device(actions.draws, logits.device());
  if (config.likelihood == Likelihood::kIndependent) return independent_log_likelihood(logits, draws);
  return plackett_luce_log_likelihood(logits, draws).mean(-1);
}

}  // namespace foresight
