// Random windows of every shape for the tests of the window kernels.
#pragma once

#include <torch/types.h>
#include <torch/utils.h>

#include "trainer/kernels/window_attention.h"

namespace foresight::kernels {

/// R, K, g, d, live entries before the window, W.
struct WindowShape {
  std::int64_t rows, kv_heads, group, width, before, window;
};

/// Odd ones: head dimensions and windows that fill no register, one entry, one query, many heads.
inline std::vector<WindowShape> window_shapes() {
  return {{1, 1, 1, 32, 0, 1},  {2, 3, 3, 64, 256, 64}, {1, 2, 4, 80, 37, 21},  {2, 1, 16, 128, 100, 33},
          {1, 2, 2, 96, 15, 7}, {1, 1, 3, 256, 63, 19}, {3, 2, 1, 40, 129, 65}, {1, 4, 2, 4, 8, 4}};
}

/// A window's tensors; the cache has room for more entries than are live, which hold no numbers.
struct WindowCase {
  torch::Tensor query;         // [R, K, g, W, d]
  torch::Tensor keys, values;  // [R, K, before + W + 5, d]
  torch::Tensor statistics;    // [R, K, g, 6, before + W + 5], -1 everywhere
  torch::Tensor sinks;         // [K g] or undefined
  WindowShape shape;

  WindowCase(const WindowShape& of, torch::ScalarType type, std::uint64_t seed, bool has_sinks = false)
      : shape(of) {
    torch::manual_seed(seed);
    constexpr std::int64_t kSpare = 5;
    const std::int64_t live = of.before + of.window, capacity = live + kSpare;
    query = 2 * torch::randn({of.rows, of.kv_heads, of.group, of.window, of.width});
    for (torch::Tensor* buffer : {&keys, &values}) {
      *buffer = torch::randn({of.rows, of.kv_heads, capacity, of.width}).to(type);
      buffer->narrow(2, live, kSpare).fill_(std::numeric_limits<float>::quiet_NaN());
    }
    statistics = torch::full({of.rows, of.kv_heads, of.group, kStatistics, capacity}, -1.0);
    if (has_sinks) sinks = 3 * torch::randn({of.kv_heads * of.group});
  }

  /// The queries from `first`, `count` of them.
  WindowInput input(std::int64_t first, std::int64_t count) const {
    return {.query = query.narrow(3, first, count),
            .keys = keys,
            .values = values,
            .live = shape.before + first + count,
            .first = first,
            .window = shape.window,
            .sinks = sinks};
  }

  /// attend(input) of `together` queries after the other: [R, H, W, d].
  template <typename Attend>
  torch::Tensor by(std::int64_t together, const Attend& attend) const {
    std::vector<torch::Tensor> parts;
    for (std::int64_t first = 0; first < shape.window; first += together)
      parts.push_back(attend(input(first, std::min(together, shape.window - first))));
    return torch::cat(parts, 2);
  }

  /// Output and statistics from torch's operators in float64, whose arithmetic is exact beside float32.
  std::pair<torch::Tensor, torch::Tensor> exact() const {
    torch::Tensor expected = statistics.to(torch::kFloat64);
    WindowInput whole = input(0, shape.window);
    whole.query = whole.query.to(torch::kFloat64);
    torch::Tensor output = plain::window_attention(whole, expected);
    return {output, expected};
  }
};

inline double largest_difference(const torch::Tensor& one, const torch::Tensor& other) {
  TORCH_CHECK(one.sizes() == other.sizes());
  const auto exactly = [](const torch::Tensor& tensor) { return tensor.to(torch::kCPU, torch::kFloat64); };
  return (exactly(one) - exactly(other)).abs().max().item<double>();
}

}  // namespace foresight::kernels
