// The loops over rows behind row_functions.h, on bare memory: rows first .. last - 1, in float32 registers,
// of rows of floats or of bfloat16. The instruction set is chosen at run time.
#pragma once

#include <c10/util/BFloat16.h>

#include <cstdint>

namespace foresight::row_kernels {

/// Root-mean-square norm: input [N, width], weight [width] -> output [N, width].
struct NormRows {
  const float* input;
  const float* weight;
  std::int64_t width;
  float epsilon;
};
void norm(const NormRows& of, float* output, std::int64_t first, std::int64_t last);
void norm(const NormRows& of, c10::BFloat16* output, std::int64_t first, std::int64_t last);

/// One head of one token, 2 * half values, turned by `half` angles.
void rotate(const float* input, const float* cosine, const float* sine, float* output, std::int64_t half);
void rotate(const c10::BFloat16* input, const float* cosine, const float* sine, float* output,
            std::int64_t half);

/// silu(first half) * second half: input [N, 2 * width] -> output [N, width].
void gate(const float* input, float* output, std::int64_t width, std::int64_t first, std::int64_t last);
void gate(const c10::BFloat16* input, c10::BFloat16* output, std::int64_t width, std::int64_t first,
          std::int64_t last);

/// Values first .. last - 1: hidden += update.
void add(const c10::BFloat16* update, float* hidden, std::int64_t first, std::int64_t last);

/// Causal softmax in place: scores [N, width] of `tokens` queries after one another, the last of which sees
/// all entries, the one before all but one, and so on. Becomes softmax(scale * scores), 0 where nothing is
/// seen. With sinks, e^sink stands in the denominator too, of each `tokens` rows the next sink's in turn.
struct SoftmaxRows {
  std::int64_t width, tokens;
  float scale;         // above 0
  const float* sinks;  // [sink_count] or null
  std::int64_t sink_count;
};
void softmax(const SoftmaxRows& of, float* scores, std::int64_t first, std::int64_t last);

/// Loss of targets [N] and entropy by logits [N, width]. Against the largest logit m of a row: with s = sum
/// e^(x - m), the loss is log s - (x_target - m), the entropy log s - sum (x - m) e^(x - m) / s.
struct ScoreRows {
  const std::int64_t* targets;
  float* loss;
  float* entropy;
  std::int64_t width;
};
void score(const float* logits, const ScoreRows& of, std::int64_t first, std::int64_t last);
void score(const c10::BFloat16* logits, const ScoreRows& of, std::int64_t first, std::int64_t last);

}  // namespace foresight::row_kernels
