// Attention for any processor.
#include "trainer/kernels/attention_functions.h"

#ifndef __clang__  // clang-tidy: no __builtin_shuffle
#define FORESIGHT_KERNEL_LANES 4
#define FORESIGHT_KERNEL_REGISTERS 2
#include "trainer/kernels/full_attention_body.h"
#include "trainer/kernels/window_attention_body.h"

namespace foresight::kernels {

AttentionFunctions attention_any() {
  return {.window_heads = attend_heads,
          .pack_tiles = pack_tiles,
          .attend_tokens = attend_tokens,
          .attend_chunk = attend_chunk,
          .merge_chunks = merge_chunks};
}

}  // namespace foresight::kernels
#endif
