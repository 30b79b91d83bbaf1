#include "tests/kernels/played_gpu.h"

#include "tests/kernels/played_grid.h"
#include "trainer/kernels/choice_block.h"
#include "trainer/kernels/entry_block.h"
#include "trainer/kernels/row_block.h"
#include "trainer/kernels/window_block.h"

namespace foresight::kernels {
namespace {

/// Plays each kind of work as the start() of the same kind starts it.
class Player {
 public:
  explicit Player(std::uint64_t seed) : seed_(seed) {}

  void operator()(const WindowWork& work) const {
    work.bfloat16 ? play_window<BlockHalf>(work) : play_window<float>(work);
  }
  void operator()(const NormWork& work) const {
    if (work.input_bfloat16) {
      work.output_bfloat16 ? play<NormBlock<BlockHalf, BlockHalf>>(work)
                           : play<NormBlock<BlockHalf, float>>(work);
    } else {
      work.output_bfloat16 ? play<NormBlock<float, BlockHalf>>(work) : play<NormBlock<float, float>>(work);
    }
  }
  void operator()(const RotationWork& work) const { play_in_type<RotationBlock>(work, work.bfloat16); }
  void operator()(const GateWork& work) const { play_in_type<GateBlock>(work, work.bfloat16); }
  void operator()(const LossWork& work) const { play_in_type<LossBlock>(work, work.bfloat16); }
  void operator()(const AppendWork& work) const { play_in_type<AppendBlock>(work, work.bfloat16); }
  void operator()(const CompactWork& work) const { play_in_type<CompactBlock>(work, work.bfloat16); }
  void operator()(const GatherWork& work) const { play_in_type<GatherBlock>(work, work.of.bfloat16); }
  void operator()(const ScoreWork& work) const { play_in_type<ScoreBlock>(work, work.of.bfloat16); }
  void operator()(const NoiseWork& work) const { play<NoiseBlock>(work); }
  void operator()(const ChoiceWork& work) const { play<ChoiceBlock>(work); }

 private:
  template <typename Kernel, typename Work>
  void play(const Work& work) const {
    play_grid(Kernel::blocks(work), kRowThreads, Kernel::shared_bytes(work), seed_,
              [&](PlayedBlock& block) { Kernel::run(work, block); });
  }

  template <template <typename> typename Kernel, typename Work>
  void play_in_type(const Work& work, bool bfloat16) const {
    bfloat16 ? play<Kernel<BlockHalf>>(work) : play<Kernel<float>>(work);
  }

  template <typename Number, int kWidth>
  void play_window_of(const WindowWork& work) const {
    play_grid(work.rows * work.windows * work.kv_heads * work.group, kBlockThreads,
              sizeof(WindowShared<Number, kWidth>), seed_,
              [&](PlayedBlock& block) { WindowBlock<Number, kWidth, PlayedBlock>(work, block).run(); });
  }

  template <typename Number>
  void play_window(const WindowWork& work) const {
    if (work.width <= 64) return play_window_of<Number, 64>(work);
    if (work.width <= 128) return play_window_of<Number, 128>(work);
    play_window_of<Number, 256>(work);
  }

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
