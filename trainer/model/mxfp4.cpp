#include "trainer/model/mxfp4.h"

#include <ATen/Parallel.h>

#include <array>
#include <cmath>

#include "trainer/base/error.h"
#include "trainer/base/text.h"
#include "trainer/model/tensor_io.h"

namespace foresight {
namespace {

/// One sign, two exponent bits and one of mantissa.
constexpr std::array<float, 16> kNumbers = {0.0F,  0.5F,  1.0F,  1.5F,  2.0F,  3.0F,  4.0F,  6.0F,
                                            -0.0F, -0.5F, -1.0F, -1.5F, -2.0F, -3.0F, -4.0F, -6.0F};
constexpr int kExponentOfOne = 127;
constexpr std::uint8_t kNoNumber = 255;

}  // namespace

torch::Tensor dequantised_mxfp4(const torch::Tensor& blocks, const torch::Tensor& scales,
                                const std::string& name) {
  constexpr std::int64_t kBytes = kMxfp4Block / 2;
  constexpr std::int64_t kTogether = 4096;  // blocks of a thread at least
  const std::int64_t rows = blocks.size(0), count = blocks.size(1);
  check_shape(blocks, {rows, count, kBytes}, "MXFP4 blocks");
  check_shape(scales, {rows, count}, "MXFP4 scales");
  const torch::Tensor packed = blocks.contiguous(), exponents = scales.contiguous();
  if (exponents.eq(kNoNumber).any().item<bool>()) {
    throw Error(ErrorKind::kInput, concat(name, ": holds the scale ", static_cast<int>(kNoNumber),
                                          ", which is no number; the file is damaged"));
  }
  torch::Tensor values = torch::empty({rows, count * kMxfp4Block}, torch::kFloat32);
  const auto* const from = packed.const_data_ptr<std::uint8_t>();
  const auto* const exponent = exponents.const_data_ptr<std::uint8_t>();
  auto* const to = values.mutable_data_ptr<float>();
  at::parallel_for(0, rows * count, kTogether, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t block = first; block < last; ++block) {
      const float scale = std::ldexp(1.0F, static_cast<int>(exponent[block]) - kExponentOfOne);
      for (std::int64_t byte = 0; byte < kBytes; ++byte) {
        const std::uint8_t pair = from[block * kBytes + byte];
        float* const two = to + block * kMxfp4Block + 2 * byte;
        two[0] = kNumbers[pair & 0x0FU] * scale;
        two[1] = kNumbers[pair >> 4U] * scale;
      }
    }
  });
  return values;
}

}  // namespace foresight
