// Weights by name from model.safetensors or its shards; every tensor must be used exactly once.
#pragma once

#include <torch/types.h>

#include <filesystem>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "data/safetensors.h"

namespace foresight {

/// Reads tensors by name with their shape checked; finish() proves that nothing was left over or missing.
class WeightReader {
 public:
  /// Opens model.safetensors, or the shards that model.safetensors.index.json names. Throws Error(kInput);
  /// where there are weights of another format alone, it names them and says what to do.
  explicit WeightReader(const std::filesystem::path& folder);
  /// A float32 copy. An absent or ill-shaped tensor is noted and given as one without elements; finish() then
  /// throws. Throws Error(kInput) for NaN and Inf.
  torch::Tensor take(const std::string& name, torch::IntArrayRef shape);
  /// Whether `name` is there with this shape, of a floating type; a fault is noted otherwise.
  bool expect(const std::string& name, torch::IntArrayRef shape);
  /// The same of bytes (U8), as quantised weights are.
  bool expect_bytes(const std::string& name, torch::IntArrayRef shape);
  /// An expected tensor as it is stored, not copied.
  torch::Tensor stored(const std::string& name) const;
  /// Copies an expected tensor to `destination` of its shape, on any device and of any floating type. Throws
  /// Error(kInput) for NaN and Inf there.
  void read_into(const std::string& name, const torch::Tensor& destination) const;
  bool contains(const std::string& name) const { return tensors_.contains(name); }
  /// Adds a fault that the caller found to those of finish().
  void note(const std::string& fault) { faults_.push_back(fault); }
  /// Tensors that may be there and are not needed (for example the frequencies of rotary embeddings).
  void ignore(const std::string& name) { used_.insert(name); }
  /// The same of all whose names begin so.
  void ignore_below(const std::string& prefix);
  /// Throws one Error(kInput) that lists every missing, ill-shaped and left-over tensor.
  void finish() const;
  /// The files read, in order.
  std::vector<std::filesystem::path> files() const;

 private:
  bool expect(const std::string& name, torch::IntArrayRef shape, bool bytes);

  std::filesystem::path folder_;
  std::vector<std::unique_ptr<SafetensorsFile>> files_;
  std::map<std::string, const TensorView*> tensors_;
  std::set<std::string> used_;
  std::vector<std::string> faults_;
};

}  // namespace foresight
