#include "trainer/text/added_tokens.h"

#include <algorithm>

#include "trainer/base/error.h"
#include "trainer/base/text.h"
#include "trainer/base/utf8.h"
#include "trainer/model_files/json_fields.h"

namespace foresight {

namespace {

/// Unicode's White_Space.
bool is_space(char32_t c) {
  return (c >= 0x09 && c <= 0x0D) || c == 0x20 || c == 0x85 || c == 0xA0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F ||
         c == 0x3000;
}

/// Byte length of the blanks at the start of `text`.
std::size_t leading_space(std::string_view text) {
  std::size_t offset = 0;
  while (offset < text.size()) {
    const Utf8Step step = utf8_step(text, offset);
    if (!is_space(step.code_point)) break;
    offset += step.bytes;
  }
  return offset;
}

/// Byte length of `text` without the blanks at its end.
std::size_t without_trailing_space(std::string_view text) {
  while (!text.empty()) {
    const std::size_t last = last_character(text);
    if (!is_space(utf8_step(text, last).code_point)) break;
    text = text.substr(0, last);
  }
  return text.size();
}

}  // namespace

AddedTokens::AddedTokens(const std::string& where)
    : word_(Pattern::regex("[\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\x{200C}\\x{200D}]", where)) {
}  // the characters of \w in Rust's regex

AddedTokens AddedTokens::from_json(const nlohmann::json& list, const Normalizer& normalizer,
                                   Vocabulary& vocabulary, const std::string& where) {
  AddedTokens result(where);
  if (list.is_null()) return result;
  if (!list.is_array())
    throw Error(ErrorKind::kInput, concat(where, ": expected a list, got ", list.type_name()));
  vocabulary.expect(list.size());
  for (std::size_t index = 0; index < list.size(); ++index) {
    const std::string entry = concat(where, "[", index, "]");
    const auto& description = list[index];
    const std::string content = string_field(description, "content", entry);
    const std::int32_t id = token_id_of(field(description, "id", entry), "id", entry);
    vocabulary.add(content, id, entry);
    const bool special = bool_field(description, "special", false, entry);
    if (special) result.special_.insert(id);
    if (content.empty()) continue;  // an empty token never matches
    result.tokens_.push_back({id, bool_field(description, "single_word", false, entry),
                              bool_field(description, "lstrip", false, entry),
                              bool_field(description, "rstrip", false, entry)});
    const auto token = static_cast<std::int32_t>(result.tokens_.size()) - 1;
    if (bool_field(description, "normalized", !special, entry)) {
      insert(result.normalized_, normalizer.apply(content).text, token);
    } else {
      insert(result.raw_, content, token);
    }
  }
  return result;
}

void AddedTokens::insert(Trie& trie, std::string_view text, std::int32_t token) {
  std::size_t node = 0;
  for (const char byte : text) {
    auto& children = trie[node].children;
    const auto found =
        std::find_if(children.begin(), children.end(), [&](const auto& c) { return c.first == byte; });
    if (found != children.end()) {
      node = static_cast<std::size_t>(found->second);
    } else {
      const std::size_t child = trie.size();
      children.emplace_back(byte, static_cast<std::int32_t>(child));
      trie.emplace_back();
      node = child;
    }
  }
  if (trie[node].token < 0) trie[node].token = token;
}

/// The token that `text` has at byte `at`, -1 where there is none, and its length.
std::pair<std::int32_t, std::size_t> AddedTokens::longest_match(const Trie& trie, std::string_view text,
                                                                std::size_t at) {
  std::pair<std::int32_t, std::size_t> best{-1, 0};
  std::size_t node = 0;
  for (std::size_t offset = at; offset < text.size(); ++offset) {
    const auto& children = trie[node].children;
    const auto found = std::find_if(children.begin(), children.end(),
                                    [&](const auto& c) { return c.first == text[offset]; });
    if (found == children.end()) break;
    node = static_cast<std::size_t>(found->second);
    if (trie[node].token >= 0) best = {trie[node].token, offset + 1 - at};
  }
  return best;
}

bool AddedTokens::stands_alone(std::string_view before, std::string_view behind) const {
  const auto is_word = [&](std::string_view character) { return word_.cut(character).front().matched; };
  if (!before.empty() && is_word(before.substr(last_character(before)))) return false;
  return behind.empty() || !is_word(behind.substr(0, utf8_step(behind, 0).bytes));
}

std::vector<TextSection> AddedTokens::cut(std::string_view text, bool normalized) const {
  const Trie& trie = normalized ? normalized_ : raw_;
  std::vector<TextSection> sections;
  std::size_t done = 0;
  for (std::size_t at = trie.size() > 1 ? 0 : text.size(); at < text.size();) {
    const auto [index, length] = longest_match(trie, text, at);
    if (index < 0) {
      ++at;
      continue;
    }
    const Token& token = tokens_[static_cast<std::size_t>(index)];
    std::size_t begin = at, end = at + length;
    at = end;
    if (token.single_word && !stands_alone(text.substr(0, begin), text.substr(end))) continue;
    if (token.lstrip && begin > done) begin = done + without_trailing_space(text.substr(done, begin - done));
    if (token.rstrip) end += leading_space(text.substr(end));
    if (begin > done) sections.push_back({done, begin, -1});
    sections.push_back({begin, end, token.id});
    done = end;
  }
  if (done < text.size()) sections.push_back({done, text.size(), -1});
  return sections;
}

}  // namespace foresight
