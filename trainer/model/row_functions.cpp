#include "trainer/model/row_functions.h"

#include <ATen/Parallel.h>

#include <cmath>
#include <limits>

#include "trainer/base/error.h"
#include "trainer/base/text.h"
#include "trainer/model/lanes.h"
#include "trainer/model/tensor_io.h"

namespace foresight {
namespace plain {

torch::Tensor rms_norm(const torch::Tensor& hidden, const torch::Tensor& weight, double epsilon) {
  const torch::Tensor scale = hidden.square().mean(-1, /*keepdim=*/true).add_(epsilon).rsqrt_();
  return (hidden * scale).mul_(weight);
}

torch::Tensor rotate(const torch::Tensor& input, const torch::Tensor& cosine, const torch::Tensor& sine) {
  const std::int64_t half = input.size(-1) / 2;
  const torch::Tensor first = input.narrow(-1, 0, half), second = input.narrow(-1, half, half);
  torch::Tensor output = torch::empty(input.sizes(), input.options());
  output.narrow(-1, 0, half).copy_(first * cosine).sub_(second * sine);
  output.narrow(-1, half, half).copy_(second * cosine).add_(first * sine);
  return output;
}

torch::Tensor gated_silu(const torch::Tensor& gate_up) {
  const auto halves = gate_up.chunk(2, -1);
  return torch::silu(halves[0]).mul_(halves[1]);
}

LossAndEntropy loss_and_entropy(const torch::Tensor& logits, const torch::Tensor& targets) {
  // log_softmax is one vectorised pass on the CPU; logsumexp takes 25 times as long there.
  const torch::Tensor log_probability = torch::log_softmax(logits, -1);
  return {.loss = log_probability.gather(1, targets.unsqueeze(1)).squeeze(1).neg_(),
          .entropy = (log_probability.exp() * log_probability).sum(-1).neg_()};
}

}  // namespace plain

namespace {

// How a register is handed over without AVX does not matter: the helpers become part of their callers.
#pragma GCC diagnostic ignored "-Wpsabi"

FORESIGHT_INLINE Lanes load(const float* at) {
  return *reinterpret_cast<const LanesAnywhere*>(at);
}

FORESIGHT_INLINE void store(float* at, const Lanes& values) {
  *reinterpret_cast<LanesAnywhere*>(at) = values;
}

FORESIGHT_INLINE float total(const Lanes& values) {
  float sum = 0;
  for (std::int64_t lane = 0; lane < kLanes; ++lane) sum += values[lane];
  return sum;
}

/// e^x for x <= 88, to 2 units in the last place; 0 below -87. 2^k times a polynomial of what is left
/// (Cephes's coefficients).
FORESIGHT_INLINE Lanes exponential(const Lanes& x) {
  constexpr float kLowest = -87.0F, kRounder = 12582912.0F;  // 1.5 * 2^23: adding it rounds to whole numbers
  const IntegerLanes vanishes = x < kLowest;                 // false for NaN, which stays one
  const Lanes bounded = vanishes ? Lanes{} + kLowest : x;
  const Lanes whole = (bounded * 1.44269504F + kRounder) - kRounder;
  const Lanes rest = (bounded - whole * 0.693359375F) + whole * 2.12194440e-4F;
  Lanes power = rest * 1.9875691500e-4F + 1.3981999507e-3F;
  power = power * rest + 8.3334519073e-3F;
  power = power * rest + 4.1665795894e-2F;
  power = power * rest + 1.6666665459e-1F;
  power = power * rest + 5.0000001201e-1F;
  power = power * (rest * rest) + rest + 1.0F;
  constexpr std::int32_t kBias = 127, kMantissaBits = 23;
  const IntegerLanes exponent = (__builtin_convertvector(whole, IntegerLanes) + kBias) << kMantissaBits;
  const Lanes result = power * reinterpret_cast<Lanes>(exponent);
  return vanishes ? Lanes{} : result;
}

/// Rows first .. last - 1 of [N, width].
FORESIGHT_FOR_EVERY_PROCESSOR
void norm_rows(const float* input, const float* weight, float* output, std::int64_t width, float epsilon,
               std::int64_t first, std::int64_t last) {
  for (std::int64_t row = first; row < last; ++row) {
    const float* const from = input + row * width;
    float* const to = output + row * width;
    Lanes sums[2] = {};
    std::int64_t i = 0;
    for (; i + 2 * kLanes <= width; i += 2 * kLanes) {
      const Lanes low = load(from + i), high = load(from + i + kLanes);
      sums[0] += low * low;
      sums[1] += high * high;
    }
    float sum = total(sums[0] + sums[1]);
    for (; i < width; ++i) sum += from[i] * from[i];
    const float scale = 1.0F / std::sqrt(sum / static_cast<float>(width) + epsilon);
    for (i = 0; i + kLanes <= width; i += kLanes) store(to + i, load(from + i) * scale * load(weight + i));
    for (; i < width; ++i) to[i] = from[i] * scale * weight[i];
  }
}

FORESIGHT_FOR_EVERY_PROCESSOR
void rotate_row(const float* input, const float* cosine, const float* sine, float* output,
                std::int64_t half) {
  std::int64_t i = 0;
  for (; i + kLanes <= half; i += kLanes) {
    const Lanes low = load(input + i), high = load(input + half + i);
    const Lanes along = load(cosine + i), across = load(sine + i);
    store(output + i, low * along - high * across);
    store(output + half + i, high * along + low * across);
  }
  for (; i < half; ++i) {
    output[i] = input[i] * cosine[i] - input[half + i] * sine[i];
    output[half + i] = input[half + i] * cosine[i] + input[i] * sine[i];
  }
}

/// Rows first .. last - 1 of [N, 2 * width] -> [N, width].
FORESIGHT_FOR_EVERY_PROCESSOR
void gate_rows(const float* input, float* output, std::int64_t width, std::int64_t first, std::int64_t last) {
  for (std::int64_t row = first; row < last; ++row) {
    const float* const gate = input + row * 2 * width;
    const float* const up = gate + width;
    float* const to = output + row * width;
    std::int64_t i = 0;
    for (; i + kLanes <= width; i += kLanes) {
      const Lanes value = load(gate + i);
      // Beyond 87 both ways the sigmoid is 0 or 1 to the last bit.
      const Lanes bounded = -value < Lanes{} + 87.0F ? -value : Lanes{} + 87.0F;
      store(to + i, value / (exponential(bounded) + 1.0F) * load(up + i));
    }
    for (; i < width; ++i) to[i] = gate[i] / (1.0F + std::exp(-gate[i])) * up[i];
  }
}

/// Rows first .. last - 1 of logits [N, width]. Against the largest logit m of a row: with s = sum e^(x - m),
/// the loss is log s - (x_target - m), the entropy log s - sum (x - m) e^(x - m) / s.
FORESIGHT_FOR_EVERY_PROCESSOR
void score_rows(const float* logits, const std::int64_t* targets, float* loss, float* entropy,
                std::int64_t width, std::int64_t first, std::int64_t last) {
  for (std::int64_t row = first; row < last; ++row) {
    const float* const from = logits + row * width;
    float largest = -std::numeric_limits<float>::infinity();
    Lanes peaks = Lanes{} + largest;
    std::int64_t i = 0;
    for (; i + kLanes <= width; i += kLanes) {
      const Lanes values = load(from + i);
      peaks = values > peaks ? values : peaks;
    }
    for (std::int64_t lane = 0; lane < kLanes; ++lane) largest = std::max(largest, peaks[lane]);
    for (; i < width; ++i) largest = std::max(largest, from[i]);
    Lanes sums[2] = {}, weighted[2] = {};
    for (i = 0; i + 2 * kLanes <= width; i += 2 * kLanes) {
      for (std::int64_t part = 0; part < 2; ++part) {
        const Lanes below = load(from + i + part * kLanes) - largest, power = exponential(below);
        sums[part] += power;
        weighted[part] += power * below;
      }
    }
    double sum = total(sums[0] + sums[1]), mean = total(weighted[0] + weighted[1]);
    for (; i < width; ++i) {
      const float below = from[i] - largest, power = std::exp(below);
      sum += power;
      mean += power * below;
    }
    loss[row] = static_cast<float>(std::log(sum) - (from[targets[row]] - largest));
    entropy[row] = static_cast<float>(std::log(sum) - mean / sum);
  }
}

bool is_packed(const torch::Tensor& tensor) {
  return tensor.is_cpu() && tensor.scalar_type() == torch::kFloat32 && tensor.is_contiguous();
}

/// Runs `work(first, last)` on parts of `rows` rows of `width` floats, on all threads where that pays.
template <typename Work>
void for_rows(std::int64_t rows, std::int64_t width, const Work& work) {
  constexpr std::int64_t kFloats = 16384;  // below, waking a thread costs more than it saves
  at::parallel_for(0, rows, std::max<std::int64_t>(1, kFloats / std::max<std::int64_t>(1, width)), work);
}

}  // namespace

torch::Tensor rms_norm(const torch::Tensor& hidden, const torch::Tensor& weight, double epsilon) {
  if (!is_packed(hidden) || !is_packed(weight) || weight.dim() != 1) {
    return plain::rms_norm(hidden, weight, epsilon);
  }
  const std::int64_t width = weight.size(0);
  if (hidden.size(-1) != width) {
    throw Error(ErrorKind::kInternal,
                concat("rms_norm: rows of ", hidden.size(-1), " values, but ", width, " weights"));
  }
  torch::Tensor output = torch::empty_like(hidden);
  const std::int64_t rows = width == 0 ? 0 : hidden.numel() / width;
  for_rows(rows, width, [&](std::int64_t first, std::int64_t last) {
    norm_rows(hidden.const_data_ptr<float>(), weight.const_data_ptr<float>(),
              output.mutable_data_ptr<float>(), width, static_cast<float>(epsilon), first, last);
  });
  return output;
}

torch::Tensor rotate(const torch::Tensor& input, const torch::Tensor& cosine, const torch::Tensor& sine) {
  const std::int64_t heads = input.size(1), tokens = input.size(2), d = input.size(3), half = d / 2;
  check_shape(cosine, {-1, 1, tokens, half}, "cosine");
  check_shape(sine, cosine.sizes(), "sine");
  const bool is_fused = input.is_cpu() && input.scalar_type() == torch::kFloat32 && input.stride(3) == 1 &&
                        is_packed(cosine) && is_packed(sine);
  if (!is_fused) return plain::rotate(input, cosine, sine);
  torch::Tensor output = torch::empty(input.sizes(), input.options());
  const std::int64_t angles_per_row = cosine.size(0) == 1 ? 0 : tokens * half;
  for_rows(input.size(0) * heads * tokens, d, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t at = first; at < last; ++at) {
      const std::int64_t token = at % tokens, head = at / tokens % heads, row = at / (tokens * heads);
      const std::int64_t angle = row * angles_per_row + token * half;
      rotate_row(input.const_data_ptr<float>() + row * input.stride(0) + head * input.stride(1) +
                     token * input.stride(2),
                 cosine.const_data_ptr<float>() + angle, sine.const_data_ptr<float>() + angle,
                 output.mutable_data_ptr<float>() + at * d, half);
    }
  });
  return output;
}

torch::Tensor gated_silu(const torch::Tensor& gate_up) {
  if (!is_packed(gate_up)) return plain::gated_silu(gate_up);
  std::vector<std::int64_t> shape = gate_up.sizes().vec();
  shape.back() /= 2;
  torch::Tensor output = torch::empty(shape, gate_up.options());
  const std::int64_t width = shape.back(), rows = width == 0 ? 0 : output.numel() / width;
  for_rows(rows, width, [&](std::int64_t first, std::int64_t last) {
    gate_rows(gate_up.const_data_ptr<float>(), output.mutable_data_ptr<float>(), width, first, last);
  });
  return output;
}

LossAndEntropy loss_and_entropy(const torch::Tensor& logits, const torch::Tensor& targets) {
  check_shape(logits, {-1, -1}, "logits");
  check_shape(targets, {logits.size(0)}, "targets");
  if (!is_packed(logits)) return plain::loss_and_entropy(logits, targets);
  const std::int64_t rows = logits.size(0), width = logits.size(1);
  const torch::Tensor wanted = targets.to(torch::kCPU, torch::kInt64).contiguous();
  if (rows > 0 && (wanted.min().item<std::int64_t>() < 0 || wanted.max().item<std::int64_t>() >= width)) {
    throw Error(ErrorKind::kInternal, concat("loss of a token outside the vocabulary of ", width));
  }
  LossAndEntropy result{.loss = torch::empty({rows}, logits.options()),
                        .entropy = torch::empty({rows}, logits.options())};
  for_rows(rows, width, [&](std::int64_t first, std::int64_t last) {
    score_rows(logits.const_data_ptr<float>(), wanted.const_data_ptr<std::int64_t>(),
               result.loss.mutable_data_ptr<float>(), result.entropy.mutable_data_ptr<float>(), width, first,
               last);
  });
  return result;
}

}  // namespace foresight
