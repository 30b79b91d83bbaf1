// Which row of a batch belongs to which trace.
#pragma once

#include <torch/types.h>

#include <cstdint>

namespace foresight {

/// Rows of N traces that go through the model together, `copies` of each (rollouts of a group, or policies
/// under comparison): row c * N + n is copy c of trace n, so that a tensor [rows, ...] is [copies, N, ...].
struct RowLayout {
  std::int64_t traces = 1;  ///< N
  std::int64_t copies = 1;

  std::int64_t rows() const { return traces * copies; }
  std::int64_t row(std::int64_t copy, std::int64_t trace) const { return copy * traces + trace; }
  std::int64_t trace_of(std::int64_t row) const { return row % traces; }
  std::int64_t copy_of(std::int64_t row) const { return row / traces; }
  /// The copies of trace `trace` among `values`, whose dimension `dim` is the rows; shares the memory.
  torch::Tensor of_trace(const torch::Tensor& values, std::int64_t trace, std::int64_t dim = 0) const {
    return values.slice(dim, trace, torch::nullopt, traces);
  }
  /// values [rows, ...] as [copies, N, ...].
  torch::Tensor by_copy(const torch::Tensor& values) const { return values.unflatten(0, {copies, traces}); }
};

}  // namespace foresight
