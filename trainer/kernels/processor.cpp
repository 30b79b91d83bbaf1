#include "trainer/kernels/processor.h"

#include <ATen/Version.h>

#include <string>

namespace foresight::kernels {
namespace {

std::vector<Processor> find_usable() {
  std::vector<Processor> usable = {Processor::kAny};
#ifdef __x86_64__
  // What torch takes, which ATEN_CPU_CAPABILITY may hold lower: one setting for its operators and for these.
  const std::string torch_takes = at::get_cpu_capability();
  const bool wide = torch_takes == "AVX512" && __builtin_cpu_supports("x86-64-v4") != 0;
  const bool narrow = torch_takes != "DEFAULT" && __builtin_cpu_supports("x86-64-v3") != 0;
  if (narrow) usable.push_back(Processor::kAvx2);
  if (wide) usable.push_back(Processor::kAvx512);
  if (wide && __builtin_cpu_supports("avx512bf16") != 0) usable.push_back(Processor::kAvx512Bfloat16);
#endif
  return usable;
}

}  // namespace

std::vector<Processor> usable_processors() {
  static const std::vector<Processor> usable = find_usable();
  return usable;
}

Processor best_processor(torch::ScalarType products) {
  const Processor best = usable_processors().back();
  if (best != Processor::kAvx512Bfloat16) return best;
#ifdef __x86_64__
  // Intel's processors add pairs of bfloat16 products no faster than products of floats one by one, so that
  // the rounding only costs time: a window of 64 queries takes 1.3 times as long (docs/performance.md).
  if (__builtin_cpu_is("intel") != 0) return Processor::kAvx512;
#endif
  return products == torch::kBFloat16 ? best : Processor::kAvx512;
}

bool has_matrix_units() {
#ifdef __x86_64__
  return __builtin_cpu_supports("amx-bf16") != 0;
#else
  return false;
#endif
}

ProcessorFunctions functions_for(Processor processor) {
  switch (processor) {
#ifdef __x86_64__
    case Processor::kAvx512Bfloat16:
      return functions_avx512_bfloat16();
    case Processor::kAvx512:
      return functions_avx512();
    case Processor::kAvx2:
      return functions_avx2();
#endif
    default:
      return functions_any();
  }
}

}  // namespace foresight::kernels
