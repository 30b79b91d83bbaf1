// Window attention of the GPU beside torch's operators in float64.
#include <torch/types.h>
#include <torch/utils.h>

#include "tests/kernels/window_case.h"
#include "trainer/kernels/window_attention.h"
// after torch: c10 defines CHECK too
#include "tests/catch.h"

namespace foresight::kernels {

TEST_CASE("gpu: window attention and its statistics are those of torch's operators", "[gpu]") {
  const torch::Device gpu(torch::kCUDA, 0);
  const torch::ScalarType type = GENERATE(torch::kFloat32, torch::kBFloat16);
  for (const WindowShape& shape : window_shapes()) {
    INFO("d " << shape.width << ", W " << shape.window << ", " << torch::toString(type));
    WindowCase window(shape, type, 29);
    window.query = window.query.to(type).to(torch::kFloat32);  // as the kernel's products do
    const auto [expected, expected_statistics] = window.exact();
    torch::Tensor statistics = window.statistics.to(gpu);
    const torch::Tensor output = window.by(shape.window, [&](WindowInput input) {
      for (torch::Tensor* tensor : {&input.query, &input.keys, &input.values}) *tensor = tensor->to(gpu);
      return window_attention(input, statistics);
    });
    // A probability rounded to bfloat16 is off by 2^-9 of itself; values are below 6.
    CHECK(largest_difference(output, expected) < (type == torch::kBFloat16 ? 6.0 / 512 : 2e-5));
    CHECK(largest_difference(statistics, expected_statistics) < 3e-5);
  }
}

}  // namespace foresight::kernels
