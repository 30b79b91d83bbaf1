#include "trainer/model/gpu_rows.h"

#include "trainer/kernels/launch.h"

namespace foresight::gpu_rows {
namespace {

bool is_bfloat16(const torch::Tensor& tensor) {
  return tensor.scalar_type() == torch::kBFloat16;
}

}  // namespace

bool suits(const torch::Tensor& tensor) {
  const auto type = tensor.scalar_type();
  return kernels::has_gpu_kernels(tensor.device()) && (type == torch::kFloat32 || type == torch::kBFloat16) &&
         tensor.dim() > 0 && tensor.numel() > 0 && tensor.stride(-1) == 1;
}

torch::Tensor rms_norm(const torch::Tensor& hidden, const torch::Tensor& weight, double epsilon,
                       torch::ScalarType result) {
  const std::int64_t width = hidden.size(-1);
  torch::Tensor output = torch::empty(hidden.sizes(), hidden.options().dtype(result));
  kernels::NormWork work;
  work.input = hidden.const_data_ptr();
  work.input_bfloat16 = is_bfloat16(hidden);
  work.weight = weight.const_data_ptr<float>();
  work.output = output.mutable_data_ptr();
  work.output_bfloat16 = is_bfloat16(output);
  work.rows = hidden.numel() / width;
  work.width = width;
  work.epsilon = static_cast<float>(epsilon);
  kernels::launch(work, hidden.device());
  return output;
}

torch::Tensor rotate(const torch::Tensor& input, const torch::Tensor& cosine, const torch::Tensor& sine) {
  torch::Tensor output = torch::empty(input.sizes(), input.options().dtype(torch::kFloat32));
  kernels::RotationWork work;
  work.input = input.const_data_ptr();
  work.bfloat16 = is_bfloat16(input);
  work.row_stride = input.stride(0);
  work.head_stride = input.stride(1);
  work.token_stride = input.stride(2);
  work.cosine = cosine.const_data_ptr<float>();
  work.sine = sine.const_data_ptr<float>();
  work.rows = input.size(0);
  work.heads = input.size(1);
  work.tokens = input.size(2);
  work.half = input.size(3) / 2;
  work.angles_per_row = cosine.size(0) == 1 ? 0 : work.tokens * work.half;
  work.output = output.mutable_data_ptr<float>();
  kernels::launch(work, input.device());
  return output;
}

torch::Tensor gated_silu(const torch::Tensor& gate_up) {
  std::vector<std::int64_t> shape = gate_up.sizes().vec();
  shape.back() /= 2;
  torch::Tensor output = torch::empty(shape, gate_up.options());
  kernels::GateWork work;
  work.input = gate_up.const_data_ptr();
  work.output = output.mutable_data_ptr();
  work.bfloat16 = is_bfloat16(gate_up);
  work.width = shape.back();
  work.rows = output.numel() / shape.back();
  kernels::launch(work, gate_up.device());
  return output;
}

LossAndEntropy loss_and_entropy(const torch::Tensor& logits, const torch::Tensor& targets) {
  const auto options = logits.options().dtype(torch::kFloat32);
  const torch::Tensor wanted = targets.to(logits.device(), torch::kInt64).contiguous();
  LossAndEntropy result{.loss = torch::empty({logits.size(0)}, options),
                        .entropy = torch::empty({logits.size(0)}, options)};
  kernels::LossWork work;
  work.logits = logits.const_data_ptr();
  work.bfloat16 = is_bfloat16(logits);
  work.targets = wanted.const_data_ptr<std::int64_t>();
  work.loss = result.loss.mutable_data_ptr<float>();
  work.entropy = result.entropy.mutable_data_ptr<float>();
  work.rows = logits.size(0);
  work.width = logits.size(1);
  kernels::launch(work, logits.device());
  return result;
}

}  // namespace foresight::gpu_rows
