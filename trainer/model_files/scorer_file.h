// A scorer's file as it stands on the disk: what it says about itself, and that its tensors fit a model.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "data/safetensors.h"
#include "trainer/config/choices.h"
#include "trainer/model_files/model_shape.h"

namespace foresight {

/// Written since content_sha256 is: a file of this format without the digest is refused. Files of
/// "foresight.scorer.1" are read without. Scorers of a model some of whose layers do not evict are of a
/// format of their own, which says of which layers they are.
inline constexpr const char* kScorerFormat = "foresight.scorer.2";
inline constexpr const char* kScorerFormatOfSomeLayers = "foresight.scorer.3";
inline constexpr const char* kScorerLayersKey = "evicting_layers";
inline constexpr const char* kScorerFormatWithoutDigest = "foresight.scorer.1";
inline constexpr const char* kScorerDigestKey = "content_sha256";
inline constexpr std::int64_t kScorerHidden = 16;
/// Of the attention that each query head of a group pays to a candidate.
inline constexpr std::int64_t kStatisticsPerHead = 8;

/// Numbers that a scorer on `features` sees of a candidate besides key and value; group: query heads per KV
/// head.
std::int64_t statistics_of(ScorerFeatures features, std::int64_t group);

/// What a scorer was made for; stored with it.
struct ScorerFacts {
  ScorerFeatures features = ScorerFeatures::kNormalized;
  std::int64_t budget = 0;
  std::int64_t window = 0;
  std::int64_t protect_sinks = 0;  ///< what was never evicted in training (eviction.protect_sinks, ...)
  bool protect_prompt = false;
  std::string model_fingerprint;
  std::string dtype;   ///< of the base model it was trained with
  std::string config;  ///< YAML of the run
};

/// What a scorer's tensors are sized by.
struct ScorerShape {
  std::int64_t layers = 0;  ///< that evict
  std::int64_t kv_heads = 0;
  std::int64_t head_dimension = 0;
  std::int64_t group = 0;  ///< query heads per KV head
  /// The model's numbers of these layers, ascending; none: 0, 1, 2, ..., as all layers of the model evict.
  std::vector<std::int64_t> numbers = {};

  /// The model's number of a scorer's layer.
  std::int64_t number(std::int64_t layer) const {
    return numbers.empty() ? layer : numbers.at(static_cast<std::size_t>(layer));
  }

  /// Numbers that a scorer on `features` sees of a candidate: key, value and statistics_of().
  std::int64_t inputs(ScorerFeatures features) const {
    return 2 * head_dimension + statistics_of(features, group);
  }

  /// Of the scorers for a model.
  static ScorerShape of(const ModelShape& model);
};

/// "model.layers.3.self_attn.judge_model.fc1.weight", by the model's number of a layer.
std::string judge_tensor_name(std::int64_t layer, const std::string& tensor);

/// Digest of a scorer's tensors (name, type, shape, values) and of its metadata but the digest's own: what
/// `kScorerDigestKey` holds, in any order of the tensors.
std::string scorer_digest(const std::map<std::string, TensorView>& tensors,
                          const std::map<std::string, std::string>& metadata);

/// An opened scorer file of a known shape: our own, or the released layout.
struct ScorerFile {
  SafetensorsFile file;
  ScorerFacts facts;
  bool released = false;           ///< the authors' judge_model file: `format` "pt" or none, no normalisation
  bool has_normalisation = false;  ///< feature_mean and feature_deviation are there

  /// Checks all but what the values are. Throws Error(kInput) naming file and key or tensor: content that its
  /// digest does not fit, a file of another format that is not the released layout beyond doubt, a fact that
  /// is no number or no known word, a tensor that is missing, of another shape than `shape` asks for, not of
  /// floating point or no part of a scorer, other layers than those of the model that evict.
  static ScorerFile open(const std::filesystem::path& path, const ScorerShape& shape);
};

}  // namespace foresight
