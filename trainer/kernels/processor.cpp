#include "trainer/kernels/processor.h"

#include <ATen/Version.h>

#ifdef __x86_64__
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include <string>

namespace foresight::kernels {
namespace {

#ifdef __x86_64__
/// Whether the processor has tiles of bfloat16 and the system lets this process use them, which it is asked
/// for once (Linux, Documentation/arch/x86/xstate.rst).
bool may_use_tiles() {
  constexpr long kRequestPermission = 0x1023, kTileData = 18;
  return __builtin_cpu_supports("amx-bf16") != 0 && __builtin_cpu_supports("amx-tile") != 0 &&
         syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}
#endif

std::vector<Processor> find_usable() {
  std::vector<Processor> usable = {Processor::kAny};
#ifdef __x86_64__
  // What torch takes, which ATEN_CPU_CAPABILITY may hold lower: one setting for its operators and for these.
  const std::string torch_takes = at::get_cpu_capability();
  const bool wide = torch_takes == "AVX512" && __builtin_cpu_supports("x86-64-v4") != 0;
  const bool narrow = torch_takes != "DEFAULT" && __builtin_cpu_supports("x86-64-v3") != 0;
  if (narrow) usable.push_back(Processor::kAvx2);
  if (wide) usable.push_back(Processor::kAvx512);
  if (wide && __builtin_cpu_supports("avx512bf16") != 0) {
    usable.push_back(Processor::kAvx512Bfloat16);
    if (may_use_tiles()) usable.push_back(Processor::kAmx);
  }
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
  if (best < Processor::kAvx512Bfloat16) return best;
  if (products != torch::kBFloat16) return Processor::kAvx512;
#ifdef __x86_64__
  // Intel's processors add pairs of bfloat16 products no faster than products of floats one by one, so that
  // the rounding only costs time: a window of 64 queries takes 1.3 times as long (docs/performance.md).
  if (best == Processor::kAvx512Bfloat16 && __builtin_cpu_is("intel") != 0) return Processor::kAvx512;
#endif
  return best;
}

ProcessorFunctions functions_for(Processor processor) {
  switch (processor) {
#ifdef __x86_64__
    case Processor::kAmx:
      return functions_amx();
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
