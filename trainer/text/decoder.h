// Tokens back to text.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace foresight {

/// The "decoder" of tokenizer.json: ByteLevel, or a Sequence of ByteFallback, Fuse, Replace and ByteLevel.
/// Immutable, thread-safe.
class Decoder {
 public:
  /// Throws Error(kInput) naming what is not supported; the vocabulary is byte-level, so ByteLevel must be
  /// last.
  static Decoder from_json(const nlohmann::json& description, const std::string& where);

  /// The text of the tokens, damaged UTF-8 repaired, as `tokenizers` has it.
  std::string decode(std::vector<std::string> tokens) const;
  /// The bytes that one token stands for by itself.
  std::string token_bytes(const std::string& token) const;

 private:
  enum class StepKind { kByteFallback, kFuse, kReplace };
  struct Step {
    StepKind kind;
    std::string pattern, content;  // kReplace
  };

  void add_step(const nlohmann::json& description, const std::string& where);

  std::vector<Step> steps_;  // before ByteLevel
  bool has_byte_level_ = false;
  std::size_t growth_ = 1;  // how many times as long the steps may make a text
};

}  // namespace foresight
