// The facts of a language model that everything else sizes itself by.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "trainer/model_files/rope_parameters.h"

namespace foresight {

/// What stands between attention and the next layer.
enum class FeedForwardKind {
  kDense,    ///< one gated product for every token
  kExperts,  ///< a mixture: each token goes through the experts that the layer's router chooses for it
};

/// What a layer's queries see.
enum class AttentionKind {
  kFull,       ///< every token before them; its cache is the one that evicts
  kSliding,    ///< the last ModelShape::sliding_window tokens, themselves included; never evicted
  kRecurrent,  ///< none: a state of fixed size stands for what came before (GatedDeltaNet); never evicted
};

/// What a layer is made of.
struct LayerKind {
  FeedForwardKind feed_forward = FeedForwardKind::kDense;
  AttentionKind attention = AttentionKind::kFull;
  bool rotates = true;  ///< queries and keys are turned by their position
};

/// What the first half of a gated product goes through.
enum class Activation {
  kSilu,
  kGeluTanh,
  kClampedSilu,  ///< gpt-oss: x sigmoid(1.702 x) of x up to 7, times 1 + the second half between -7 and 7
};

/// Where the norms of a layer stand: before each of its two parts, after each (before it is added), or both.
enum class NormPlace { kBefore, kAfter, kBoth };

/// Root-mean-square norms of queries and keys before rotation: none, of each head, or of all heads at once.
enum class QueryKeyNorm { kNone, kHeads, kWhole };

/// Where a layer stands among those of its kind of attention: caches are kept by kind.
struct LayerPlace {
  AttentionKind kind = AttentionKind::kFull;
  std::size_t index = 0;

  bool evicts() const { return kind == AttentionKind::kFull; }
};

/// The mixtures of experts of a model, all of one size.
struct ExpertShape {
  std::int64_t count = 0;   ///< experts of a layer; 0: no layer has any
  std::int64_t chosen = 0;  ///< experts that a token goes through: those of the largest probability
  std::int64_t intermediate_size = 0;  ///< of one expert
  bool normalised = false;             ///< the chosen ones' probabilities are divided by their sum
  bool chosen_first = false;           ///< the softmax is over the chosen ones alone, by their scores
  bool biases = false;                 ///< of the router, and of each expert's products
  std::int64_t shared_size = 0;        ///< of the expert that every token goes through; 0: there is none
};

/// The recurrent layers of a model, all of one size.
struct RecurrentShape {
  std::int64_t key_heads = 0, value_heads = 0;
  std::int64_t key_dimension = 0, value_dimension = 0;  ///< of one head
  std::int64_t convolution = 0;                         ///< tokens that it sees, its own included

  /// Of the convolution: queries, keys and values.
  std::int64_t channels() const { return 2 * key_heads * key_dimension + value_heads * value_dimension; }
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
  std::optional<RopeParameters> sliding_rope;  ///< of sliding layers, where they have their own
  std::int64_t rotated_dimensions = 0;         ///< the first ones of each head, that positions turn
  double norm_epsilon = 1e-5;
  NormPlace norms = NormPlace::kBefore;
  bool norms_add_one = false;    ///< norms multiply by 1 + their weight
  double embedding_scale = 1.0;  ///< embeddings are multiplied by it
  double query_scale = 1.0;      ///< queries are, before the usual 1 / sqrt(d)
  double score_cap = 0.0;        ///< attention scores x become cap tanh(x / cap); 0: they stay
  double logit_cap = 0.0;        ///< so do logits
  Activation activation = Activation::kSilu;
  bool fused_projections = false;  ///< query, key and value are stored as one matrix, gate and up too
  bool tied_embeddings = false;
  bool query_key_value_bias = false;  ///< on the query, key and value projections
  bool output_bias = false;           ///< on the output projection of attention
  bool sinks = false;                 ///< a learned score of each query head stands in every softmax
  QueryKeyNorm query_key_norm = QueryKeyNorm::kNone;
  std::int64_t sliding_window = 0;  ///< tokens that a sliding layer's query sees; 0: no layer slides
  bool gated_attention = false;     ///< a sigmoid of the layer's input gates what attention gives
  ExpertShape experts;
  RecurrentShape recurrent;
  std::vector<LayerKind> kinds;  ///< by layer; none: all layers are LayerKind{}

  LayerKind kind(std::int64_t layer) const {
    return kinds.empty() ? LayerKind{} : kinds.at(static_cast<std::size_t>(layer));
  }
  /// Layers whose feed-forward part is a mixture of experts.
  std::int64_t expert_layers() const;
  /// Layers with full attention, which are those that evict: how many, and their numbers. Everything that is
  /// held by evicting layer (views, scorers, plans) counts them from 0 in this order.
  std::int64_t evicting_layers() const;
  std::vector<std::int64_t> evicting_layer_numbers() const;
  std::int64_t layers_of(AttentionKind kind) const;
  /// By layer.
  std::vector<LayerPlace> layer_places() const;
  /// Query heads per KV head, g.
  std::int64_t group() const { return query_heads / kv_heads; }
};

/// "12 layers" or, where some do not evict, "12 layers, of which 2 evict (5, 11)".
std::string layers_text(const ModelShape& shape);

/// Names as `architectures` of config.json has them (docs/models.md).
const std::vector<std::string>& supported_architectures();

/// Reads and checks `folder`/config.json. Throws Error(kInput) naming the file and the key: missing or
/// damaged file, an architecture, rope type or kind of layer that is not supported (by name), a key that is
/// missing, ill-typed or out of range, quantised weights other than MXFP4 of gpt-oss, heads that do not
/// divide, more experts for a token than there are, sliding layers without a window, no layer with full
/// attention.
ModelShape read_model_shape(const std::filesystem::path& folder);

}  // namespace foresight
