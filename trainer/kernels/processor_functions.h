// All functions that a CPU has machine code of its own for, one set for each instruction set. No torch.
#pragma once

#include "trainer/kernels/attention_functions.h"
#include "trainer/kernels/scorer_functions.h"

namespace foresight::kernels {

/// The functions of one instruction set.
struct ProcessorFunctions {
  AttentionFunctions attention;
  ScorerFunctions scorer;
};
ProcessorFunctions functions_any();
#ifdef __x86_64__
ProcessorFunctions functions_avx2();
ProcessorFunctions functions_avx512();
ProcessorFunctions functions_avx512_bfloat16();
ProcessorFunctions functions_amx();
#endif

}  // namespace foresight::kernels
