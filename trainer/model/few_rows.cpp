#include "trainer/model/few_rows.h"

#include <ATen/Parallel.h>

#include "trainer/base/error.h"
#include "trainer/base/text.h"
#include "trainer/model/lanes.h"

namespace foresight {
namespace {

using c10::BFloat16;

/// Rows of `width` numbers: of the input and the result, `rows` of them, and of the matrix (float or
/// BFloat16), `length` of them.
template <typename Element>
struct Operands {
  const float* input;
  const Element* matrix;
  float* result;
  std::int64_t rows, width, length;
  std::int64_t matrix_stride;  // numbers from row to row
};

/// The dot products of kRows rows from `row` with one row of the matrix: result [rows, length]. Each has two
/// registers of sums, as one addition waits for the last, whatever kRows is: so the order of additions is
/// always the same.
template <int kRows, typename Element>
FORESIGHT_INLINE void multiply_block(const Operands<Element>& of, std::int64_t row, std::int64_t output) {
  constexpr std::int64_t kParts = 2;
  const Element* const weights = of.matrix + output * of.matrix_stride;
  const float* inputs[kRows];
  for (int r = 0; r < kRows; ++r) inputs[r] = of.input + (row + r) * of.width;
  Lanes sums[kRows][kParts] = {};
  std::int64_t i = 0;
  for (; i + kParts * kLanes <= of.width; i += kParts * kLanes) {
    for (int part = 0; part < kParts; ++part) {
      const std::int64_t at = i + part * kLanes;
      const Lanes weight = load(weights + at);
      for (int r = 0; r < kRows; ++r) sums[r][part] += load(inputs[r] + at) * weight;
    }
  }
  for (int r = 0; r < kRows; ++r) {
    const Lanes both = sums[r][0] + sums[r][1];
    float total = 0;
    for (std::int64_t lane = 0; lane < kLanes; ++lane) total += both[lane];
    for (std::int64_t rest = i; rest < of.width; ++rest)
      total += inputs[r][rest] * static_cast<float>(weights[rest]);
    of.result[(row + r) * of.length + output] = total;
  }
}

/// Rows first .. last - 1 of the matrix, one after the other as they lie in memory; each stays in the nearest
/// cache until all rows of the input have met it.
template <typename Element>
FORESIGHT_INLINE void multiply_rows(const Operands<Element>& of, std::int64_t first, std::int64_t last) {
  constexpr int kTogether = 4;  // eight registers of sums: as many as hide an addition's latency
  for (std::int64_t output = first; output < last; ++output) {
    std::int64_t row = 0;
    for (; row + kTogether <= of.rows; row += kTogether) multiply_block<kTogether>(of, row, output);
    for (; row < of.rows; ++row) multiply_block<1>(of, row, output);
  }
}

/// Columns `first` .. of kRows sums of the matrix's rows, weighted by input [rows, length]: result [rows,
/// width].
template <int kRows, int kRegisters, typename Element>
FORESIGHT_INLINE void sum_block(const Operands<Element>& of, std::int64_t row, std::int64_t first) {
  Lanes sums[kRows][kRegisters] = {};
  for (std::int64_t i = 0; i < of.length; ++i) {
    const Element* const values = of.matrix + i * of.matrix_stride + first;
    for (int part = 0; part < kRegisters; ++part) {
      const Lanes value = load(values + part * kLanes);
      for (int r = 0; r < kRows; ++r) sums[r][part] += of.input[(row + r) * of.length + i] * value;
    }
  }
  for (int r = 0; r < kRows; ++r) {
    for (int part = 0; part < kRegisters; ++part)
      *reinterpret_cast<LanesAnywhere*>(of.result + (row + r) * of.width + first + part * kLanes) =
          sums[r][part];
  }
}

/// Columns first .. last - 1 of the sums.
template <typename Element>
FORESIGHT_INLINE void sum_columns(const Operands<Element>& of, std::int64_t first, std::int64_t last) {
  constexpr int kTogether = 3, kRegisters = 4;  // 12 registers of sums of AVX2's 16
  std::int64_t column = first;
  for (; column + kRegisters * kLanes <= last; column += kRegisters * kLanes) {
    std::int64_t row = 0;
    for (; row + kTogether <= of.rows; row += kTogether) sum_block<kTogether, kRegisters>(of, row, column);
    for (; row < of.rows; ++row) sum_block<1, kRegisters>(of, row, column);
  }
  for (; column + kLanes <= last; column += kLanes) {
    for (std::int64_t row = 0; row < of.rows; ++row) sum_block<1, 1>(of, row, column);
  }
  for (; column < last; ++column) {
    for (std::int64_t row = 0; row < of.rows; ++row) {
      float sum = 0;
      for (std::int64_t i = 0; i < of.length; ++i)
        sum += of.input[row * of.length + i] * static_cast<float>(of.matrix[i * of.matrix_stride + column]);
      of.result[row * of.width + column] = sum;
    }
  }
}

// target_clones knows no templates.
FORESIGHT_FOR_EVERY_PROCESSOR
void multiply_range(const Operands<float>& of, std::int64_t first, std::int64_t last) {
  multiply_rows(of, first, last);
}
FORESIGHT_FOR_EVERY_PROCESSOR
void multiply_range(const Operands<BFloat16>& of, std::int64_t first, std::int64_t last) {
  multiply_rows(of, first, last);
}
FORESIGHT_FOR_EVERY_PROCESSOR
void sum_range(const Operands<float>& of, std::int64_t first, std::int64_t last) {
  sum_columns(of, first, last);
}
FORESIGHT_FOR_EVERY_PROCESSOR
void sum_range(const Operands<BFloat16>& of, std::int64_t first, std::int64_t last) {
  sum_columns(of, first, last);
}

bool is_float_on_cpu(const torch::Tensor& tensor) {
  return tensor.is_cpu() && tensor.scalar_type() == torch::kFloat32;
}

template <typename Element>
const Element* numbers_of(const torch::Tensor& tensor) {
  return static_cast<const Element*>(tensor.const_data_ptr());
}

void require(bool suits, const torch::Tensor& input, const torch::Tensor& matrix) {
  if (suits) return;
  throw Error(ErrorKind::kInternal, concat("a product of few rows: expected at most ", kFewRows,
                                           " float32 rows and a matrix that fits them, got ", input.sizes(),
                                           " and ", matrix.sizes()));
}

/// Runs `work` on parts of all products of a batch: part p of a product is its columns of the result from p *
/// step.
template <typename Element, typename Work>
void for_parts(const torch::Tensor& input, const torch::Tensor& matrices, const torch::Tensor& result,
               std::int64_t step, std::int64_t parts_together, const Work& work) {
  const std::int64_t columns = result.size(2), parts = (columns + step - 1) / step;
  const auto operands = [&](std::int64_t b) {
    return Operands<Element>{.input = input.const_data_ptr<float>() + b * input.stride(0),
                             .matrix = numbers_of<Element>(matrices) + b * matrices.stride(0),
                             .result = result.mutable_data_ptr<float>() + b * result.stride(0),
                             .rows = input.size(1),
                             .width = matrices.size(2),
                             .length = matrices.size(1),
                             .matrix_stride = matrices.stride(1)};
  };
  at::parallel_for(0, input.size(0) * parts, parts_together, [&](std::int64_t first, std::int64_t last) {
    while (first < last) {
      const std::int64_t b = first / parts, part = first % parts;
      const std::int64_t count = std::min(last - first, parts - part);  // of this product, at once
      work(operands(b), part * step, std::min(columns, (part + count) * step));
      first += count;
    }
  });
}

/// Rows of the matrix that a thread takes at once.
constexpr std::int64_t kRowsTogether = 64;

}  // namespace

bool suits_few_rows(const torch::Tensor& input, const torch::Tensor& weight) {
  return is_float_on_cpu(input) && is_float_on_cpu(weight) && input.dim() > 0 && weight.dim() == 2 &&
         input.size(-1) == weight.size(1) && weight.is_contiguous() &&
         input.numel() <= kFewRows * weight.size(1);
}

bool suits_few_rows_batch(std::int64_t rows, const torch::Tensor& matrices) {
  const bool fits = matrices.scalar_type() == torch::kFloat32 || matrices.scalar_type() == torch::kBFloat16;
  return rows <= kFewRows && matrices.is_cpu() && fits && matrices.dim() == 3 && matrices.stride(2) == 1;
}

torch::Tensor few_rows_linear(const torch::Tensor& input, const torch::Tensor& weight) {
  require(suits_few_rows(input, weight), input, weight);
  std::vector<std::int64_t> shape = input.sizes().vec();
  shape.back() = weight.size(0);
  const std::int64_t rows = weight.size(1) == 0 ? 0 : input.numel() / weight.size(1);
  return few_rows_products(input.reshape({1, rows, weight.size(1)}), weight.unsqueeze(0)).view(shape);
}

torch::Tensor few_rows_products(const torch::Tensor& input, const torch::Tensor& matrices) {
  require(input.dim() == 3 && is_float_on_cpu(input) && suits_few_rows_batch(input.size(1), matrices) &&
              input.size(0) == matrices.size(0) && input.size(2) == matrices.size(2),
          input, matrices);
  const torch::Tensor rows = input.contiguous();
  torch::Tensor result = torch::empty({rows.size(0), rows.size(1), matrices.size(1)}, rows.options());
  const auto multiply = [](const auto& of, std::int64_t first, std::int64_t last) {
    multiply_range(of, first, last);
  };
  if (matrices.scalar_type() == torch::kBFloat16) {
    for_parts<BFloat16>(rows, matrices, result, 1, kRowsTogether, multiply);
  } else {
    for_parts<float>(rows, matrices, result, 1, kRowsTogether, multiply);
  }
  return result;
}

torch::Tensor few_rows_sums(const torch::Tensor& weights, const torch::Tensor& matrices) {
  require(weights.dim() == 3 && is_float_on_cpu(weights) && suits_few_rows_batch(weights.size(1), matrices) &&
              weights.size(0) == matrices.size(0) && weights.size(2) == matrices.size(1),
          weights, matrices);
  const torch::Tensor rows = weights.contiguous();
  torch::Tensor result = torch::empty({rows.size(0), rows.size(1), matrices.size(2)}, rows.options());
  constexpr std::int64_t kColumns = 32;  // the registers of a block
  const auto sum = [](const auto& of, std::int64_t first, std::int64_t last) { sum_range(of, first, last); };
  if (matrices.scalar_type() == torch::kBFloat16) {
    for_parts<BFloat16>(rows, matrices, result, kColumns, 1, sum);
  } else {
    for_parts<float>(rows, matrices, result, kColumns, 1, sum);
  }
  return result;
}

}  // namespace foresight
