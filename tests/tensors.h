// Tensors in tests: reference values from tests/reference/vectors, and comparison. Include before
// tests/catch.h.
#pragma once

#include <torch/types.h>

#include <cstdlib>
#include <filesystem>
#include <map>
#include <string>

#include "data/safetensors.h"
#include "trainer/base/error.h"

namespace foresight::testing {

/// tests/reference/vectors/`name`.safetensors of the source tree.
inline std::filesystem::path reference_vectors_path(const std::string& name) {
  const char* source = std::getenv("FORESIGHT_SOURCE_DIR");
  const auto tests = source != nullptr ? std::filesystem::path(source) / "tests"
                                       : std::filesystem::path(__FILE__).parent_path();
  return tests / "reference" / "vectors" / (name + ".safetensors");
}

/// All tensors of a safetensors file, copied.
inline std::map<std::string, torch::Tensor> load_reference_tensors(const std::filesystem::path& path) {
  const SafetensorsFile file(path);
  const auto torch_dtype = [](Dtype dtype) {
    switch (dtype) {
      case Dtype::kFloat32:
        return torch::kFloat32;
      case Dtype::kInt64:
        return torch::kInt64;
      case Dtype::kInt32:
        return torch::kInt32;
      case Dtype::kUint8:
        return torch::kUInt8;
      default:
        throw Error(ErrorKind::kInput,
                    "reference vectors: a data type that no test uses: " + dtype_name(dtype));
    }
  };
  std::map<std::string, torch::Tensor> result;
  for (const auto& [key, view] : file.tensors()) {
    // from_blob takes no const; the clone leaves the file's memory alone.
    auto* bytes = const_cast<std::byte*>(view.bytes.data());
    result[key] = torch::from_blob(bytes, view.shape, torch::TensorOptions(torch_dtype(view.dtype))).clone();
  }
  return result;
}

/// All tensors of tests/reference/vectors/`name`.safetensors, copied.
inline std::map<std::string, torch::Tensor> load_reference_vectors(const std::string& name) {
  return load_reference_tensors(reference_vectors_path(name));
}

/// True when the shapes agree and |actual - expected| <= absolute + relative*|expected| everywhere.
inline bool all_close(const torch::Tensor& actual, const torch::Tensor& expected, double relative,
                      double absolute) {
  if (actual.sizes() != expected.sizes()) return false;
  return torch::allclose(actual.to(torch::kFloat64), expected.to(torch::kFloat64), relative, absolute);
}

/// d f / d x by central differences of step `step`, elementwise. `x` float64; `f` returns a scalar tensor.
template <class Function>
torch::Tensor finite_difference_gradient(const Function& f, const torch::Tensor& x, double step = 1e-6) {
  auto gradient = torch::empty_like(x);
  auto moved = x.detach().clone();
  auto flat = moved.view(-1), flat_gradient = gradient.view(-1);
  for (std::int64_t i = 0; i < flat.numel(); ++i) {
    const double middle = flat[i].item<double>();
    flat[i] = middle + step;
    const double up = f(moved).template item<double>();
    flat[i] = middle - step;
    const double down = f(moved).template item<double>();
    flat[i] = middle;
    flat_gradient[i] = (up - down) / (2.0 * step);
  }
  return gradient;
}

}  // namespace foresight::testing
