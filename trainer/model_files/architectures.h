// What the supported architectures differ in; everything else is one forward pass.
#pragma once

#include <cstdint>
#include <span>

#include "trainer/model_files/config_json.h"
#include "trainer/model_files/model_shape.h"

namespace foresight {

/// Which layers slide where config.json has no `layer_types`, and whether it may have them.
enum class SlidingRule {
  kNever,        ///< a window is refused
  kAll,          ///< all of them, where a window is stated
  kAsConfigured  ///< what `layer_types` says, else those that `slides` of the row names
};

/// One row of the table.
struct Architecture {
  enum class Bias { kNone, kQueryKeyValue, kAll, kAsConfigured };

  const char* name = "";
  Bias bias = Bias::kNone;
  QueryKeyNorm query_key_norm = QueryKeyNorm::kNone;
  NormPlace norms = NormPlace::kBefore;
  SlidingRule sliding = SlidingRule::kNever;
  bool (*slides)(const ConfigJson& config, std::int64_t layer) = nullptr;  ///< null: every layer
  bool asks_to_slide = false;       ///< a window counts only with use_sliding_window
  bool states_sizes = true;         ///< num_key_value_heads and max_position_embeddings must be there
  bool experts = false;             ///< layers may be mixtures of experts
  bool ties = false;                ///< tie_word_embeddings where it is absent
  bool skips_rotation = false;      ///< no_rope_layers names layers that positions do not turn
  int gemma = 0;                    ///< 2 or 3: what read_gemma() reads; 0: no Gemma
  bool phi = false;                 ///< fused projections, a part of each head rotated, rope type longrope
  bool gpt_oss = false;             ///< what read_gpt_oss() reads
  bool qwen_next = false;           ///< what read_qwen_next() reads
  double norm_epsilon = 1e-6;       ///< where rms_norm_eps is absent
  double rope_theta = 10000.0;      ///< where rope_theta is absent
  std::int64_t window = 0;          ///< where sliding_window is absent
  std::int64_t head_dimension = 0;  ///< where head_dim is absent; 0: hidden_size / num_attention_heads
};

/// Whether positions turn the queries and keys of a layer: `no_rope_layers` (1: they do), or all but every
/// no_rope_layer_interval-th. Throws Error(kInput) for a list of another kind or length.
bool rotates(const ConfigJson& config, std::int64_t layer, std::int64_t layers);

/// What Gemma 2 and 3 have of their own: capped scores and logits, scaled embeddings and queries, GELU, norms
/// of 1 + their weight. Throws Error(kInput) for another activation, attention to later tokens, a cap that
/// its version has not.
void read_gemma(const ConfigJson& config, int version, ModelShape& shape);

/// What gpt-oss has of its own: sinks, experts with biases and a clamped gate, a softmax over the chosen
/// ones. Throws Error(kInput) for a limit of the gate other than 7, or without parameters of the rotation.
void read_gpt_oss(const ConfigJson& config, ModelShape& shape);

/// What Qwen3-Next has of its own: gated attention, norms of 1 + their weight, recurrent layers. Throws
/// Error(kInput) for sizes that are missing or do not divide.
void read_qwen_next(const ConfigJson& config, ModelShape& shape);

/// All of them.
std::span<const Architecture> architectures();

}  // namespace foresight
