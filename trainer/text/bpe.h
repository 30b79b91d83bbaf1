// Byte-pair encoding (Sennrich, Haddow, Birch 2016) over the byte alphabet.
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
  /// Reads vocabulary and merges; the vocabulary goes to `vocabulary` (the model's tokens only). Throws
  /// Error(kInput) naming `where` and the entry: another model type, dropout, affixes, bad ids, merges of
  /// unknown tokens.
  static BytePairModel from_json(const nlohmann::json& model, Vocabulary& vocabulary,
                                 const std::string& where);

  /// Appends the tokens of one pre-tokenized piece of bytes; ends count from the piece's start.
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
  void read_merges(const nlohmann::json& merges, const Vocabulary& vocabulary, const std::string& where);
  std::vector<Symbol> first_symbols(std::string_view piece) const;
  void merge(std::vector<Symbol>& symbols) const;
  const Merge* find_merge(const std::vector<Symbol>& symbols, std::int32_t left) const;

  std::array<std::int32_t, 256> byte_ids_{};                 // -1: the byte's character is no token
  std::array<std::vector<std::int32_t>, 256> fallback_ids_;  // "<0x..>" tokens of the byte's character
  std::optional<std::int32_t> unknown_;
  bool fuse_unknown_ = false, ignore_merges_ = false;
  std::unordered_map<std::string, std::int32_t> whole_pieces_;  // only with ignore_merges: piece bytes to id
  std::unordered_map<std::uint64_t, Merge, PairHash> merges_;
};

}  // namespace foresight
