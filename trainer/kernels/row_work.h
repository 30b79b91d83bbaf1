// What a forward pass does to every row between its products, described on bare memory for the kernels of
// GPUs. No torch. Values are float32, or bfloat16 where a flag says so.
#pragma once

#include <cstdint>

namespace foresight::kernels {

/// Root-mean-square norm: input [rows, width], weight [width] -> output [rows, width].
struct NormWork {
  const void* input = nullptr;
  bool input_bfloat16 = false;
  const float* weight = nullptr;
  void* output = nullptr;
  bool output_bfloat16 = false;
  std::int64_t rows = 0, width = 0;
  float epsilon = 0;
};

/// Rotary embedding: input [rows, heads, tokens, 2 * half] by its strides, the last dimension without gaps;
/// angles [rows or 1, tokens, half] -> output [rows, heads, tokens, 2 * half] float32.
struct RotationWork {
  const void* input = nullptr;
  bool bfloat16 = false;
  std::int64_t row_stride = 0, head_stride = 0, token_stride = 0;
  const float *cosine = nullptr, *sine = nullptr;
  std::int64_t angles_per_row = 0;  ///< 0: the same for every row
  float* output = nullptr;
  std::int64_t rows = 0, heads = 0, tokens = 0, half = 0;
};

/// silu(first half) * second half: input [rows, 2 * width] -> output [rows, width] of its type.
struct GateWork {
  const void* input = nullptr;
  void* output = nullptr;
  bool bfloat16 = false;
  std::int64_t rows = 0, width = 0;
};

/// Loss of targets [rows] and entropy by logits [rows, width], [rows] float32 each. A target outside the
/// vocabulary gets a loss that is no number.
struct LossWork {
  const void* logits = nullptr;
  bool bfloat16 = false;
  const std::int64_t* targets = nullptr;
  float *loss = nullptr, *entropy = nullptr;
  std::int64_t rows = 0, width = 0;
};

}  // namespace foresight::kernels
