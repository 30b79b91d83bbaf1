// Window attention for processors with AVX2.
#include "trainer/kernels/window_heads.h"

#if defined(__x86_64__) && !defined(__clang__)  // clang-tidy: no __builtin_shuffle, no such pragma
// What is included above is compiled for every processor.
#pragma GCC push_options
#pragma GCC target("arch=x86-64-v3")
#define FORESIGHT_KERNEL_LANES 8
#define FORESIGHT_KERNEL_REGISTERS 2
#include "trainer/kernels/window_attention_body.h"

namespace foresight::kernels {

void window_heads_avx2(const WindowWork& work, const WindowRoom& room, std::int64_t first,
                       std::int64_t last) {
  attend_heads(work, room, first, last);
}

}  // namespace foresight::kernels
#pragma GCC pop_options
#endif
