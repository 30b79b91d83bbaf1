// The instruction sets that there is machine code for, and the choice among them at run time.
#pragma once

#include <torch/types.h>

#include <vector>

#include "trainer/kernels/processor_functions.h"

namespace foresight::kernels {

/// Instruction sets that kernels have machine code for. The last two round queries and probabilities to
/// bfloat16 where keys and values are bfloat16; kAmx multiplies matrices of them in units of their own.
enum class Processor { kAny, kAvx2, kAvx512, kAvx512Bfloat16, kAmx };

/// Those of this machine, the best last, up to what ATEN_CPU_CAPABILITY (default, avx2 or avx512; torch's own
/// setting) allows.
std::vector<Processor> usable_processors();

/// The best of this machine for models whose products are of `products`: one that rounds to bfloat16 only
/// where they are bfloat16.
Processor best_processor(torch::ScalarType products);

/// The functions for one of usable_processors().
ProcessorFunctions functions_for(Processor processor);

}  // namespace foresight::kernels
