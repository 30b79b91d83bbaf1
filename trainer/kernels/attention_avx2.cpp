// Attention for processors with AVX2.
#include "trainer/kernels/attention_functions.h"

#if defined(__x86_64__) && !defined(__clang__)  // clang-tidy: no __builtin_shuffle, no such pragma
// What is included above is compiled for every processor.
#pragma GCC push_options
#pragma GCC target("arch=x86-64-v3")
#define FORESIGHT_KERNEL_LANES 8
#define FORESIGHT_KERNEL_REGISTERS 2
#include "trainer/kernels/full_attention_body.h"
#include "trainer/kernels/window_attention_body.h"

namespace foresight::kernels {

AttentionFunctions attention_avx2() {
  return {.window_heads = attend_heads,
          .pack_tiles = pack_tiles,
          .attend_tokens = attend_tokens,
          .attend_chunk = attend_chunk,
          .merge_chunks = merge_chunks};
}

}  // namespace foresight::kernels
#pragma GCC pop_options
#endif
