// All functions for one instruction set: what a .cpp file for each includes (attention_panels.h says how).
#pragma once

#include "trainer/kernels/full_attention_body.h"
#include "trainer/kernels/processor_functions.h"
#include "trainer/kernels/scorer_body.h"
#include "trainer/kernels/window_attention_body.h"

namespace foresight::kernels {
namespace {

ProcessorFunctions functions_of_this_file() {
  return {.attention = {.window_heads = attend_heads,
                        .pack_tiles = pack_tiles,
                        .attend_tokens = attend_tokens,
                        .attend_chunk = attend_chunk,
                        .merge_chunks = merge_chunks},
          .scorer = {.gather = gather_heads, .score = score_heads, .differentiate = differentiate_heads}};
}

}  // namespace
}  // namespace foresight::kernels
