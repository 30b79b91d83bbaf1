#include "trainer/text/vocabulary.h"

#include "trainer/base/error.h"
#include "trainer/base/text.h"

namespace foresight {

namespace {

// Ids index a table: one absurd id in a damaged file must not ask for gigabytes.
constexpr std::int32_t kMaxTokens = 1 << 24;

}  // namespace

void Vocabulary::add(std::string_view token, std::int32_t id, const std::string& where) {
  if (id < 0 || id >= kMaxTokens) {
    throw Error(ErrorKind::kInput,
                concat(where, ": token \"", token, "\" has id ", id, ", expected 0 to ", kMaxTokens - 1));
  }
  const auto index = static_cast<std::size_t>(id);
  if (index >= tokens_.size()) tokens_.resize(index + 1);
  if (tokens_[index] && *tokens_[index] != token) {
    throw Error(ErrorKind::kInput,
                concat(where, ": id ", id, " belongs to both \"", *tokens_[index], "\" and \"", token, "\""));
  }
  const auto [entry, is_new] = ids_.emplace(token, id);
  if (!is_new && entry->second != id) {
    throw Error(ErrorKind::kInput,
                concat(where, ": token \"", token, "\" has both id ", entry->second, " and ", id));
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
