#include "trainer/model/row_functions.h"

#include <ATen/Parallel.h>

#include <limits>

#include "trainer/base/error.h"
#include "trainer/base/text.h"
#include "trainer/model/gpu_rows.h"
#include "trainer/model/row_kernels.h"
#include "trainer/model/tensor_io.h"

namespace foresight {
namespace plain {
namespace {

/// Float32 of bfloat16; other types, which tests are exact in, stay.
torch::Tensor widened(const torch::Tensor& values) {
  return values.scalar_type() == torch::kBFloat16 ? values.to(torch::kFloat32) : values;
}

}  // namespace

torch::Tensor rms_norm(const torch::Tensor& hidden, const torch::Tensor& weight, double epsilon,
                       torch::ScalarType result) {
  const torch::Tensor wide = widened(hidden);
  const torch::Tensor scale = wide.square().mean(-1, /*keepdim=*/true).add_(epsilon).rsqrt_();
  const torch::Tensor output = (wide * scale).mul_(weight);
  return result == torch::kBFloat16 ? output.to(result) : output;
}

torch::Tensor rotate(const torch::Tensor& input, const torch::Tensor& cosine, const torch::Tensor& sine) {
  const std::int64_t half = input.size(-1) / 2;
  const torch::Tensor wide = widened(input);
  const torch::Tensor first = wide.narrow(-1, 0, half), second = wide.narrow(-1, half, half);
  torch::Tensor output = torch::empty(wide.sizes(), wide.options());
  output.narrow(-1, 0, half).copy_(first * cosine).sub_(second * sine);
  output.narrow(-1, half, half).copy_(second * cosine).add_(first * sine);
  return output;
}

torch::Tensor gated_silu(const torch::Tensor& gate_up) {
  const auto halves = widened(gate_up).chunk(2, -1);
  return torch::silu(halves[0]).mul_(halves[1]).to(gate_up.scalar_type());
}

torch::Tensor causal_softmax(torch::Tensor scores, double scale, const torch::Tensor& sinks) {
  scores.mul_(scale);
  const std::int64_t tokens = scores.size(-2), entries = scores.size(-1);
  if (tokens > 1) {
    const torch::Tensor future = torch::ones({tokens, tokens}, scores.options().dtype(torch::kBool)).triu_(1);
    scores.narrow(-1, entries - tokens, tokens)
        .masked_fill_(future, -std::numeric_limits<double>::infinity());
  }
  if (!sinks.defined()) return torch::softmax(scores, -1);
  const std::int64_t matrices = scores.numel() / (tokens * entries);
  std::vector<std::int64_t> shape = scores.sizes().vec();
  shape.back() = 1;
  const torch::Tensor beside = sinks.to(scores.scalar_type())
                                   .repeat({matrices / sinks.size(0)})
                                   .unsqueeze(1)
                                   .expand({matrices, tokens})
                                   .reshape(shape);
  return torch::softmax(torch::cat({scores, beside}, -1), -1).narrow(-1, 0, entries);
}

LossAndEntropy loss_and_entropy(const torch::Tensor& logits, const torch::Tensor& targets) {
  // log_softmax is one vectorised pass on the CPU; logsumexp takes 25 times as long there.
  const torch::Tensor log_probability = torch::log_softmax(widened(logits), -1);
  return {.loss = log_probability.gather(1, targets.unsqueeze(1)).squeeze(1).neg_(),
          .entropy = (log_probability.exp() * log_probability).sum(-1).neg_()};
}

}  // namespace plain

namespace {

bool is_packed(const torch::Tensor& tensor, torch::ScalarType type) {
  return tensor.is_cpu() && tensor.scalar_type() == type && tensor.is_contiguous();
}

bool is_packed(const torch::Tensor& tensor) {
  return is_packed(tensor, torch::kFloat32) || is_packed(tensor, torch::kBFloat16);
}

/// Runs `work(first, last)` on parts of `rows` rows of `width` values, on all threads where that pays.
template <typename Work>
void for_rows(std::int64_t rows, std::int64_t width, const Work& work) {
  constexpr std::int64_t kValues = 16384;  // below, waking a thread costs more than it saves
  at::parallel_for(0, rows, std::max<std::int64_t>(1, kValues / std::max<std::int64_t>(1, width)), work);
}

/// Calls `work` with a value of the type that `tensor` holds, float32 or bfloat16.
template <typename Work>
void with_type_of(const torch::Tensor& tensor, const Work& work) {
  if (tensor.scalar_type() == torch::kBFloat16) {
    work(c10::BFloat16());
  } else {
    work(float());
  }
}

}  // namespace

torch::Tensor rms_norm(const torch::Tensor& hidden, const torch::Tensor& weight, double epsilon,
                       torch::ScalarType result) {
  const bool one_weight_each =
      weight.dim() == 1 && weight.is_contiguous() && weight.size(0) == hidden.size(-1);
  if (gpu_rows::suits(hidden) && hidden.is_contiguous() && one_weight_each)
    return gpu_rows::rms_norm(hidden, weight, epsilon, result);
  if (!is_packed(hidden, torch::kFloat32) || !is_packed(weight, torch::kFloat32) || weight.dim() != 1) {
    return plain::rms_norm(hidden, weight, epsilon, result);
  }
  const std::int64_t width = weight.size(0);
  if (hidden.size(-1) != width) {
    throw Error(ErrorKind::kInternal,
                concat("rms_norm: rows of ", hidden.size(-1), " values, but ", width, " weights"));
  }
  torch::Tensor output = torch::empty_like(hidden, hidden.options().dtype(result));
  const row_kernels::NormRows rows{.input = hidden.const_data_ptr<float>(),
                                   .weight = weight.const_data_ptr<float>(),
                                   .width = width,
                                   .epsilon = static_cast<float>(epsilon)};
  with_type_of(output, [&](auto type) {
    auto* const to = output.mutable_data_ptr<decltype(type)>();
    for_rows(width == 0 ? 0 : hidden.numel() / width, width,
             [&](std::int64_t first, std::int64_t last) { row_kernels::norm(rows, to, first, last); });
  });
  return output;
}

torch::Tensor rotate(const torch::Tensor& input, const torch::Tensor& cosine, const torch::Tensor& sine) {
  const std::int64_t heads = input.size(1), tokens = input.size(2), d = input.size(3), half = d / 2;
  check_shape(cosine, {-1, 1, tokens, half}, "cosine");
  check_shape(sine, cosine.sizes(), "sine");
  if (gpu_rows::suits(input) && cosine.is_contiguous() && sine.is_contiguous())
    return gpu_rows::rotate(input, cosine, sine);
  const bool is_known = input.scalar_type() == torch::kFloat32 || input.scalar_type() == torch::kBFloat16;
  if (!input.is_cpu() || !is_known || input.stride(3) != 1 || !is_packed(cosine, torch::kFloat32) ||
      !is_packed(sine, torch::kFloat32)) {
    return plain::rotate(input, cosine, sine);
  }
  torch::Tensor output = torch::empty(input.sizes(), input.options().dtype(torch::kFloat32));
  const std::int64_t angles_per_row = cosine.size(0) == 1 ? 0 : tokens * half;
  const float* const cosines = cosine.const_data_ptr<float>();
  const float* const sines = sine.const_data_ptr<float>();
  float* const to = output.mutable_data_ptr<float>();
  with_type_of(input, [&](auto type) {
    const auto* const from = input.const_data_ptr<decltype(type)>();
    for_rows(input.size(0) * heads * tokens, d, [&](std::int64_t first, std::int64_t last) {
      for (std::int64_t at = first; at < last; ++at) {
        const std::int64_t token = at % tokens, head = at / tokens % heads, row = at / (tokens * heads);
        const std::int64_t angle = row * angles_per_row + token * half;
        row_kernels::rotate(from + row * input.stride(0) + head * input.stride(1) + token * input.stride(2),
                            cosines + angle, sines + angle, to + at * d, half);
      }
    });
  });
  return output;
}

torch::Tensor gated_silu(const torch::Tensor& gate_up) {
  if (gpu_rows::suits(gate_up) && gate_up.is_contiguous()) return gpu_rows::gated_silu(gate_up);
  if (!is_packed(gate_up)) return plain::gated_silu(gate_up);
  std::vector<std::int64_t> shape = gate_up.sizes().vec();
  shape.back() /= 2;
  torch::Tensor output = torch::empty(shape, gate_up.options());
  const std::int64_t width = shape.back();
  with_type_of(output, [&](auto type) {
    const auto* const from = gate_up.const_data_ptr<decltype(type)>();
    auto* const to = output.mutable_data_ptr<decltype(type)>();
    for_rows(width == 0 ? 0 : output.numel() / width, width,
             [&](std::int64_t first, std::int64_t last) { row_kernels::gate(from, to, width, first, last); });
  });
  return output;
}

torch::Tensor gated_gelu(const torch::Tensor& gate_up) {
  const auto halves = gate_up.to(torch::kFloat32).chunk(2, -1);
  return torch::gelu(halves[0], "tanh").mul_(halves[1]).to(gate_up.scalar_type());
}

torch::Tensor gated_clamped(const torch::Tensor& gate_up) {
  constexpr double kSlope = 1.702, kLimit = 7.0;
  const auto halves = gate_up.to(torch::kFloat32).chunk(2, -1);
  const torch::Tensor gate = halves[0].clamp_max(kLimit);
  const torch::Tensor opened = torch::sigmoid(gate * kSlope).mul_(gate);
  return halves[1].clamp(-kLimit, kLimit).add_(1.0).mul_(opened).to(gate_up.scalar_type());
}

torch::Tensor soft_capped(torch::Tensor values, double cap) {
  return cap > 0.0 ? values.div_(cap).tanh_().mul_(cap) : values;
}

void add_update(torch::Tensor& hidden, const torch::Tensor& update) {
  check_shape(update, hidden.sizes(), "update");
  if (!is_packed(update, torch::kBFloat16) || !is_packed(hidden, torch::kFloat32)) {
    hidden.add_(update);
    return;
  }
  const auto* const from = update.const_data_ptr<c10::BFloat16>();
  float* const to = hidden.mutable_data_ptr<float>();
  for_rows(hidden.numel(), 1,
           [&](std::int64_t first, std::int64_t last) { row_kernels::add(from, to, first, last); });
}

torch::Tensor causal_softmax(torch::Tensor scores, double scale, const torch::Tensor& sinks) {
  const std::int64_t tokens = scores.size(-2), entries = scores.size(-1);
  if (tokens > entries || scale <= 0) {
    throw Error(ErrorKind::kInternal,
                concat("causal softmax: ", tokens, " queries of ", entries, " entries, scale ", scale,
                       "; expected no more queries than entries"));
  }
  if (sinks.defined() &&
      (sinks.dim() != 1 || sinks.numel() == 0 || scores.numel() % (tokens * entries * sinks.size(0)) != 0)) {
    throw Error(ErrorKind::kInternal,
                concat("causal softmax: sinks ", sinks.sizes(), " do not fit scores ", scores.sizes()));
  }
  const bool packed_sinks = !sinks.defined() || is_packed(sinks, torch::kFloat32);
  if (!is_packed(scores, torch::kFloat32) || !packed_sinks)
    return plain::causal_softmax(scores, scale, sinks);
  const row_kernels::SoftmaxRows rows{.width = entries,
                                      .tokens = tokens,
                                      .scale = static_cast<float>(scale),
                                      .sinks = sinks.defined() ? sinks.const_data_ptr<float>() : nullptr,
                                      .sink_count = sinks.defined() ? sinks.size(0) : 0};
  float* const values = scores.mutable_data_ptr<float>();
  for_rows(entries == 0 ? 0 : scores.numel() / entries, entries,
           [&](std::int64_t first, std::int64_t last) { row_kernels::softmax(rows, values, first, last); });
  return scores;
}

LossAndEntropy loss_and_entropy(const torch::Tensor& logits, const torch::Tensor& targets) {
  check_shape(logits, {-1, -1}, "logits");
  check_shape(targets, {logits.size(0)}, "targets");
  if (gpu_rows::suits(logits) && logits.is_contiguous()) return gpu_rows::loss_and_entropy(logits, targets);
  if (!is_packed(logits)) return plain::loss_and_entropy(logits, targets);
  const std::int64_t rows = logits.size(0), width = logits.size(1);
  const torch::Tensor wanted = targets.to(torch::kCPU, torch::kInt64).contiguous();
  if (rows > 0 && (wanted.min().item<std::int64_t>() < 0 || wanted.max().item<std::int64_t>() >= width)) {
    throw Error(ErrorKind::kInternal, concat("loss of a token outside the vocabulary of ", width));
  }
  const auto options = logits.options().dtype(torch::kFloat32);
  LossAndEntropy result{.loss = torch::empty({rows}, options), .entropy = torch::empty({rows}, options)};
  const row_kernels::ScoreRows to{.targets = wanted.const_data_ptr<std::int64_t>(),
                                  .loss = result.loss.mutable_data_ptr<float>(),
                                  .entropy = result.entropy.mutable_data_ptr<float>(),
                                  .width = width};
  with_type_of(logits, [&](auto type) {
    const auto* const from = logits.const_data_ptr<decltype(type)>();
    for_rows(rows, width,
             [&](std::int64_t first, std::int64_t last) { row_kernels::score(from, to, first, last); });
  });
  return result;
}

}  // namespace foresight
