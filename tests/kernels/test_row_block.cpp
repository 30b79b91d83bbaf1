// The kernels of GPUs for rows, played on the host, beside torch's operators in float64.
#include "trainer/kernels/row_block.h"

#include <torch/types.h>
#include <torch/utils.h>

#include "tests/kernels/play_kernel.h"
#include "trainer/model/row_functions.h"
// after torch: c10 defines CHECK too
#include "tests/catch.h"

namespace foresight::kernels {
namespace {

torch::Tensor unwritten(torch::IntArrayRef sizes, torch::ScalarType type = torch::kFloat32) {
  return torch::full(sizes, std::numeric_limits<float>::quiet_NaN(), type);
}

bool close(const torch::Tensor& found, const torch::Tensor& expected, double relative) {
  return torch::allclose(found.to(torch::kFloat64), expected.to(torch::kFloat64), relative, relative);
}

/// A result rounded to bfloat16 is off by 2^-9 of itself.
double tolerance(torch::ScalarType type) {
  return type == torch::kBFloat16 ? 1.0 / 256 : 3e-6;
}

}  // namespace

TEST_CASE("row block: norms of any width are torch's, in either type") {
  const auto from = GENERATE(torch::kFloat32, torch::kBFloat16),
             to = GENERATE(torch::kFloat32, torch::kBFloat16);
  const std::int64_t width = GENERATE(1, 48, 256, 777);
  torch::manual_seed(width);
  const torch::Tensor input = torch::randn({5, width}).to(from), weight = torch::randn({width});
  torch::Tensor output = unwritten({5, width}, to);
  NormWork work;
  work.input = input.const_data_ptr();
  work.input_bfloat16 = from == torch::kBFloat16;
  work.weight = weight.const_data_ptr<float>();
  work.output = output.mutable_data_ptr();
  work.output_bfloat16 = to == torch::kBFloat16;
  work.rows = 5;
  work.width = width;
  work.epsilon = 1e-5F;
  const bool halves[] = {work.input_bfloat16, work.output_bfloat16};
  if (halves[0]) {
    halves[1] ? play_kernel<NormBlock<BlockHalf, BlockHalf>>(work, 1)
              : play_kernel<NormBlock<BlockHalf, float>>(work, 1);
  } else {
    halves[1] ? play_kernel<NormBlock<float, BlockHalf>>(work, 1)
              : play_kernel<NormBlock<float, float>>(work, 1);
  }
  const torch::Tensor expected =
      plain::rms_norm(input.to(torch::kFloat64), weight.to(torch::kFloat64), 1e-5, torch::kFloat64);
  CHECK(close(output, expected, tolerance(to)));
}

TEST_CASE("row block: vectors with gaps turn by the angles of their row and token") {
  const auto type = GENERATE(torch::kFloat32, torch::kBFloat16);
  const bool each_row = GENERATE(false, true);
  torch::manual_seed(3);
  const std::int64_t rows = 3, heads = 5, tokens = 7, d = 12;
  const torch::Tensor joined = torch::randn({rows, tokens, heads + 2, d}).to(type);
  const torch::Tensor input = joined.transpose(1, 2).narrow(1, 1, heads);  // [R, n, T, d]
  const torch::Tensor angles = 3 * torch::randn({each_row ? rows : 1, 1, tokens, d / 2});
  const torch::Tensor cosine = angles.cos(), sine = angles.sin();
  torch::Tensor output = unwritten({rows, heads, tokens, d});
  RotationWork work;
  work.input = input.const_data_ptr();
  work.row_stride = input.stride(0);
  work.head_stride = input.stride(1);
  work.token_stride = input.stride(2);
  work.cosine = cosine.const_data_ptr<float>();
  work.sine = sine.const_data_ptr<float>();
  work.angles_per_row = each_row ? tokens * d / 2 : 0;
  work.output = output.mutable_data_ptr<float>();
  work.rows = rows;
  work.heads = heads;
  work.tokens = tokens;
  work.half = d / 2;
  play_kernel_of<RotationBlock>(work, type == torch::kBFloat16, 1);
  const torch::Tensor expected = plain::rotate(input.to(torch::kFloat64), cosine, sine);
  CHECK(close(output, expected, 3e-6));
}

TEST_CASE("row block: gates are torch's, far from zero too") {
  const auto type = GENERATE(torch::kFloat32, torch::kBFloat16);
  torch::manual_seed(4);
  const std::int64_t rows = 3, width = 301;
  torch::Tensor input = (4 * torch::randn({rows, 2 * width})).to(type);
  input[0][0] = 90.0;
  input[1][0] = -90.0;
  torch::Tensor output = unwritten({rows, width}, type);
  GateWork work;
  work.input = input.const_data_ptr();
  work.output = output.mutable_data_ptr();
  work.rows = rows;
  work.width = width;
  play_kernel_of<GateBlock>(work, type == torch::kBFloat16, 1);
  CHECK(close(output, plain::gated_silu(input.to(torch::kFloat64)), tolerance(type)));
}

TEST_CASE("row block: losses and entropies are torch's, and of one logit above all others") {
  const auto type = GENERATE(torch::kFloat32, torch::kBFloat16);
  const std::int64_t width = GENERATE(1, 97, 256, 1500);
  torch::manual_seed(5 + width);
  const std::int64_t rows = 4;
  torch::Tensor logits = (6 * torch::randn({rows, width})).to(type);
  logits[1].fill_(2.5);
  logits[2][width / 2] = 300.0;
  torch::Tensor targets = torch::randint(0, width, {rows}, torch::kInt64);
  torch::Tensor loss = unwritten({rows}), entropy = unwritten({rows});
  LossWork work;
  work.logits = logits.const_data_ptr();
  work.targets = targets.const_data_ptr<std::int64_t>();
  work.loss = loss.mutable_data_ptr<float>();
  work.entropy = entropy.mutable_data_ptr<float>();
  work.rows = rows;
  work.width = width;
  const auto run = [&](std::uint64_t seed) {
    play_kernel_of<LossBlock>(work, type == torch::kBFloat16, seed);
  };
  run(1);
  const LossAndEntropy expected = plain::loss_and_entropy(logits.to(torch::kFloat64), targets);
  CHECK(close(loss, expected.loss, 1e-5));
  CHECK(close(entropy, expected.entropy, 1e-5));
  const torch::Tensor first_loss = loss.clone(), first_entropy = entropy.clone();
  run(2);  // in another order of threads
  CHECK(torch::equal(loss, first_loss));
  CHECK(torch::equal(entropy, first_entropy));
  targets[0] = width;
  run(1);
  CHECK(std::isnan(loss[0].item<float>()));
  CHECK(std::isfinite(loss[1].item<float>()));
}

}  // namespace foresight::kernels
