// Window attention for any processor.
#include "trainer/kernels/window_heads.h"

#ifndef __clang__  // clang-tidy: no __builtin_shuffle
#define FORESIGHT_KERNEL_LANES 4
#define FORESIGHT_KERNEL_REGISTERS 2
#include "trainer/kernels/window_attention_body.h"

namespace foresight::kernels {

void window_heads_any(const WindowWork& work, const WindowRoom& room, std::int64_t first, std::int64_t last) {
  attend_heads(work, room, first, last);
}

}  // namespace foresight::kernels
#endif
