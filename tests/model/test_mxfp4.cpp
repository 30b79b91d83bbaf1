// MXFP4 blocks beside their definition, and files whose blocks do not fit.
#include "trainer/model/mxfp4.h"

#include <torch/types.h>

#include <cmath>

#include "tests/model/changed_model.h"
#include "trainer/base/text.h"
// after torch: c10 defines CHECK too
#include "tests/catch.h"

using namespace foresight;  // NOLINT(google-build-using-namespace): a test of this namespace
using Catch::Contains;

namespace {

/// A number of one sign bit, two exponent bits (bias 1) and one of mantissa, as the specification has it.
double four_bits(int code) {
  const int exponent = code >> 1 & 3, mantissa = code & 1;
  const double size = exponent == 0 ? mantissa * 0.5 : std::ldexp(1 + mantissa * 0.5, exponent - 1);
  return (code & 8) != 0 ? -size : size;
}

constexpr const char* kGateUp = "model.layers.1.mlp.experts.gate_up_proj";

}  // namespace

TEST_CASE("MXFP4: every pair of numbers at every scale is what its bits say", "[model]") {
  torch::Tensor blocks = torch::arange(256, torch::kInt64).to(torch::kUInt8).view({1, 16, 16});
  blocks = blocks.expand({255, 16, 16}).contiguous();  // every scale but 255
  const torch::Tensor scales =
      torch::arange(255, torch::kInt64).to(torch::kUInt8).unsqueeze(1).expand({255, 16}).contiguous();
  const torch::Tensor values = dequantised_mxfp4(blocks, scales, "scales");
  REQUIRE(values.sizes() == torch::IntArrayRef({255, 512}));
  const auto found = values.accessor<float, 2>();
  bool equal = true;
  for (int scale = 0; scale < 255; ++scale) {
    for (int byte = 0; byte < 256; ++byte) {
      const auto low = static_cast<float>(std::ldexp(four_bits(byte & 15), scale - 127));
      const auto high = static_cast<float>(std::ldexp(four_bits(byte >> 4), scale - 127));
      equal = equal && found[scale][2 * byte] == low && found[scale][2 * byte + 1] == high;
    }
  }
  CHECK(equal);
}

TEST_CASE("MXFP4: a scale that is no number, and shapes that do not fit, are refused", "[model]") {
  const torch::Tensor blocks = torch::zeros({2, 3, 16}, torch::kUInt8);
  torch::Tensor scales = torch::zeros({2, 3}, torch::kUInt8);
  CHECK_THROWS_AS(dequantised_mxfp4(blocks, torch::zeros({2, 4}, torch::kUInt8), "scales"), Error);
  scales[1][2] = 255;
  CHECK_THROWS_WITH(dequantised_mxfp4(blocks, scales, "a_scales"),
                    Contains("a_scales: holds the scale 255, which is no number"));
}

TEST_CASE("MXFP4: files whose blocks or scales do not fit are refused by name", "[model]") {
  const auto fault = [](const std::function<void(NamedTensors&)>& change) {
    return fault_of_changed("gpt_oss_mxfp4", change);
  };
  const std::string blocks = std::string(kGateUp) + "_blocks", scales = std::string(kGateUp) + "_scales";
  CHECK(fault([](NamedTensors&) {}).empty());
  CHECK_THAT(fault([&](NamedTensors& tensors) {
               tensors[scales] = torch::zeros({5, 128, 2}, torch::kUInt8);
             }),
             Contains(concat("'", scales, "' has shape [5, 128, 2], config.json asks for [5, 128, 1]")));
  CHECK_THAT(fault([&](NamedTensors& tensors) { tensors.erase(scales); }),
             Contains(concat("(1 faults): '", scales, "' is missing")));
  CHECK_THAT(fault([&](NamedTensors& tensors) { tensors.erase(blocks); }),
             Contains(concat("'", blocks, "' is missing")));
  CHECK_THAT(fault([&](NamedTensors& tensors) {
               tensors[scales] = torch::ones({5, 128, 1});
             }),
             Contains(concat("'", scales, "' is F32, expected U8")));
  CHECK_THAT(fault([&](NamedTensors& tensors) { tensors[scales].fill_(255); }),
             Contains(concat(scales, ": holds the scale 255")));
  CHECK_THAT(fault([](NamedTensors& tensors) { tensors.erase("model.layers.0.self_attn.sinks"); }),
             Contains("'model.layers.0.self_attn.sinks' is missing"));
  CHECK_THAT(
      fault([](NamedTensors& tensors) { tensors.erase("model.layers.0.mlp.experts.gate_up_proj_bias"); }),
      Contains("'model.layers.0.mlp.experts.gate_up_proj_bias' is missing"));
}

TEST_CASE("MXFP4: rows that blocks of 32 do not make are refused", "[model]") {
  // The expert's 40 rows of the family without MXFP4.
  CHECK_THAT(
      fault_of_changed("gpt_oss",
                       [](NamedTensors& tensors) {
                         tensors.erase("model.layers.1.mlp.experts.down_proj");
                         tensors["model.layers.1.mlp.experts.down_proj_blocks"] =
                             torch::zeros({6, 32, 1, 16}, torch::kUInt8);
                       }),
      Contains("'model.layers.1.mlp.experts.down_proj_blocks': config.json asks for rows of 40 numbers, "
               "which blocks of 32 do not make"));
}
