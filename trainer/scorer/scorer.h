// The scorer ("judge"): one small network per layer with its own weights per KV head (docs/method.md,
// "The scorer").
#pragma once

#include <torch/types.h>

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "trainer/base/random.h"
#include "trainer/config/cache_size.h"
#include "trainer/eviction/eviction_view.h"
#include "trainer/kernels/entry_work.h"
#include "trainer/model_files/model_shape.h"
#include "trainer/model_files/scorer_file.h"

namespace foresight {

/// The weights of all layers that evict; float32, on one device. Higher score = evict.
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

  /// Scores [R, K, M], without gradients and by one kernel, of the entries that `of` describes, or where
  /// `features` [R, K, M, F] is defined, of those; R, K and M are those of `of`. All on the scorer's device,
  /// which must be one that kernels::suits_scorer_layer().
  torch::Tensor score_entries(std::int64_t layer, const kernels::FeatureWork& of,
                              const torch::Tensor& features) const;

  /// For weighted sums of scores, sum over m of deltas[i][r, k, m] * score[r, k, m], the gradient of each row
  /// r in this layer's weights: one tensor [R, P] for each of `deltas` [R, K, M], P as in layer_numbers().
  /// features [R, K, M, F]; all on the scorer's device. What autograd gives, but row by row.
  std::vector<torch::Tensor> row_gradients(std::int64_t layer, const torch::Tensor& features,
                                           const std::vector<torch::Tensor>& deltas) const;
  /// score() and row_gradients() from torch's operators, whatever the device: where kernels do not suit, and
  /// their test.
  torch::Tensor score_by_torch(std::int64_t layer, const torch::Tensor& features) const;
  std::vector<torch::Tensor> row_gradients_by_torch(std::int64_t layer, const torch::Tensor& features,
                                                    const std::vector<torch::Tensor>& deltas) const;
  /// A layer's weights on bare memory, which live as long as the scorer's.
  kernels::LayerWeights layer_weights(std::int64_t layer) const;
  /// Numbers in a layer's weights.
  std::int64_t layer_numbers(std::int64_t layer) const;
  /// Adds `gradient` [P], in the order of parameters(), to the gradients of a layer's weights.
  void add_layer_gradient(std::int64_t layer, const torch::Tensor& gradient);

  /// Per-feature mean and standard deviation of a sample, [K, F] each, folded into the first linear map.
  void set_normalisation(std::int64_t layer, const torch::Tensor& mean, const torch::Tensor& deviation);

  /// What set_normalisation() set, or the identity.
  struct Normalisation {
    torch::Tensor mean, deviation;  ///< [K, F]
  };
  Normalisation normalisation(std::int64_t layer) const {
    return {layers_.at(layer).mean, layers_.at(layer).deviation};
  }

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
  /// Those that evict, in order; layer_number() is the model's number of one.
  std::int64_t layers() const { return shape_.layers; }
  std::int64_t layer_number(std::int64_t layer) const { return shape_.number(layer); }
  const ScorerShape& shape() const { return shape_; }

 private:
  struct Layer {
    torch::Tensor weight1, bias1;   // [K, F, 16], [K, 16]
    torch::Tensor weight2, bias2;   // [K, 16, 1], [K, 1]
    torch::Tensor mean, deviation;  // [K, F]

    /// The first map of features as they are, (x - mean) / deviation folded into it: weight [K, F, 16] and
    /// bias [K, 1, 16]. One product instead of two passes over the features.
    std::pair<torch::Tensor, torch::Tensor> folded() const;
  };
  bool suits_kernels(const torch::Tensor& features) const;
  std::map<std::string, torch::Tensor> judge_tensors() const;
  std::map<std::string, torch::Tensor> all_tensors() const;
  void write(const std::filesystem::path& file, const std::map<std::string, torch::Tensor>& tensors) const;

  ScorerFacts facts_;
  ScorerShape shape_;
  std::vector<Layer> layers_;
};

/// Warns where `facts` say that the scorer was trained with another window or protection than `size` has, or
/// for another model than the one of `model_fingerprint`. `who` names the scorer and its use: "policy grpo".
void warn_if_made_for_other(const std::string& who, const ScorerFacts& facts, const CacheSize& size,
                            const std::string& model_fingerprint);

/// Throws Error(kConfig) unless a scorer of these facts takes `features`, those of scorer.features. `who`
/// names its key and file: "grpo.start s.safetensors".
void require_features(const std::string& who, const ScorerFacts& facts, ScorerFeatures features);

}  // namespace foresight
