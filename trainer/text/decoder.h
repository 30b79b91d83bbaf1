// Tokens back to text.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace foresight {

/// The "decoder" of tokenizer.json: ByteLevel for a byte-level vocabulary; ByteFallback, Fuse, Replace, Strip
/// and Metaspace, before it or without it; or a Sequence of these. Immutable, thread-safe.
class Decoder {
 public:
  /// Throws Error(kInput) naming what is not supported. ByteLevel must be last. A byte-level vocabulary must
  /// have it, and no other may.
  static Decoder from_json(const nlohmann::json& description, bool byte_level, const std::string& where);

  /// The text of the tokens, damaged UTF-8 repaired, as `tokenizers` has it.
  std::string decode(std::vector<std::string> tokens) const;
  /// The bytes of one token after other tokens: the blank that Strip and Metaspace remove at the start of a
  /// text stays.
  std::string token_bytes(const std::string& token) const;

 private:
  enum class StepKind { kByteFallback, kFuse, kReplace, kStrip, kMetaspace };
  struct Step {
    StepKind kind;
    std::string pattern, content = {};  // kReplace; kStrip and kMetaspace: pattern, one character
    std::size_t start = 0, stop = 0;    // kStrip: at most so many at the ends of each token
    bool drop_at_start = false;         // kMetaspace: the first token loses its blanks
  };

  void add_step(const nlohmann::json& description, const std::string& where);
  void add_replace(const nlohmann::json& description, const std::string& where);

  std::vector<Step> steps_;  // before ByteLevel
  bool has_byte_level_ = false;
  std::size_t growth_ = 1;  // how many times as long the steps may make a text
};

}  // namespace foresight
