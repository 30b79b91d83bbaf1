#include "trainer/model/tensor_io.h"

#include <cstring>
#include <string_view>

#include "trainer/base/error.h"
#include "trainer/base/files.h"
#include "trainer/base/text.h"

namespace foresight {
namespace {

constexpr std::pair<Dtype, torch::ScalarType> kTypes[] = {
    {Dtype::kFloat64, torch::kFloat64}, {Dtype::kFloat32, torch::kFloat32},
    {Dtype::kFloat16, torch::kFloat16}, {Dtype::kBfloat16, torch::kBFloat16},
    {Dtype::kInt64, torch::kInt64},     {Dtype::kInt32, torch::kInt32},
    {Dtype::kInt16, torch::kInt16},     {Dtype::kInt8, torch::kInt8},
    {Dtype::kUint8, torch::kUInt8},     {Dtype::kBool, torch::kBool}};

/// Of an undefined tensor instead of the number of dimensions.
constexpr std::int64_t kUndefined = -1;

void append_number(std::string& bytes, std::int64_t number) {
  bytes.append(reinterpret_cast<const char*>(&number), sizeof(number));
}

/// Reads packed tensors from the front.
class Unpacker {
 public:
  explicit Unpacker(const std::string& bytes) : rest_(bytes) {}
  bool done() const { return rest_.empty(); }
  std::int64_t number() {
    std::int64_t number = 0;
    std::memcpy(&number, take(sizeof(number)).data(), sizeof(number));
    return number;
  }
  std::string_view take(std::size_t size) {
    if (size > rest_.size()) throw Error(ErrorKind::kInternal, "packed tensors end too early");
    const std::string_view taken = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return taken;
  }

 private:
  std::string_view rest_;
};

}  // namespace

std::string tensor_sha256(const torch::Tensor& values) {
  const torch::Tensor all = values.contiguous();
  return sha256_hex({static_cast<const char*>(all.const_data_ptr()), all.nbytes()});
}

std::string pack_tensors(const std::vector<torch::Tensor>& tensors) {
  std::string bytes;
  for (const torch::Tensor& tensor : tensors) {
    if (!tensor.defined()) {
      append_number(bytes, kUndefined);
      continue;
    }
    const torch::Tensor host = tensor.detach().to(torch::kCPU).contiguous();
    append_number(bytes, host.dim());
    append_number(bytes, static_cast<std::int64_t>(to_dtype(host.scalar_type())));
    for (const std::int64_t size : host.sizes()) append_number(bytes, size);
    bytes.append(static_cast<const char*>(host.const_data_ptr()), host.nbytes());
  }
  return bytes;
}

std::vector<torch::Tensor> unpack_tensors(const std::string& bytes) {
  std::vector<torch::Tensor> tensors;
  for (Unpacker unpacker(bytes); !unpacker.done();) {
    const std::int64_t dimensions = unpacker.number();
    if (dimensions == kUndefined) {
      tensors.emplace_back();
      continue;
    }
    const auto type = to_scalar_type(static_cast<Dtype>(unpacker.number()));
    std::vector<std::int64_t> shape;
    for (std::int64_t i = 0; i < dimensions; ++i) shape.push_back(unpacker.number());
    torch::Tensor tensor = torch::empty(shape, type);
    const std::string_view data = unpacker.take(tensor.nbytes());
    std::copy(data.begin(), data.end(), static_cast<char*>(tensor.mutable_data_ptr()));
    tensors.push_back(std::move(tensor));
  }
  return tensors;
}

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

torch::Tensor to_device(const torch::Tensor& tensor, const torch::Device& device) {
  if (tensor.device() == device) return tensor;
  if (!tensor.is_cpu() || !device.is_cuda()) return tensor.to(device);
  return tensor.contiguous().pin_memory().to(device, /*non_blocking=*/true);
}

torch::Tensor host_buffer(torch::IntArrayRef shape, torch::ScalarType type, const torch::Device& device) {
  return torch::empty(shape, torch::TensorOptions().dtype(type).pinned_memory(device.is_cuda()));
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
