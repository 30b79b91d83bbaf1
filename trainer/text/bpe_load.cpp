#include <array>
#include <string>

#include "trainer/base/error.h"
#include "trainer/base/text.h"
#include "trainer/base/utf8.h"
#include "trainer/model_files/json_fields.h"
#include "trainer/text/bpe.h"
#include "trainer/text/byte_level.h"

namespace foresight {

namespace {

using Json = nlohmann::json;

std::string byte_fallback_token(std::uint8_t byte) {
  constexpr std::array<char, 17> kDigits{"0123456789ABCDEF"};
  return {'<', '0', 'x', kDigits[byte >> 4], kDigits[byte & 15], '>'};
}

/// The "<0x..>" tokens of all bytes of `character`; none where one of them is missing.
std::vector<std::int32_t> fallback_tokens(const std::string& character, const Vocabulary& vocabulary) {
  std::vector<std::int32_t> ids;
  for (const char byte : character) {
    const auto id = vocabulary.id_of(byte_fallback_token(static_cast<std::uint8_t>(byte)));
    if (!id) return {};
    ids.push_back(*id);
  }
  return ids;
}

/// The two sides of a merge: "a b", or ["a", "b"].
std::pair<std::string, std::string> merge_sides(const Json& merge, const std::string& where) {
  if (merge.is_string()) {
    const auto& text = merge.get_ref<const std::string&>();
    const std::size_t space = text.find(' ');
    if (space != std::string::npos && text.find(' ', space + 1) == std::string::npos) {
      return {text.substr(0, space), text.substr(space + 1)};
    }
  } else if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string()) {
    return {merge[0].get<std::string>(), merge[1].get<std::string>()};
  }
  throw Error(ErrorKind::kInput, concat(where, ": expected \"left right\" or [\"left\", \"right\"], got ",
                                        one_line(merge.dump())));
}

void refuse_set_text(const Json& model, const char* key, const std::string& where) {
  const Json& value = field(model, key, where);
  if (value.is_null() || (value.is_string() && value.get_ref<const std::string&>().empty())) return;
  throw Error(ErrorKind::kInput,
              concat(where, ": \"", key, "\" is set, which byte-level BPE here does not support"));
}

}  // namespace

BytePairModel BytePairModel::from_json(const Json& model, bool byte_level, Vocabulary& vocabulary,
                                       const std::string& where) {
  const Json& type = field(model, "type", where);  // old files leave it out
  if (!type.is_null() && string_field(model, "type", where) != "BPE") {
    throw Error(ErrorKind::kInput,
                concat(where, ": model type ", one_line(string_field(model, "type", where)),
                       " is not supported (known: BPE)"));
  }
  const Json& tokens = object_field(model, "vocab", where);
  vocabulary.expect(tokens.size());
  for (const auto& [token, id] : tokens.items()) {
    vocabulary.add(token, token_id_of(id, concat("vocab \"", one_line(token), "\""), where), where);
  }
  BytePairModel result;
  result.byte_level_ = byte_level;
  result.read_options(model, vocabulary, where);
  result.read_merges(list_field(model, "merges", where), vocabulary, where);
  return result;
}

void BytePairModel::read_options(const Json& model, const Vocabulary& vocabulary, const std::string& where) {
  const Json& dropout = field(model, "dropout", where);
  if (!dropout.is_null() && dropout != 0) {
    throw Error(ErrorKind::kInput,
                concat(where, ": \"dropout\" is set: tokens would be random; set it to null"));
  }
  refuse_set_text(model, "continuing_subword_prefix", where);
  refuse_set_text(model, "end_of_word_suffix", where);
  fuse_unknown_ = bool_field(model, "fuse_unk", false, where);
  ignore_merges_ = bool_field(model, "ignore_merges", false, where);
  if (!field(model, "unk_token", where).is_null()) {
    unknown_ = vocabulary.id_of(string_field(model, "unk_token", where));
  }
  const bool byte_fallback = bool_field(model, "byte_fallback", false, where);
  const bool complete =
      byte_level_ ? read_bytes(vocabulary, byte_fallback) : read_characters(vocabulary, byte_fallback);
  if (!complete && !unknown_ && !field(model, "unk_token", where).is_null()) {
    throw Error(ErrorKind::kInput,
                concat(where, ": unk_token is not in the vocabulary, and unknown characters need it"));
  }
  if (!ignore_merges_) return;
  for (std::int32_t id = 0; id < vocabulary.size(); ++id) {
    const std::string* token = vocabulary.token_of(id);
    if (token == nullptr) continue;
    if (!byte_level_) {
      whole_pieces_.emplace(*token, id);
    } else if (auto bytes = from_byte_characters(*token)) {
      whole_pieces_.emplace(std::move(*bytes), id);
    }
  }
}

bool BytePairModel::read_bytes(const Vocabulary& vocabulary, bool byte_fallback) {
  bool complete = true;
  for (std::size_t byte = 0; byte < byte_ids_.size(); ++byte) {
    const std::string& character = byte_character(static_cast<std::uint8_t>(byte));
    byte_ids_[byte] = vocabulary.id_of(character).value_or(-1);
    if (byte_ids_[byte] < 0 && byte_fallback) fallback_ids_[byte] = fallback_tokens(character, vocabulary);
    complete &= byte_ids_[byte] >= 0 || !fallback_ids_[byte].empty();
  }
  return complete;
}

bool BytePairModel::read_characters(const Vocabulary& vocabulary, bool byte_fallback) {
  for (std::int32_t id = 0; id < vocabulary.size(); ++id) {
    const std::string* token = vocabulary.token_of(id);
    if (token == nullptr || token->empty()) continue;
    const Utf8Step step = utf8_step(*token, 0);
    if (step.bytes == token->size()) character_ids_.emplace(step.code_point, id);
  }
  bool complete = byte_fallback;
  for (std::size_t byte = 0; byte_fallback && byte < fallback_ids_.size(); ++byte) {
    fallback_ids_[byte] = fallback_tokens(std::string(1, static_cast<char>(byte)), vocabulary);
    complete &= !fallback_ids_[byte].empty();
  }
  return complete;
}

void BytePairModel::read_merges(const Json& merges, const Vocabulary& vocabulary, const std::string& where) {
  std::int32_t rank = 0;
  merges_.reserve(merges.size());
  for (const Json& merge : merges) {
    const std::string entry = concat(where, ": merges[", rank, "]");
    const auto [left, right] = merge_sides(merge, entry);
    const auto id_of = [&](const std::string& token) {
      const auto id = vocabulary.id_of(token);
      if (!id)
        throw Error(ErrorKind::kInput,
                    concat(entry, ": token \"", one_line(token), "\" is not in the vocabulary"));
      return *id;
    };
    const std::uint64_t pair = (std::uint64_t{static_cast<std::uint32_t>(id_of(left))} << 32) |
                               static_cast<std::uint32_t>(id_of(right));
    merges_[pair] = {rank, id_of(left + right)};  // of two equal entries the later counts, as in `tokenizers`
    ++rank;
  }
}

}  // namespace foresight
