// Weights in MXFP4 (Open Compute Project, "OCP Microscaling Formats (MX) Specification", version 1.0): blocks
// of 32 numbers of 4 bits that share a power of two.
#pragma once

#include <torch/types.h>

#include <cstdint>
#include <string>

namespace foresight {

inline constexpr std::int64_t kMxfp4Block = 32;  ///< numbers of a block, two a byte

/// blocks [rows, n, 16] uint8, the even number of a pair in a byte's lower half; scales [rows, n] uint8, the
/// exponent plus 127 -> [rows, 32 n] float32 on the CPU, exact. Throws Error(kInput) for a scale of 255,
/// which is no number; `name` is what the message calls the scales.
torch::Tensor dequantised_mxfp4(const torch::Tensor& blocks, const torch::Tensor& scales,
                                const std::string& name);

}  // namespace foresight
