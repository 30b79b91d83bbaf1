#include "trainer/model/recurrent_state.h"

namespace foresight {

RecurrentState::RecurrentState(const RecurrentShape& shape, std::int64_t rows, const torch::Device& device)
    : inputs(torch::zeros({rows, shape.channels(), shape.convolution - 1}, device)),
      memory(torch::zeros({rows, shape.value_heads, shape.key_dimension, shape.value_dimension}, device)) {}

void RecurrentState::begin(std::int64_t rows, std::int64_t tokens) {
  if (rows != memory.size(0)) repeat_rows(rows / memory.size(0));
  seen_ += tokens_;
  tokens_ = tokens;
}

torch::Tensor RecurrentState::padded_tokens() const {
  if (!padding_.defined()) return {};
  const torch::Tensor own = torch::arange(seen_, seen_ + tokens_, padding_.options());
  return (own.unsqueeze(0) < padding_.unsqueeze(1)).unsqueeze(-1);  // [R, T, 1]
}

void RecurrentState::repeat_rows(std::int64_t copies) {
  if (copies == 1) return;
  inputs = inputs.repeat({copies, 1, 1});
  memory = memory.repeat({copies, 1, 1, 1});
}

void RecurrentState::keep_rows(const torch::Tensor& rows) {
  inputs = inputs.index_select(0, rows);
  memory = memory.index_select(0, rows);
  if (padding_.defined()) padding_ = padding_.index_select(0, rows);
}

std::int64_t RecurrentState::bytes() const {
  return static_cast<std::int64_t>(inputs.nbytes() + memory.nbytes());
}

std::int64_t RecurrentState::bytes_of(const RecurrentShape& shape) {
  const std::int64_t numbers = shape.channels() * (shape.convolution - 1) +
                               shape.value_heads * shape.key_dimension * shape.value_dimension;
  return numbers * static_cast<std::int64_t>(sizeof(float));
}

}  // namespace foresight
