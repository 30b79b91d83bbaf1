#include "tests/kernels/played_grid.h"

#include <ucontext.h>

#include <algorithm>
#include <numeric>
#include <stdexcept>

namespace foresight::kernels {

enum class Waiting { kReady, kForWarp, kForBlock, kDone };

/// The threads of one block.
class PlayedThreads {
 public:
  PlayedThreads(int threads, std::size_t shared_bytes, std::uint64_t seed)
      : fibres_(static_cast<std::size_t>(threads)),
        sent_(static_cast<std::size_t>(threads)),
        shared_(shared_bytes / sizeof(Line) + 1),
        random_(seed) {}

  void run(std::int64_t block, const std::function<void(PlayedBlock&)>& kernel) {
    for (Line& line : shared_) std::fill(std::begin(line.bytes), std::end(line.bytes), std::uint8_t{0xff});
    kernel_ = &kernel;
    block_ = block;
    for (std::size_t thread = 0; thread < fibres_.size(); ++thread) begin(thread);
    std::vector<std::size_t> order(fibres_.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    while (!all(0, fibres_.size(), Waiting::kDone)) {
      std::shuffle(order.begin(), order.end(), random_);
      for (const std::size_t thread : order) {
        if (fibres_[thread].waiting != Waiting::kReady) continue;
        now_ = thread;
        swapcontext(&caller_, &fibres_[thread].context);
      }
      release();
    }
  }

  void wait(int thread, Waiting what) {
    Fibre& fibre = fibres_[static_cast<std::size_t>(thread)];
    fibre.waiting = what;
    swapcontext(&fibre.context, &caller_);
  }
  float exchange(int thread, float value, int mask) {
    sent_[static_cast<std::size_t>(thread)] = value;
    wait(thread, Waiting::kForWarp);
    const float received = sent_[static_cast<std::size_t>(thread ^ mask)];
    wait(thread, Waiting::kForWarp);
    return received;
  }
  void* shared() { return shared_.data(); }

 private:
  static constexpr std::size_t kStackBytes = std::size_t{1} << 16, kWarpThreads = 32;
  struct alignas(128) Line {
    std::uint8_t bytes[128];
  };
  struct Fibre {
    ucontext_t context{};
    std::vector<char> stack = std::vector<char>(kStackBytes);
    Waiting waiting = Waiting::kReady;
  };

  void begin(std::size_t thread) {
    Fibre& fibre = fibres_[thread];
    fibre.waiting = Waiting::kReady;
    getcontext(&fibre.context);
    fibre.context.uc_stack.ss_sp = fibre.stack.data();
    fibre.context.uc_stack.ss_size = fibre.stack.size();
    fibre.context.uc_link = &caller_;
    const auto self = reinterpret_cast<std::uintptr_t>(this);
    constexpr int kHalf = 32;
    // makecontext() hands over whole numbers alone.
    makecontext(&fibre.context, reinterpret_cast<void (*)()>(&PlayedThreads::enter), 2,
                static_cast<unsigned>(self >> kHalf), static_cast<unsigned>(self));
  }

  static void enter(unsigned high, unsigned low) {
    constexpr int kHalf = 32;
    auto* const self = reinterpret_cast<PlayedThreads*>((static_cast<std::uintptr_t>(high) << kHalf) | low);
    const std::size_t thread = self->now_;
    PlayedBlock block(*self, self->block_, static_cast<int>(thread));
    (*self->kernel_)(block);
    self->fibres_[thread].waiting = Waiting::kDone;
  }

  bool all(std::size_t first, std::size_t last, Waiting what) const {
    return std::all_of(fibres_.begin() + static_cast<std::ptrdiff_t>(first),
                       fibres_.begin() + static_cast<std::ptrdiff_t>(last),
                       [&](const Fibre& fibre) { return fibre.waiting == what; });
  }

  /// Lets those go on that wait for nobody any more.
  void release() {
    bool any = all(0, fibres_.size(), Waiting::kDone);
    const auto let_go = [&](std::size_t first, std::size_t last) {
      for (std::size_t thread = first; thread < last; ++thread) fibres_[thread].waiting = Waiting::kReady;
      any = true;
    };
    if (all(0, fibres_.size(), Waiting::kForBlock)) let_go(0, fibres_.size());
    for (std::size_t first = 0; first < fibres_.size(); first += kWarpThreads) {
      const std::size_t last = std::min(first + kWarpThreads, fibres_.size());
      if (all(first, last, Waiting::kForWarp)) let_go(first, last);
    }
    if (!any) throw std::logic_error("threads of a block wait for barriers that others never reach");
  }

  std::vector<Fibre> fibres_;
  std::vector<float> sent_;
  std::vector<Line> shared_;
  std::mt19937_64 random_;
  ucontext_t caller_{};
  const std::function<void(PlayedBlock&)>* kernel_ = nullptr;
  std::int64_t block_ = 0;
  std::size_t now_ = 0;
};

void* PlayedBlock::shared() const {
  return threads_->shared();
}
void PlayedBlock::barrier() const {
  threads_->wait(thread_, Waiting::kForBlock);
}
void PlayedBlock::warp_barrier() const {
  threads_->wait(thread_, Waiting::kForWarp);
}
float PlayedBlock::exchange(float value, int mask) const {
  return threads_->exchange(thread_, value, mask);
}

void play_grid(std::int64_t blocks, int threads, std::size_t shared_bytes, std::uint64_t seed,
               const std::function<void(PlayedBlock&)>& kernel) {
  PlayedThreads played(threads, shared_bytes, seed);
  for (std::int64_t block = 0; block < blocks; ++block) played.run(block, kernel);
}

}  // namespace foresight::kernels
