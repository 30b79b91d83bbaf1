// Tokens and their ids.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace foresight {

/// The text of every token, both ways. Ids may have holes, as the format allows.
class Vocabulary {
 public:
  /// Announces that `tokens` more will be added, which limits how large their ids may be.
  void expect(std::size_t tokens) { expected_ += tokens; }
  /// Adds a token. Throws Error(kInput), naming `where`, when the id belongs to another token or the token
  /// has another id, and when the id is so far beyond the expected count that the file must be damaged.
  void add(std::string_view token, std::int32_t id, const std::string& where);

  std::optional<std::int32_t> id_of(std::string_view token) const;
  /// No value for a hole.
  const std::string* token_of(std::int32_t id) const;
  /// Largest id + 1.
  std::int64_t size() const { return static_cast<std::int64_t>(tokens_.size()); }

 private:
  struct TextHash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
  };
  std::unordered_map<std::string, std::int32_t, TextHash, std::equal_to<>> ids_;
  std::vector<std::optional<std::string>> tokens_;
  std::size_t expected_ = 0;
};

}  // namespace foresight
