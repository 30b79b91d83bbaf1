// The functions for processors with AVX2.
#include "trainer/kernels/processor_functions.h"

#if defined(__x86_64__) && !defined(__clang__)  // clang-tidy: no __builtin_shuffle, no such pragma
// What is included above is compiled for every processor.
#pragma GCC push_options
#pragma GCC target("arch=x86-64-v3")
#define FORESIGHT_KERNEL_LANES 8
#define FORESIGHT_KERNEL_REGISTERS 2
#include "trainer/kernels/processor_bodies.h"

namespace foresight::kernels {

ProcessorFunctions functions_avx2() {
  return functions_of_this_file();
}

}  // namespace foresight::kernels
#pragma GCC pop_options
#endif
