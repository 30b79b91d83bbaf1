// Attention for any processor.
#include "trainer/kernels/attention_functions.h"

#ifndef __clang__  // clang-tidy: no __builtin_shuffle
#define FORESIGHT_KERNEL_LANES 4
#define FORESIGHT_KERNEL_REGISTERS 2
#include "trainer/kernels/attention_bodies.h"

namespace foresight::kernels {

AttentionFunctions attention_any() {
  return functions_of_this_file();
}

}  // namespace foresight::kernels
#endif
