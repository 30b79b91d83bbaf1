// The facts of a language model that everything else sizes itself by.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace foresight {

/// From config.json of a Hugging Face model folder.
struct ModelShape {
  std::string architecture;  ///< "LlamaForCausalLM"
  std::int64_t layers = 0;
  std::int64_t query_heads = 0;     ///< H
  std::int64_t kv_heads = 0;        ///< K
  std::int64_t head_dimension = 0;  ///< d
  std::int64_t hidden_size = 0;
  std::int64_t intermediate_size = 0;
  std::int64_t vocabulary_size = 0;
  std::int64_t max_positions = 0;
  double rope_theta = 10000.0;
  double norm_epsilon = 1e-5;
  bool tied_embeddings = false;
  bool attention_bias = false;  ///< on query, key, value (and output) projections
  std::int64_t beginning_of_sequence = -1;
  std::vector<std::int64_t> end_of_sequence;

  /// Query heads per KV head, g.
  std::int64_t group() const { return query_heads / kv_heads; }
};

/// Reads and checks `folder`/config.json. Throws Error(kInput) naming the file and the key: missing or
/// damaged file, an architecture or rope type that is not supported (by name), a key that is missing,
/// ill-typed or out of range, heads that do not divide.
ModelShape read_model_shape(const std::filesystem::path& folder);

}  // namespace foresight
