// Window attention for processors with AVX-512.
#include "trainer/kernels/window_heads.h"

#if defined(__x86_64__) && !defined(__clang__)  // clang-tidy: no __builtin_shuffle, no such pragma
// What is included above is compiled for every processor.
#pragma GCC push_options
#pragma GCC target("arch=x86-64-v4")
#define FORESIGHT_KERNEL_LANES 16
#define FORESIGHT_KERNEL_REGISTERS 4
#include "trainer/kernels/window_attention_body.h"

namespace foresight::kernels {

void window_heads_avx512(const WindowWork& work, const WindowRoom& room, std::int64_t first,
                         std::int64_t last) {
  attend_heads(work, room, first, last);
}

}  // namespace foresight::kernels
#pragma GCC pop_options
#endif
