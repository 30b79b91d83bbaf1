// All attention functions for one instruction set: what a .cpp file for each includes (attention_panels.h
// says how).
#pragma once

#include "trainer/kernels/full_attention_body.h"
#include "trainer/kernels/window_attention_body.h"

namespace foresight::kernels {
namespace {

AttentionFunctions functions_of_this_file() {
  return {.window_heads = attend_heads,
          .pack_tiles = pack_tiles,
          .attend_tokens = attend_tokens,
          .attend_chunk = attend_chunk,
          .merge_chunks = merge_chunks};
}

}  // namespace
}  // namespace foresight::kernels
