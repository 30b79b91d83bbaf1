#include "trainer/model/few_rows_linear.h"

#include <ATen/Parallel.h>

#include "trainer/base/error.h"
#include "trainer/base/text.h"

#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
// One machine code for each, picked when the program starts; a sanitizer is not ready by then.
#define FORESIGHT_FOR_EVERY_PROCESSOR \
  __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define FORESIGHT_FOR_EVERY_PROCESSOR
#endif
#define FORESIGHT_INLINE inline __attribute__((always_inline))

namespace foresight {
namespace {

constexpr std::int64_t kLanes = 8,
                       kParts = 2;  // a register of AVX2; two at a time, as one addition waits for the last
using Lanes = float __attribute__((vector_size(kLanes * sizeof(float))));

/// The same lanes wherever floats lie.
using LanesAnywhere =
    float __attribute__((vector_size(kLanes * sizeof(float)), aligned(alignof(float)), may_alias));

struct Operands {
  const float* input;   // [rows, width]
  const float* weight;  // [outputs, width]
  float* result;        // [rows, outputs]
  std::int64_t rows, width, outputs;
};

/// The dot products of kRows rows from `row` with one weight row. Each has kParts x kLanes sums, whatever
/// kRows is: so the order of additions is always the same.
template <int kRows>
FORESIGHT_INLINE void multiply_block(const Operands& of, std::int64_t row, std::int64_t output) {
  const float* const weights = of.weight + output * of.width;
  const float* inputs[kRows];
  for (int r = 0; r < kRows; ++r) inputs[r] = of.input + (row + r) * of.width;
  Lanes sums[kRows][kParts] = {};
  std::int64_t i = 0;
  for (; i + kParts * kLanes <= of.width; i += kParts * kLanes) {
    for (int part = 0; part < kParts; ++part) {
      const std::int64_t at = i + part * kLanes;
      const Lanes weight = *reinterpret_cast<const LanesAnywhere*>(weights + at);
      for (int r = 0; r < kRows; ++r)
        sums[r][part] += *reinterpret_cast<const LanesAnywhere*>(inputs[r] + at) * weight;
    }
  }
  for (int r = 0; r < kRows; ++r) {
    const Lanes both = sums[r][0] + sums[r][1];
    float total = 0;
    for (std::int64_t lane = 0; lane < kLanes; ++lane) total += both[lane];
    for (std::int64_t rest = i; rest < of.width; ++rest) total += inputs[r][rest] * weights[rest];
    of.result[(row + r) * of.outputs + output] = total;
  }
}

/// Weight rows first .. last - 1, one after the other as they lie in memory; each stays in the nearest cache
/// until all rows have met it.
FORESIGHT_FOR_EVERY_PROCESSOR
void multiply_range(const Operands& of, std::int64_t first, std::int64_t last) {
  constexpr int kTogether = 4;  // eight registers of sums with AVX2: as many as hide an addition's latency
  for (std::int64_t output = first; output < last; ++output) {
    std::int64_t row = 0;
    for (; row + kTogether <= of.rows; row += kTogether) multiply_block<kTogether>(of, row, output);
    for (; row < of.rows; ++row) multiply_block<1>(of, row, output);
  }
}

}  // namespace

bool suits_few_rows(const torch::Tensor& input, const torch::Tensor& weight) {
  return input.is_cpu() && input.scalar_type() == torch::kFloat32 &&
         weight.scalar_type() == torch::kFloat32 && input.dim() > 0 && weight.dim() == 2 &&
         input.size(-1) == weight.size(1) && weight.is_contiguous() &&
         input.numel() <= kFewRows * weight.size(1);
}

torch::Tensor few_rows_linear(const torch::Tensor& input, const torch::Tensor& weight) {
  if (!suits_few_rows(input, weight)) {
    throw Error(ErrorKind::kInternal, concat("few_rows_linear: expected at most ", kFewRows,
                                             " float32 rows as wide as a [out, in] weight, got ",
                                             input.sizes(), " and ", weight.sizes()));
  }
  const torch::Tensor rows = input.contiguous();
  std::vector<std::int64_t> shape = input.sizes().vec();
  shape.back() = weight.size(0);
  torch::Tensor result = torch::empty(shape, input.options());
  const Operands operands{.input = rows.const_data_ptr<float>(),
                          .weight = weight.const_data_ptr<float>(),
                          .result = result.mutable_data_ptr<float>(),
                          .rows = weight.size(1) == 0 ? 0 : rows.numel() / weight.size(1),
                          .width = weight.size(1),
                          .outputs = weight.size(0)};
  constexpr std::int64_t kOutputsPerTask = 64;
  at::parallel_for(0, operands.outputs, kOutputsPerTask,
                   [&](std::int64_t first, std::int64_t last) { multiply_range(operands, first, last); });
  return result;
}

}  // namespace foresight
