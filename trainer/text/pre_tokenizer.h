// Cutting text into pieces that byte-pair encoding never joins.
#pragma once

#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "trainer/text/pattern.h"

namespace foresight {

/// What becomes of a Split's matches.
enum class SplitBehavior { kIsolated, kRemoved, kMergedWithPrevious, kMergedWithNext, kContiguous };

/// ByteLevel, alone or last in a Sequence behind Digits and Split steps. Immutable, thread-safe.
class PreTokenizer {
 public:
  /// From tokenizer.json's "pre_tokenizer". Throws Error(kInput) naming what is not supported.
  static PreTokenizer from_json(const nlohmann::json& description, const std::string& where);

  /// Calls `use(piece, begin)` for each piece of valid UTF-8 `text`, in order. `begin` is where the piece
  /// starts in `text`: one less than its first byte's place where ByteLevel put a space in front
  /// (add_prefix_space).
  void for_each_piece(std::string_view text,
                      const std::function<void(std::string_view piece, std::int64_t begin)>& use) const;

 private:
  struct Split {
    Pattern pattern;
    SplitBehavior behavior;
    bool invert;
  };

  void add_step(const nlohmann::json& description, const std::string& where);
  static Split split_from_json(const nlohmann::json& description, const std::string& where);
  static std::vector<ByteRange> apply(const Split& split, std::string_view text);

  std::vector<Split> splits_;
  std::optional<Pattern> byte_level_pattern_;
  bool has_byte_level_ = false, add_prefix_space_ = false;
};

}  // namespace foresight
