// Cutting text into pieces that byte-pair encoding never joins.
#pragma once

#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "trainer/text/metaspace.h"
#include "trainer/text/normalized_text.h"
#include "trainer/text/pattern.h"

namespace foresight {

/// What happens to a Split's matches.
enum class SplitBehavior { kIsolated, kRemoved, kMergedWithPrevious, kMergedWithNext, kContiguous };

/// Metaspace, Digits and Split steps and ByteLevel, each alone or in a Sequence with Metaspace first and
/// ByteLevel last; or none, and the text is one piece. Immutable, thread-safe.
class PreTokenizer {
 public:
  /// From tokenizer.json's "pre_tokenizer". Throws Error(kInput) naming what is not supported.
  static PreTokenizer from_json(const nlohmann::json& description, const std::string& where);

  /// Whether pieces are bytes, each with a token of its own; otherwise they are text.
  bool byte_level() const { return has_byte_level_; }

  /// `text` with Metaspace's sign for its blanks and in front; nothing where there is no Metaspace.
  /// `at_start`: nothing stands before it.
  std::optional<NormalizedText> rewritten(std::string_view text, bool at_start) const;

  /// Calls `use(piece, begin)` for each piece of valid UTF-8 `text` (rewritten), in order. `begin` is where
  /// the piece starts in `text`: one less than its first byte's place where ByteLevel put a space in front
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
  void add_metaspace(const nlohmann::json& description, const std::string& where);
  static Split split_from_json(const nlohmann::json& description, const std::string& where);
  static std::vector<ByteRange> apply(const Split& split, std::string_view text);

  std::vector<Split> splits_;
  std::optional<Pattern> byte_level_pattern_;
  std::string metaspace_;  // its sign; empty: none
  PrependScheme prepend_scheme_ = PrependScheme::kNever;
  bool has_byte_level_ = false, add_prefix_space_ = false;
};

}  // namespace foresight
