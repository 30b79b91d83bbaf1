// A language model of the Llama family (supported_architectures()) in libtorch, frozen: run, never trained.
#pragma once

#include <torch/types.h>

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "trainer/model/delta_net.h"
#include "trainer/model/feed_forward.h"
#include "trainer/model/recurrent_state.h"
#include "trainer/model/row_functions.h"
#include "trainer/model_files/model_shape.h"

namespace foresight {

/// Where keys and values go and attention happens. A transformer calls it once per layer and forward pass.
class Attention {
 public:
  virtual ~Attention() = default;
  /// query [R, H, T, d], key and value [R, K, T, d], all float32, rotary embedding applied; the T tokens
  /// follow those seen before. `sinks` [H] float32 (optional): a score of each query head that stands in its
  /// softmax and has no value. Returns [R, H, T, d], float32 or of the type of the model's products.
  virtual torch::Tensor attend(std::int64_t layer, const torch::Tensor& query, const torch::Tensor& key,
                               const torch::Tensor& value, const torch::Tensor& sinks) = 0;
  torch::Tensor attend(std::int64_t layer, const torch::Tensor& query, const torch::Tensor& key,
                       const torch::Tensor& value) {
    return attend(layer, query, key, value, {});
  }
  /// The state of a recurrent layer, which takes its place.
  virtual RecurrentState& recurrent_state(std::int64_t layer) = 0;
};

/// How a model is held: weights of matrix products in `dtype`, keys and values of caches in `cache_dtype`,
/// everything else in float32.
struct ModelOptions {
  torch::Device device = torch::kCPU;
  torch::ScalarType dtype = torch::kFloat32;        ///< float32 | bfloat16
  torch::ScalarType cache_dtype = torch::kFloat32;  ///< float32 | bfloat16
};

/// The resolved runtime.device ("auto", "cpu", "cuda"), runtime.dtype and runtime.cache_dtype ("auto",
/// "float32", "bfloat16"): dtype auto takes bfloat16 where the processor (avx512_bf16, amx) or GPU has it,
/// cache_dtype auto the type of the products. Throws Error(kResource) for cuda without CUDA.
ModelOptions resolve_model_options(const std::string& device, const std::string& dtype,
                                   const std::string& cache_dtype);

/// The same for a device that need not be here.
ModelOptions model_options_on(const torch::Device& device, const std::string& dtype,
                              const std::string& cache_dtype);

/// "bfloat16", or "bfloat16 (cache float32)" where they differ.
std::string dtype_name_of(const ModelOptions& options);

/// Tokens of a row that go through the matrix products together where a whole trace is at hand: a library
/// copies the weights once for them.
inline constexpr std::int64_t kForwardTokens = 1024;

class WeightReader;

/// The weights and the forward pass.
class Transformer {
 public:
  /// Reads config.json and model.safetensors (or its sharded index) of `folder`. Throws Error(kInput):
  /// missing, left-over or ill-shaped tensors, and a tied head that differs from the embeddings, all named.
  static Transformer load(const std::filesystem::path& folder, const ModelOptions& options);

  /// tokens [R, T] int64, positions [R, T] or [T] int64 -> hidden states after the final norm [R, T, hidden]
  /// float32.
  torch::Tensor forward(const torch::Tensor& tokens, const torch::Tensor& positions,
                        Attention& attention) const;

  /// hidden [N, hidden] -> logits [N, vocabulary] float32.
  torch::Tensor logits(const torch::Tensor& hidden) const;

  /// Loss of `targets` [N] and entropy, in nats, of the predictions that hidden [N, hidden] make. The output
  /// layer is applied to a few rows at a time, so logits of a whole trace are never held.
  LossAndEntropy loss_and_entropy(const torch::Tensor& hidden, const torch::Tensor& targets) const;

  const ModelShape& shape() const { return shape_; }
  const ModelOptions& options() const { return options_; }
  /// "float32" or "bfloat16"; with another type of cache "bfloat16 (cache float32)".
  std::string dtype_name() const;
  /// SHA-256 over config.json and the weight files.
  const std::string& fingerprint() const { return fingerprint_; }

 private:
  /// Cosine and sine of positions, each [R or 1, 1, T, rotated / 2].
  struct Rotation {
    torch::Tensor cosine, sine;
  };
  /// A norm that the architecture lacks is undefined.
  struct Layer {
    torch::Tensor before_attention, after_attention;        // [hidden]
    torch::Tensor before_feed_forward, after_feed_forward;  // [hidden]
    torch::Tensor query_key_value, query_key_value_bias;  // [(H + 2K) d, hidden], [(H + 2K) d] or undefined;
                                                          // with gated attention H d rows more, the gate's
    torch::Tensor output, output_bias;                    // [hidden, H d], [hidden] or undefined
    torch::Tensor query_key_norm;                         // [H + K, 1, d], of each head
    torch::Tensor query_norm, key_norm;                   // [H d], [K d], of all heads at once
    torch::Tensor sinks;                                  // [H] float32 or undefined
    std::optional<DeltaNetWeights> recurrent;             // in the place of attention
    FeedForwardWeights feed_forward;
  };
  Layer take_layer(WeightReader& weights, std::int64_t index) const;
  void take_attention(WeightReader& weights, const std::string& prefix, Layer& layer) const;
  void take_norms(WeightReader& weights, const std::string& prefix, Layer& layer) const;
  void take_query_key_norms(WeightReader& weights, const std::string& prefix, Layer& layer) const;
  /// Of positions [R or 1, T].
  Rotation rotation(const RopeParameters& rope, const torch::Tensor& frequencies,
                    const torch::Tensor& positions) const;
  /// Queries and keys [R, H + K, T, d] float32 or of the products' type, of the joined projections [R, T, (H
  /// + 2K) d], normed where the architecture norms them.
  torch::Tensor query_key(const Layer& layer, const torch::Tensor& joined) const;
  /// `query_key` with its rotated dimensions turned: float32.
  torch::Tensor rotated(const torch::Tensor& query_key, const Rotation& rotation) const;
  torch::Tensor attention_block(std::int64_t index, const torch::Tensor& hidden, const Rotation& rotation,
                                Attention& attention) const;
  /// hidden [N, hidden] -> logits [N, vocabulary] of the products' type.
  torch::Tensor head_product(const torch::Tensor& hidden) const;

  ModelShape shape_;
  ModelOptions options_;
  std::string fingerprint_;
  torch::Tensor embedding_;  // [vocabulary, hidden] float32
  torch::Tensor head_;       // [vocabulary, hidden] in dtype
  torch::Tensor final_norm_;
  torch::Tensor frequencies_;          // [rotated / 2], of texts within the length trained on
  torch::Tensor sliding_frequencies_;  // those of sliding layers, where they have their own
  std::vector<Layer> layers_;
};

}  // namespace foresight
