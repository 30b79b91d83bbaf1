// Between safetensors views and torch tensors, and shape checks.
#pragma once

#include <torch/types.h>

#include <string>
#include <vector>

#include "data/safetensors.h"

namespace foresight {

/// torch's name of a stored type and back. to_dtype throws Error(kInternal) for a type that safetensors
/// lacks.
torch::ScalarType to_scalar_type(Dtype dtype);
Dtype to_dtype(torch::ScalarType type);

/// A tensor over the mapped bytes, not copied: valid while the file lives, and not to be written to.
torch::Tensor view_tensor(const TensorView& view);

/// A tensor to write under `name`; `tensor` must be contiguous, on the CPU, and outlive the write.
TensorToWrite tensor_to_write(const std::string& name, const torch::Tensor& tensor);

/// SHA-256 (hex) of the values' bytes in order of their indices; `values` on the CPU.
std::string tensor_sha256(const torch::Tensor& values);

/// Tensors as bytes for another process of the same build, and back (copies, on the CPU). Undefined ones stay
/// undefined. unpack_tensors throws Error(kInternal) for bytes that pack_tensors did not make.
std::string pack_tensors(const std::vector<torch::Tensor>& tensors);
std::vector<torch::Tensor> unpack_tensors(const std::string& bytes);

/// A host tensor on `device`: by way of page-locked memory where that is a GPU, so that the copy runs beside
/// the device's work. The same tensor where it lies there already.
torch::Tensor to_device(const torch::Tensor& tensor, const torch::Device& device);

/// An uninitialised host tensor that a GPU can write to beside its work, where `device` is one; plain memory
/// else.
torch::Tensor host_buffer(torch::IntArrayRef shape, torch::ScalarType type, const torch::Device& device);

/// Throws Error(kInternal) naming `what` unless `tensor` has this shape; -1 fits any size.
void check_shape(const torch::Tensor& tensor, torch::IntArrayRef shape, const char* what);

}  // namespace foresight
