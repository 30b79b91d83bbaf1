// The content of an oracle file: the contract between the oracle stage and all later stages
// (docs/hdf5_format.md).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace foresight {

/// The version of files with every layer of the model; files with some of the layers
/// (OracleDimensions::numbers) have the later version.
inline constexpr std::int64_t kOracleSchemaVersion = 1;
inline constexpr std::int64_t kOracleSchemaVersionOfSomeLayers = 2;

/// The group of the recorded attention, and a layer's dataset in it, by the model's number: "layer_000".
inline constexpr const char* kOracleAttentionGroup = "future_attention";
std::string oracle_layer_name(std::int64_t layer);

/// Sizes of one recorded trace.
struct OracleDimensions {
  std::int64_t layers = 0;  ///< layers that evict; no others are recorded
  std::int64_t kv_heads = 0;
  std::int64_t tokens = 0;        ///< L
  std::int64_t block_tokens = 0;  ///< query block; the last block may be shorter
  /// The model's numbers of the layers, ascending; none: 0, 1, 2, ..., as all layers of the model evict.
  std::vector<std::int64_t> numbers = {};

  /// The model's number of a recorded layer.
  std::int64_t number(std::int64_t layer) const {
    return numbers.empty() ? layer : numbers.at(static_cast<std::size_t>(layer));
  }
  std::int64_t schema_version() const {
    return numbers.empty() ? kOracleSchemaVersion : kOracleSchemaVersionOfSomeLayers;
  }
  std::int64_t blocks() const { return (tokens + block_tokens - 1) / block_tokens; }
  /// Keys that block b can see: min((b + 1) * block_tokens, tokens).
  std::int64_t keys_of_block(std::int64_t block) const;
  /// The element at which block b's row starts in one KV head's causal half.
  std::int64_t first_element(std::int64_t block) const;
  /// Elements of the rows of blocks first .. first + count - 1 of one KV head.
  std::int64_t elements_of_blocks(std::int64_t first, std::int64_t count) const;
  /// Elements of one KV head's causal half: the blocks' rows one after the other, row b with keys_of_block(b)
  /// entries.
  std::int64_t packed_elements() const;
  bool operator==(const OracleDimensions&) const = default;
};

/// The origin of a file; readers compare the fingerprints first.
struct OracleProvenance {
  std::string model_fingerprint;      ///< SHA-256 over the model's weights and config
  std::string tokenizer_fingerprint;  ///< SHA-256 of tokenizer.json
  std::string config_yaml;            ///< the effective config
  std::string code_version;
  std::string dtype;  ///< of the base model's matrix products: float32 | bfloat16
};

/// One trace, without its attention.
struct OracleTrace {
  std::string trace_id;                 ///< for example "train-000003"
  std::vector<std::int32_t> token_ids;  ///< [L]
  std::vector<float> loss;     ///< [L]; loss[t] in nats of predicting token t from token t-1; loss[0] = 0
  std::vector<float> entropy;  ///< [L]; of the distribution that predicts token t; entropy[0] = 0
  std::vector<std::uint8_t> completion;  ///< [L]; 1 where the token belongs to a completion
};

}  // namespace foresight
