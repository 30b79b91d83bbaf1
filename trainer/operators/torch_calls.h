// Torch's own operators as functions, through the stable ABI: what composed.cpp is made of. Scalars do not go
// through that ABI's dispatcher, so that a number is a tensor without dimensions here.
#pragma once

#include "trainer/operators/arguments.h"

namespace foresight::operators {

/// A copy on the CPU; the tensor itself if it is there.
Tensor on_cpu(const Tensor& tensor);
/// CPU numbers as a tensor on `like`'s device.
Tensor on_device(const std::vector<std::int64_t>& values, const Tensor& like);
Tensor number(double value, const Tensor& like);
Tensor floats(const Tensor& tensor);
Tensor as_type(const Tensor& tensor, ScalarType type);

/// A view of `length` places of a dimension.
Tensor part(const Tensor& values, std::int64_t dimension, std::int64_t start, std::int64_t length);
void fill(Tensor place, const Tensor& values);
void clear(Tensor place);

Tensor add(const Tensor& left, const Tensor& right);
Tensor times(const Tensor& left, const Tensor& right);
Tensor larger(const Tensor& left, const Tensor& right);
Tensor smaller(const Tensor& left, const Tensor& right);
Tensor log1p(const Tensor& values);
Tensor gelu(const Tensor& values);
Tensor softmax(const Tensor& values);  // over the last dimension
Tensor highest(const Tensor& values, std::int64_t dimension);
Tensor lowest(const Tensor& values, std::int64_t dimension);
Tensor sum(const Tensor& values, std::int64_t dimension);
Tensor above_diagonal(const Tensor& matrix, std::int64_t diagonal);
Tensor concatenate(const std::vector<Tensor>& tensors, std::int64_t dimension);
/// Indices of a stable sort over the last dimension.
Tensor stable_order(const Tensor& values, bool descending);
Tensor ascending(const Tensor& values);  // over the last dimension
Tensor gather(const Tensor& values, std::int64_t dimension, const Tensor& index);
Tensor expand(const Tensor& values, const std::vector<std::int64_t>& sizes);
Tensor rows_of(const Tensor& values, const Tensor& index);  // values[index]
void put_rows(Tensor values, const Tensor& index, const Tensor& source);
bool any_nan(const Tensor& values);

}  // namespace foresight::operators
