// Byte-pair encoding (Sennrich, Haddow, Birch 2016), over bytes or over characters.
#pragma once

#include <array>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "trainer/text/vocabulary.h"

namespace foresight {

/// A token and where it ends in the text that was encoded.
struct PlacedToken {
  std::int32_t id = 0;
  std::size_t end = 0;  ///< one past its last byte
};

/// The "model" of tokenizer.json. Immutable, thread-safe.
class BytePairModel {
 public:
  /// Reads vocabulary and merges; the vocabulary goes to `vocabulary` (the model's tokens only).
  /// `byte_level`: the vocabulary is in the byte alphabet; otherwise in plain characters, and with
  /// byte_fallback a character without token becomes its bytes' tokens "<0x..>". Throws Error(kInput) naming
  /// `where` and the entry: another model type, dropout, affixes, bad ids, merges of unknown tokens.
  static BytePairModel from_json(const nlohmann::json& model, bool byte_level, Vocabulary& vocabulary,
                                 const std::string& where);

  /// Appends the tokens of one pre-tokenized piece, valid UTF-8 unless byte-level; ends count from the
  /// piece's start.
  void encode(std::string_view piece, std::vector<PlacedToken>& tokens) const;

 private:
  struct Merge {
    std::int32_t rank, merged;
  };
  struct Symbol {
    std::int32_t id;
    std::uint32_t bytes;               // of the piece
    std::int32_t previous, following;  // -1: none
  };
  struct PairHash {
    std::size_t operator()(std::uint64_t pair) const;
  };

  void read_options(const nlohmann::json& model, const Vocabulary& vocabulary, const std::string& where);
  /// Fills the tables of byte_level_ or of characters. Returns whether every text can be tokenized.
  bool read_bytes(const Vocabulary& vocabulary, bool byte_fallback);
  bool read_characters(const Vocabulary& vocabulary, bool byte_fallback);
  /// The first token of a byte or character, -1 where it has none.
  std::int32_t unit_id(std::string_view unit) const;
  /// Its "<0x..>" tokens; none unless the vocabulary has all of them.
  void find_fallback(std::string_view unit, std::vector<std::int32_t>& ids) const;
  void read_merges(const nlohmann::json& merges, const Vocabulary& vocabulary, const std::string& where);
  std::vector<Symbol> first_symbols(std::string_view piece) const;
  void merge(std::vector<Symbol>& symbols) const;
  const Merge* find_merge(const std::vector<Symbol>& symbols, std::int32_t left) const;

  bool byte_level_ = true;
  std::array<std::int32_t, 256> byte_ids_{};                 // -1: the byte's character is not a token
  std::array<std::vector<std::int32_t>, 256> fallback_ids_;  // "<0x..>" tokens of the byte's character
  // Not byte-level: tokens of one character, and the "<0x..>" token of each byte (empty: none).
  std::unordered_map<char32_t, std::int32_t> character_ids_;
  std::optional<std::int32_t> unknown_;
  bool fuse_unknown_ = false, ignore_merges_ = false;
  std::unordered_map<std::string, std::int32_t> whole_pieces_;  // only with ignore_merges: piece bytes to id
  std::unordered_map<std::uint64_t, Merge, PairHash> merges_;
};

}  // namespace foresight
