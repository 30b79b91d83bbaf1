// The functions for processors that multiply matrices of bfloat16 in units of their own (AMX).
#include "trainer/kernels/processor_functions.h"

#if defined(__x86_64__) && !defined(__clang__)  // clang-tidy: no __builtin_shuffle, no such pragma
#include <immintrin.h>

// What is included above is compiled for every processor.
#pragma GCC push_options
#pragma GCC target("arch=x86-64-v4,avx512bf16,amx-tile,amx-bf16")
#define FORESIGHT_KERNEL_LANES 16
#define FORESIGHT_KERNEL_REGISTERS 4
#define FORESIGHT_KERNEL_PAIRS
#define FORESIGHT_KERNEL_TILES
#include "trainer/kernels/processor_bodies.h"

namespace foresight::kernels {

ProcessorFunctions functions_amx() {
  return functions_of_this_file();
}

}  // namespace foresight::kernels
#pragma GCC pop_options
#endif
