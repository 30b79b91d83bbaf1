// The functions for processors with AVX-512 and its products of bfloat16.
#include "trainer/kernels/processor_functions.h"

#if defined(__x86_64__) && !defined(__clang__)  // clang-tidy: no __builtin_shuffle, no such pragma
#include <immintrin.h>

// What is included above is compiled for every processor.
#pragma GCC push_options
#pragma GCC target("arch=x86-64-v4,avx512bf16")
#define FORESIGHT_KERNEL_LANES 16
#define FORESIGHT_KERNEL_REGISTERS 4
#define FORESIGHT_KERNEL_PAIRS
#include "trainer/kernels/processor_bodies.h"

namespace foresight::kernels {

ProcessorFunctions functions_avx512_bfloat16() {
  return functions_of_this_file();
}

}  // namespace foresight::kernels
#pragma GCC pop_options
#endif
