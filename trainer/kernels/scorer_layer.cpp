#include "trainer/kernels/scorer_layer.h"

#include <ATen/Parallel.h>
#include <torch/utils.h>

#include <algorithm>

#include "trainer/kernels/launch.h"

namespace foresight::kernels {
namespace {

/// The room of one thread, on whole registers.
class Room {
 public:
  Room(std::int64_t inputs, std::int64_t entries, std::int64_t statistics, std::int64_t kinds)
      : weights_(inputs * kHiddenUnits),
        tile_(kTileEntries * inputs),
        stride_(padded_to_registers(entries)),
        statistics_(statistics * stride_),
        memory_(torch::empty({weights_ + tile_ + statistics_ + kinds * entries * kHiddenUnits},
                             torch::kFloat32)) {}

  ScorerRoom floats() {
    auto* const begin = memory_.mutable_data_ptr<float>();  // torch aligns to 64 bytes
    return {.weights = begin,
            .tile = begin + weights_,
            .statistics = begin + weights_ + tile_,
            .stride = stride_,
            .behind = begin + weights_ + tile_ + statistics_};
  }

 private:
  std::int64_t weights_, tile_, stride_, statistics_;
  torch::Tensor memory_;
};

/// Calls work(first, last) for parts of `heads`; a head takes `multiplications`.
template <typename Work>
void for_heads(std::int64_t heads, std::int64_t multiplications, const Work& work) {
  constexpr std::int64_t kWork = 1 << 17;  // below which waking a thread costs more than it saves
  at::parallel_for(0, heads, std::max<std::int64_t>(1, kWork / std::max<std::int64_t>(1, multiplications)),
                   work);
}

std::int64_t statistics_of(const FeatureWork& of) {
  return of.inputs - 2 * of.width;
}

}  // namespace

bool suits_scorer_layer(const torch::Device& device, std::int64_t inputs) {
  return has_gpu_kernels(device) ? inputs <= kMostInputs : device.is_cpu();
}

void gather(const GatherWork& work, const torch::Device& device, Processor processor) {
  if (has_gpu_kernels(device)) return launch(work, device);
  const auto function = functions_for(processor).scorer.gather;
  const FeatureWork& of = work.of;
  for_heads(of.rows * of.kv_heads, of.entries * of.inputs, [&](std::int64_t first, std::int64_t last) {
    Room room(of.inputs, of.entries, statistics_of(of), 0);
    function(work, room.floats(), first, last);
  });
}

void score(const ScoreWork& work, const torch::Device& device, Processor processor) {
  if (has_gpu_kernels(device)) return launch(work, device);
  const auto function = functions_for(processor).scorer.score;
  const FeatureWork& of = work.of;
  const std::int64_t statistics = work.features == nullptr ? statistics_of(of) : 0;
  for_heads(of.rows * of.kv_heads, of.entries * of.inputs * kHiddenUnits,
            [&](std::int64_t first, std::int64_t last) {
              Room room(of.inputs, of.entries, statistics, 0);
              function(work, room.floats(), first, last);
            });
}

void differentiate(const GradientWork& work, Processor processor) {
  const auto function = functions_for(processor).scorer.differentiate;
  const std::int64_t kinds = work.deltas[1] == nullptr ? 1 : 2;
  for_heads(work.rows * work.kv_heads, work.entries * work.inputs * kHiddenUnits * (1 + kinds),
            [&](std::int64_t first, std::int64_t last) {
              Room room(work.inputs, work.entries, 0, kinds);
              function(work, room.floats(), first, last);
            });
}

}  // namespace foresight::kernels
