#include "tests/kernels/played_gpu.h"

#include "tests/kernels/play_kernel.h"
#include "trainer/kernels/choice_block.h"
#include "trainer/kernels/entry_block.h"
#include "trainer/kernels/row_block.h"

namespace foresight::kernels {
namespace {

/// Plays each kind of work as the start() of the same kind starts it.
class Player {
 public:
  explicit Player(std::uint64_t seed) : seed_(seed) {}

  void operator()(const WindowWork& work) const { play_window(work, seed_); }
  void operator()(const NormWork& work) const {
    if (work.input_bfloat16) {
      work.output_bfloat16 ? play_kernel<NormBlock<BlockHalf, BlockHalf>>(work, seed_)
                           : play_kernel<NormBlock<BlockHalf, float>>(work, seed_);
    } else {
      work.output_bfloat16 ? play_kernel<NormBlock<float, BlockHalf>>(work, seed_)
                           : play_kernel<NormBlock<float, float>>(work, seed_);
    }
  }
  void operator()(const RotationWork& work) const {
    play_kernel_of<RotationBlock>(work, work.bfloat16, seed_);
  }
  void operator()(const GateWork& work) const { play_kernel_of<GateBlock>(work, work.bfloat16, seed_); }
  void operator()(const LossWork& work) const { play_kernel_of<LossBlock>(work, work.bfloat16, seed_); }
  void operator()(const AppendWork& work) const { play_kernel_of<AppendBlock>(work, work.bfloat16, seed_); }
  void operator()(const CompactWork& work) const { play_kernel_of<CompactBlock>(work, work.bfloat16, seed_); }
  void operator()(const GatherWork& work) const {
    play_kernel_of<GatherBlock>(work, work.of.bfloat16, seed_);
  }
  void operator()(const ScoreWork& work) const { play_kernel_of<ScoreBlock>(work, work.of.bfloat16, seed_); }
  void operator()(const NoiseWork& work) const { play_kernel<NoiseBlock>(work, seed_); }
  void operator()(const ChoiceWork& work) const { play_kernel<ChoiceBlock>(work, seed_); }

 private:
  std::uint64_t seed_;
};

}  // namespace

PlayedGpu::PlayedGpu(std::uint64_t seed) {
  set_gpu_player([this, player = Player(seed)](const GpuWork& work) {
    ++launches_[work.index()];
    std::visit(player, work);
  });
}

PlayedGpu::~PlayedGpu() {
  set_gpu_player({});
}

std::int64_t PlayedGpu::launches() const {
  std::int64_t sum = 0;
  for (const auto& [kind, count] : launches_) sum += count;
  return sum;
}

}  // namespace foresight::kernels
