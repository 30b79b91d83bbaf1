// The facts of a language model that everything else sizes itself by.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "trainer/model_files/rope_parameters.h"

namespace foresight {

/// What stands between attention and the next layer.
enum class FeedForwardKind {
  kDense,    ///< one gated product for every token
  kExperts,  ///< a mixture: each token goes through the experts that the layer's router chooses for it
};

/// What a layer is made of.
struct LayerKind {
  FeedForwardKind feed_forward = FeedForwardKind::kDense;
};

/// The mixtures of experts of a model, all of one size.
struct ExpertShape {
  std::int64_t count = 0;   ///< experts of a layer; 0: no layer has any
  std::int64_t chosen = 0;  ///< experts that a token goes through: those of the largest probability
  std::int64_t intermediate_size = 0;  ///< of one expert
  bool normalised = false;             ///< the chosen ones' probabilities are divided by their sum
};

/// From config.json of a Hugging Face model folder.
struct ModelShape {
  std::string architecture;  ///< "LlamaForCausalLM", one of supported_architectures()
  std::int64_t layers = 0;
  std::int64_t query_heads = 0;     ///< H
  std::int64_t kv_heads = 0;        ///< K
  std::int64_t head_dimension = 0;  ///< d
  std::int64_t hidden_size = 0;
  std::int64_t intermediate_size = 0;
  std::int64_t vocabulary_size = 0;
  std::int64_t max_positions = 0;  ///< the longest text in tokens, rope scaling included
  RopeParameters rope;
  double norm_epsilon = 1e-5;
  bool tied_embeddings = false;
  bool query_key_value_bias = false;  ///< on the query, key and value projections
  bool output_bias = false;           ///< on the output projection of attention
  bool query_key_norm = false;        ///< root-mean-square norms of each head's query and key before rotation
  ExpertShape experts;
  std::vector<LayerKind> kinds;  ///< by layer; none: all layers are LayerKind{}

  LayerKind kind(std::int64_t layer) const {
    return kinds.empty() ? LayerKind{} : kinds.at(static_cast<std::size_t>(layer));
  }
  /// Layers whose feed-forward part is a mixture of experts.
  std::int64_t expert_layers() const;
  /// Query heads per KV head, g.
  std::int64_t group() const { return query_heads / kv_heads; }
};

/// Names as `architectures` of config.json has them: Llama (SmolLM2, DeepSeek-R1 distills too), Mistral,
/// Qwen2 (Qwen2.5, distills), Qwen3 and Qwen3-MoE.
const std::vector<std::string>& supported_architectures();

/// Reads and checks `folder`/config.json. Throws Error(kInput) naming the file and the key: missing or
/// damaged file, an architecture, rope type or sliding window that is not supported (by name), a key that is
/// missing, ill-typed or out of range, heads that do not divide, more experts for a token than there are.
ModelShape read_model_shape(const std::filesystem::path& folder);

}  // namespace foresight
