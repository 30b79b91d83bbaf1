// The scorer ("judge"): one small network per layer with its own weights per KV head (docs/method.md,
// "The scorer").
#pragma once

#include <torch/types.h>

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "trainer/base/random.h"
#include "trainer/eviction/eviction_view.h"
#include "trainer/model_files/model_shape.h"
#include "trainer/model_files/scorer_file.h"

namespace foresight {

/// Inputs of the scorer for every candidate: [R, K, B, 2d + 8g] float32. Key, value, then for the g query
/// heads of the group in order: max, min, sum, sum of the last 16, last 8, last 32 window queries, cumulative
/// sum, decayed cumulative sum. kReleased: raw, and the three partial sums repeat the whole sum, as the
/// authors' code does; kNormalized: the sums are what their names say and the statistics are log1p(100 x).
torch::Tensor candidate_features(const EvictionView& view, ScorerFeatures kind);

/// The weights of all layers; float32, on one device. Higher score = evict.
class Scorer {
 public:
  /// Random weights (uniform within 1/sqrt(inputs)) from `stream`; normalisation is the identity.
  static Scorer random(const ModelShape& model, const ScorerFacts& facts, RandomStream stream);
  /// Reads our files and the released layout (feature_norm.* ignored). Throws Error(kInput) like
  /// ScorerFile::open.
  static Scorer load(const std::filesystem::path& file, const ScorerShape& shape);
  /// A scorer for this model.
  static Scorer load(const std::filesystem::path& file, const ModelShape& model) {
    return load(file, ScorerShape::of(model));
  }

  /// features [R, K, N, F] -> scores [R, K, N] on the scorer's device, wherever the features are;
  /// differentiable in the weights.
  torch::Tensor score(std::int64_t layer, const torch::Tensor& features) const;

  /// Per-feature mean and standard deviation of a sample, [K, F] each, folded into the first linear map.
  void set_normalisation(std::int64_t layer, const torch::Tensor& mean, const torch::Tensor& deviation);

  /// All weights, layer by layer, as leaves that require gradients.
  std::vector<torch::Tensor> parameters() const;
  /// A detached copy, here or on `device`.
  Scorer clone() const;
  Scorer to(const torch::Device& device) const;
  torch::Device device() const;

  /// SHA-256 (hex) of what it computes: weights, normalisation and the kind of features.
  std::string fingerprint() const;

  /// Our file: the judge_model layout plus feature_mean and feature_deviation, facts in the metadata.
  void save(const std::filesystem::path& file) const;
  /// The layout of the authors' code alone. Throws Error(kConfig) unless trained on released features.
  void save_released(const std::filesystem::path& file) const;

  const ScorerFacts& facts() const { return facts_; }
  ScorerFacts& facts() { return facts_; }
  std::int64_t layers() const { return static_cast<std::int64_t>(layers_.size()); }
  ScorerShape shape() const;

 private:
  struct Layer {
    torch::Tensor weight1, bias1;   // [K, F, 16], [K, 16]
    torch::Tensor weight2, bias2;   // [K, 16, 1], [K, 1]
    torch::Tensor mean, deviation;  // [K, F]
  };
  std::map<std::string, torch::Tensor> judge_tensors() const;
  std::map<std::string, torch::Tensor> all_tensors() const;
  void write(const std::filesystem::path& file, const std::map<std::string, torch::Tensor>& tensors) const;

  ScorerFacts facts_;
  std::vector<Layer> layers_;
};

/// A selector that evicts the entries of highest score.
EvictionSelector scorer_selector(const Scorer& scorer);

}  // namespace foresight
