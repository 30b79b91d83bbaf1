// The functions for any processor.
#include "trainer/kernels/processor_functions.h"

#ifndef __clang__  // clang-tidy: no __builtin_shuffle
#define FORESIGHT_KERNEL_LANES 4
#define FORESIGHT_KERNEL_REGISTERS 2
#include "trainer/kernels/processor_bodies.h"

namespace foresight::kernels {

ProcessorFunctions functions_any() {
  return functions_of_this_file();
}

}  // namespace foresight::kernels
#endif
