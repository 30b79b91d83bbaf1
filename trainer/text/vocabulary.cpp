#include "trainer/text/vocabulary.h"

#include <algorithm>

#include "trainer/base/error.h"
#include "trainer/base/text.h"

namespace foresight {

namespace {

// Ids index a table, so one absurd id in a damaged file must not allocate gigabytes. Holes are allowed, up to
// the number that some models leave for later tokens.
constexpr std::size_t kMaxTokens = std::size_t{1} << 24;
constexpr std::size_t kIdsPerToken = 4;
constexpr std::size_t kSpareIds = 1024;

}  // namespace

void Vocabulary::add(std::string_view token, std::int32_t id, const std::string& where) {
  const std::size_t ids = std::min(kMaxTokens, kSpareIds + kIdsPerToken * expected_);
  const auto index = static_cast<std::size_t>(id);
  if (id < 0 || index >= ids) {
    throw Error(ErrorKind::kInput, concat(where, ": token \"", one_line(token), "\" has id ", id,
                                          ", expected 0 to ", ids - 1, " for ", expected_, " tokens"));
  }
  if (index >= tokens_.size()) tokens_.resize(index + 1);
  if (tokens_[index] && *tokens_[index] != token) {
    throw Error(ErrorKind::kInput, concat(where, ": id ", id, " belongs to both \"",
                                          one_line(*tokens_[index]), "\" and \"", one_line(token), "\""));
  }
  const auto [entry, is_new] = ids_.emplace(token, id);
  if (!is_new && entry->second != id) {
    throw Error(ErrorKind::kInput,
                concat(where, ": token \"", one_line(token), "\" has both id ", entry->second, " and ", id));
  }
  tokens_[index] = token;
}

std::optional<std::int32_t> Vocabulary::id_of(std::string_view token) const {
  const auto found = ids_.find(token);
  return found == ids_.end() ? std::nullopt : std::optional(found->second);
}

const std::string* Vocabulary::token_of(std::int32_t id) const {
  if (id < 0 || id >= size()) return nullptr;
  const auto& token = tokens_[static_cast<std::size_t>(id)];
  return token ? &*token : nullptr;
}

}  // namespace foresight
