#include "rl/rollout.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <limits>
#include <optional>

#include "rl/policy_terms.h"
#include "trainer/kernels/launch.h"

namespace foresight {
namespace {

/// noise [R, n] on a GPU becomes that of streams 0 .. R - 1, whose states travel with the launches.
void fill_on_gpu(const std::vector<RandomStream>& streams, torch::Tensor& noise) {
  kernels::NoiseWork work;
  work.numbers = noise.size(1);
  for (std::int64_t first = 0; first < noise.size(0); first += work.rows) {
    work.rows = std::min<std::int64_t>(kernels::NoiseWork::kMostRows, noise.size(0) - first);
    for (std::int64_t row = 0; row < work.rows; ++row)
      work.states[row] = streams[static_cast<std::size_t>(first + row)].state();
    work.noise = noise.mutable_data_ptr<float>() + first * work.numbers;
    kernels::launch(work, noise.device());
  }
}

}  // namespace

torch::Tensor gumbel_noise(std::vector<RandomStream> streams, std::int64_t numbers,
                           const torch::Device& device) {
  const auto rows = static_cast<std::int64_t>(streams.size());
  if (kernels::has_gpu_kernels(device)) {
    torch::Tensor noise = torch::empty({rows, numbers}, device);
    fill_on_gpu(streams, noise);
    return noise;
  }
  torch::Tensor noise = torch::empty({rows, numbers});
  float* data = noise.data_ptr<float>();
  // Several threads, because each number takes two logarithms.
  at::parallel_for(0, rows, 1, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t row = first; row < last; ++row) {
      float* const own = data + row * numbers;
      RandomStream& stream = streams[static_cast<std::size_t>(row)];
      for (std::int64_t i = 0; i < numbers; ++i) own[i] = static_cast<float>(stream.gumbel());
    }
  });
  return noise.to(device);
}

DrawSource sampled_draws(const RolloutBatch& batch) {
  return [batch](const EvictionView& view, const torch::Tensor& logits) {
    std::vector<RandomStream> streams;
    for (std::int64_t row = 0; row < batch.rows.rows(); ++row) {
      const RecordedTrace& trace = *batch.traces[static_cast<std::size_t>(batch.rows.trace_of(row))];
      streams.emplace_back(
          batch.seed, "rollout " + trace.id,
          std::initializer_list<std::int64_t>{batch.step, batch.first_copy + batch.rows.copy_of(row),
                                              view.layer, view.step});
    }
    const torch::Tensor noise =
        gumbel_noise(std::move(streams), logits.size(1) * logits.size(2), logits.device());
    return gumbel_top_k(logits, noise.view(logits.sizes()), view.window);
  };
}

DrawSource recording_draws(DrawSource inner, std::int64_t layers, std::int64_t steps,
                           RecordedDraws& recorded) {
  recorded.layers.assign(static_cast<std::size_t>(layers), torch::Tensor());
  return [inner = std::move(inner), steps, &recorded](const EvictionView& view, const torch::Tensor& logits) {
    torch::Tensor draws = inner(view, logits);
    torch::Tensor& all = recorded.layers[static_cast<std::size_t>(view.layer)];
    if (!all.defined()) {
      const bool small = logits.size(2) <= std::numeric_limits<std::int16_t>::max();
      all = torch::empty({steps, draws.size(0), draws.size(1), draws.size(2)},
                         small ? torch::kInt16 : torch::kInt32);
    }
    all[view.step].copy_(draws);
    return draws;
  };
}

DrawSource replayed_draws(const RecordedDraws& recorded) {
  return [&recorded](const EvictionView& view, const torch::Tensor& logits) {
    return recorded.layers.at(static_cast<std::size_t>(view.layer))[view.step].to(logits.device(),
                                                                                  torch::kInt64);
  };
}

EvictedPass run_rollouts(const Transformer& model, const RolloutBatch& batch, const CacheSize& size,
                         const EvictionSelector& select, bool compared,
                         const std::function<void(const EvictedWindow&)>& on_window,
                         const std::function<void(std::int64_t)>& on_tokens) {
  const TraceTokens traces = stacked_tokens(batch.traces);
  EvictedRun run(model, traces, size, batch.rows.copies, select);
  std::optional<FullRun> full;
  if (compared) full.emplace(model, traces.tokens, size.window);
  return run_to_end(run, full ? &*full : nullptr, on_window, on_tokens);
}

}  // namespace foresight
