// Tokens that are found in the text before anything else: "<|im_start|>" and the like.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "trainer/text/normalizer.h"
#include "trainer/text/pattern.h"
#include "trainer/text/vocabulary.h"

namespace foresight {

/// A stretch of text that is a token, or text still to be tokenized (id -1).
struct TextSection {
  std::size_t begin = 0, end = 0;
  std::int32_t id = -1;
};

/// The "added_tokens" of tokenizer.json. Immutable, thread-safe.
class AddedTokens {
 public:
  /// Reads the list and puts its tokens into `vocabulary`. Throws Error(kInput), naming `where` and the
  /// entry, on bad or contradictory entries.
  static AddedTokens from_json(const nlohmann::json& list, const Normalizer& normalizer,
                               Vocabulary& vocabulary, const std::string& where);

  /// Cuts `text` at the tokens that are searched for in raw text (normalized: false) or in normalised text,
  /// leftmost and longest first.
  std::vector<TextSection> cut(std::string_view text, bool normalized) const;

  bool is_special(std::int32_t id) const { return special_.contains(id); }

 private:
  struct Token {
    std::int32_t id;
    bool single_word, lstrip, rstrip;
  };
  struct Node {
    std::vector<std::pair<char, std::int32_t>> children;
    std::int32_t token = -1;  // index in tokens_
  };
  using Trie = std::vector<Node>;

  explicit AddedTokens(const std::string& where);
  static void insert(Trie& trie, std::string_view text, std::int32_t token);
  static std::pair<std::int32_t, std::size_t> longest_match(const Trie& trie, std::string_view text,
                                                            std::size_t at);
  bool stands_alone(std::string_view before, std::string_view behind) const;

  std::vector<Token> tokens_;
  Trie raw_ = Trie(1), normalized_ = Trie(1);
  std::unordered_set<std::int32_t> special_;
  Pattern word_;  // one character of a word
};

}  // namespace foresight
