#include "trainer/model/tensor_io.h"

#include "trainer/base/error.h"
#include "trainer/base/text.h"

namespace foresight {
namespace {

constexpr std::pair<Dtype, torch::ScalarType> kTypes[] = {
    {Dtype::kFloat64, torch::kFloat64}, {Dtype::kFloat32, torch::kFloat32},
    {Dtype::kFloat16, torch::kFloat16}, {Dtype::kBfloat16, torch::kBFloat16},
    {Dtype::kInt64, torch::kInt64},     {Dtype::kInt32, torch::kInt32},
    {Dtype::kInt16, torch::kInt16},     {Dtype::kInt8, torch::kInt8},
    {Dtype::kUint8, torch::kUInt8},     {Dtype::kBool, torch::kBool}};

}  // namespace

torch::ScalarType to_scalar_type(Dtype dtype) {
  for (const auto& [ours, theirs] : kTypes) {
    if (ours == dtype) return theirs;
  }
  throw Error(ErrorKind::kInternal, concat("Dtype value ", static_cast<int>(dtype), " without a torch type"));
}

Dtype to_dtype(torch::ScalarType type) {
  for (const auto& [ours, theirs] : kTypes) {
    if (theirs == type) return ours;
  }
  throw Error(ErrorKind::kInternal, concat("torch type that safetensors lacks: ", torch::toString(type)));
}

torch::Tensor view_tensor(const TensorView& view) {
  // from_blob takes a mutable pointer; the map is read-only and every caller copies before it writes.
  auto* data = const_cast<std::byte*>(view.bytes.data());
  return torch::from_blob(data, view.shape, torch::TensorOptions().dtype(to_scalar_type(view.dtype)));
}

TensorToWrite tensor_to_write(const std::string& name, const torch::Tensor& tensor) {
  if (!tensor.is_contiguous() || !tensor.is_cpu()) {
    throw Error(ErrorKind::kInternal,
                "tensor '" + name + "' must be contiguous and on the CPU to be written");
  }
  return {.name = name,
          .dtype = to_dtype(tensor.scalar_type()),
          .shape = tensor.sizes().vec(),
          .bytes = {static_cast<const std::byte*>(tensor.const_data_ptr()), tensor.nbytes()}};
}

void check_shape(const torch::Tensor& tensor, torch::IntArrayRef shape, const char* what) {
  bool fits = tensor.defined() && tensor.dim() == static_cast<std::int64_t>(shape.size());
  for (std::size_t i = 0; fits && i < shape.size(); ++i) fits = shape[i] == -1 || tensor.size(i) == shape[i];
  if (!fits) {
    std::string got = "no tensor";
    if (tensor.defined()) got = concat(tensor.sizes());
    throw Error(ErrorKind::kInternal, concat(what, ": expected shape ", shape, " (-1: any), got ", got));
  }
}

}  // namespace foresight
