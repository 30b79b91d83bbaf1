#include "trainer/model/row_kernels.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "trainer/model/lanes.h"

namespace foresight::row_kernels {
namespace {

using c10::BFloat16;
FORESIGHT_INLINE void store(float* at, const Lanes& values) {
  *reinterpret_cast<LanesAnywhere*>(at) = values;
}

/// Rounds to nearest, ties to even; what is not a number stays none.
FORESIGHT_INLINE void store(BFloat16* at, const Lanes& values) {
  constexpr int kHalfBits = 16;
  constexpr std::uint32_t kJustBelowHalf = 0x7fff, kNotANumber = 0x7fc0;
  const WordLanes bits = reinterpret_cast<WordLanes>(values);
  const WordLanes rounded = (bits + kJustBelowHalf + ((bits >> kHalfBits) & 1)) >> kHalfBits;
  const WordLanes kept = values == values ? rounded : WordLanes{} + kNotANumber;
  *reinterpret_cast<HalfLanesAnywhere*>(at) = __builtin_convertvector(kept, HalfLanes);
}

FORESIGHT_INLINE float total(const Lanes& values) {
  float sum = 0;
  for (std::int64_t lane = 0; lane < kLanes; ++lane) sum += values[lane];
  return sum;
}

FORESIGHT_INLINE Lanes exponential(const Lanes& x) {
  return exponential_of<Lanes, IntegerLanes>(x);
}

template <typename Output>
FORESIGHT_INLINE void norm_rows(const NormRows& of, Output* output, std::int64_t first, std::int64_t last) {
  for (std::int64_t row = first; row < last; ++row) {
    const float* const from = of.input + row * of.width;
    Output* const to = output + row * of.width;
    Lanes sums[2] = {};
    std::int64_t i = 0;
    for (; i + 2 * kLanes <= of.width; i += 2 * kLanes) {
      const Lanes low = load(from + i), high = load(from + i + kLanes);
      sums[0] += low * low;
      sums[1] += high * high;
    }
    float sum = total(sums[0] + sums[1]);
    for (; i < of.width; ++i) sum += from[i] * from[i];
    const float scale = 1.0F / std::sqrt(sum / static_cast<float>(of.width) + of.epsilon);
    for (i = 0; i + kLanes <= of.width; i += kLanes)
      store(to + i, load(from + i) * scale * load(of.weight + i));
    for (; i < of.width; ++i) to[i] = static_cast<Output>(from[i] * scale * of.weight[i]);
  }
}

template <typename Input>
FORESIGHT_INLINE void rotate_head(const Input* input, const float* cosine, const float* sine, float* output,
                                  std::int64_t half) {
  std::int64_t i = 0;
  for (; i + kLanes <= half; i += kLanes) {
    const Lanes low = load(input + i), high = load(input + half + i);
    const Lanes along = load(cosine + i), across = load(sine + i);
    store(output + i, low * along - high * across);
    store(output + half + i, high * along + low * across);
  }
  for (; i < half; ++i) {
    const float low = input[i], high = input[half + i];
    output[i] = low * cosine[i] - high * sine[i];
    output[half + i] = high * cosine[i] + low * sine[i];
  }
}

template <typename Value>
FORESIGHT_INLINE void gate_rows(const Value* input, Value* output, std::int64_t width, std::int64_t first,
                                std::int64_t last) {
  for (std::int64_t row = first; row < last; ++row) {
    const Value* const gate = input + row * 2 * width;
    const Value* const up = gate + width;
    Value* const to = output + row * width;
    std::int64_t i = 0;
    for (; i + kLanes <= width; i += kLanes) {
      const Lanes value = load(gate + i);
      // Beyond 87 both ways the sigmoid is 0 or 1 to the last bit.
      const Lanes bounded = -value < Lanes{} + 87.0F ? -value : Lanes{} + 87.0F;
      store(to + i, value / (exponential(bounded) + 1.0F) * load(up + i));
    }
    for (; i < width; ++i) {
      const float value = gate[i], other = up[i];
      to[i] = static_cast<Value>(value / (1.0F + std::exp(-value)) * other);
    }
  }
}

template <typename Value>
FORESIGHT_INLINE float largest_of(const Value* values, std::int64_t count) {
  float largest = -std::numeric_limits<float>::infinity();
  Lanes peaks = Lanes{} + largest;
  std::int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    const Lanes some = load(values + i);
    peaks = some > peaks ? some : peaks;
  }
  for (std::int64_t lane = 0; lane < kLanes; ++lane) largest = std::max(largest, peaks[lane]);
  for (; i < count; ++i) largest = std::max(largest, static_cast<float>(values[i]));
  return largest;
}

/// `sink`: null or a scaled score that has a share and no value.
FORESIGHT_INLINE void softmax_row(float* row, std::int64_t seen, float scale, const float* sink) {
  float largest = largest_of(row, seen);
  if (sink != nullptr) largest = std::max(largest, *sink / scale);
  Lanes sums = {};
  std::int64_t i = 0;
  for (; i + kLanes <= seen; i += kLanes) {
    const Lanes power = exponential((load(row + i) - largest) * scale);
    store(row + i, power);
    sums += power;
  }
  float sum = total(sums);
  for (; i < seen; ++i) sum += row[i] = std::exp((row[i] - largest) * scale);
  if (sink != nullptr) sum += std::exp(*sink - largest * scale);
  const float share = 1.0F / sum;
  for (i = 0; i + kLanes <= seen; i += kLanes) store(row + i, load(row + i) * share);
  for (; i < seen; ++i) row[i] *= share;
}

template <typename Value>
FORESIGHT_INLINE void score_rows(const Value* logits, const ScoreRows& of, std::int64_t first,
                                 std::int64_t last) {
  for (std::int64_t row = first; row < last; ++row) {
    const Value* const from = logits + row * of.width;
    const float largest = largest_of(from, of.width);
    Lanes sums[2] = {}, weighted[2] = {};
    std::int64_t i = 0;
    for (; i + 2 * kLanes <= of.width; i += 2 * kLanes) {
      for (std::int64_t part = 0; part < 2; ++part) {
        const Lanes below = load(from + i + part * kLanes) - largest, power = exponential(below);
        sums[part] += power;
        weighted[part] += power * below;
      }
    }
    double sum = total(sums[0] + sums[1]), mean = total(weighted[0] + weighted[1]);
    for (; i < of.width; ++i) {
      const float below = static_cast<float>(from[i]) - largest, power = std::exp(below);
      sum += power;
      mean += power * below;
    }
    of.loss[row] = static_cast<float>(std::log(sum) - (static_cast<float>(from[of.targets[row]]) - largest));
    of.entropy[row] = static_cast<float>(std::log(sum) - mean / sum);
  }
}

}  // namespace

FORESIGHT_FOR_EVERY_PROCESSOR
void norm(const NormRows& of, float* output, std::int64_t first, std::int64_t last) {
  norm_rows(of, output, first, last);
}

FORESIGHT_FOR_EVERY_PROCESSOR
void norm(const NormRows& of, BFloat16* output, std::int64_t first, std::int64_t last) {
  norm_rows(of, output, first, last);
}

FORESIGHT_FOR_EVERY_PROCESSOR
void rotate(const float* input, const float* cosine, const float* sine, float* output, std::int64_t half) {
  rotate_head(input, cosine, sine, output, half);
}

FORESIGHT_FOR_EVERY_PROCESSOR
void rotate(const BFloat16* input, const float* cosine, const float* sine, float* output, std::int64_t half) {
  rotate_head(input, cosine, sine, output, half);
}

FORESIGHT_FOR_EVERY_PROCESSOR
void gate(const float* input, float* output, std::int64_t width, std::int64_t first, std::int64_t last) {
  gate_rows(input, output, width, first, last);
}

FORESIGHT_FOR_EVERY_PROCESSOR
void gate(const BFloat16* input, BFloat16* output, std::int64_t width, std::int64_t first,
          std::int64_t last) {
  gate_rows(input, output, width, first, last);
}

FORESIGHT_FOR_EVERY_PROCESSOR
void add(const BFloat16* update, float* hidden, std::int64_t first, std::int64_t last) {
  std::int64_t i = first;
  for (; i + kLanes <= last; i += kLanes) store(hidden + i, load(hidden + i) + load(update + i));
  for (; i < last; ++i) hidden[i] += static_cast<float>(update[i]);
}

FORESIGHT_FOR_EVERY_PROCESSOR
void softmax(const SoftmaxRows& of, float* scores, std::int64_t first, std::int64_t last) {
  for (std::int64_t index = first; index < last; ++index) {
    float* const row = scores + index * of.width;
    const std::int64_t seen = of.width - of.tokens + index % of.tokens + 1;
    const float* const sink = of.sinks == nullptr ? nullptr : of.sinks + index / of.tokens % of.sink_count;
    softmax_row(row, seen, of.scale, sink);
    std::fill(row + seen, row + of.width, 0.0F);
  }
}

FORESIGHT_FOR_EVERY_PROCESSOR
void score(const float* logits, const ScoreRows& of, std::int64_t first, std::int64_t last) {
  score_rows(logits, of, first, last);
}

FORESIGHT_FOR_EVERY_PROCESSOR
void score(const BFloat16* logits, const ScoreRows& of, std::int64_t first, std::int64_t last) {
  score_rows(logits, of, first, last);
}

}  // namespace foresight::row_kernels
