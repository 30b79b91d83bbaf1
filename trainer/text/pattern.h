// Regular expressions of tokenizer.json. The `tokenizers` library reads them with Oniguruma, this program
// with PCRE2.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace foresight {

/// A stretch [begin, end) of bytes.
struct ByteRange {
  std::size_t begin = 0, end = 0;
  bool matched = false;  ///< by the pattern; false for what lies between matches
};

/// A compiled pattern with Unicode properties. Immutable, thread-safe. PCRE2 10.42 knows Unicode 14, the
/// Oniguruma in `tokenizers` 0.22 Unicode 16: characters assigned in between are not letters or digits here.
/// Over all other characters the classes that tokenizers use were compared and are the same.
class Pattern {
 public:
  /// Compiles `expression`, written for Oniguruma. Escapes that mean something else in PCRE2 are translated;
  /// what cannot be translated is refused. Throws Error(kInput) naming `where` and the reason.
  static Pattern regex(const std::string& expression, const std::string& where);
  /// Matches exactly `text`, which is not empty.
  static Pattern literal(const std::string& text, const std::string& where);

  /// Cuts valid UTF-8 `text` into matches and what lies between them, in order, without gaps; none is empty
  /// except for matches of the empty string. Throws Error(kInput) when PCRE2 gives up (its own limits).
  std::vector<ByteRange> cut(std::string_view text) const;

 private:
  struct Code;
  explicit Pattern(std::shared_ptr<const Code> code) : code_(std::move(code)) {}
  static Pattern compile(const std::string& translated, std::uint32_t options, const std::string& expression,
                         const std::string& where);
  std::shared_ptr<const Code> code_;
};

/// `expression`, written for Oniguruma, as PCRE2 must be told to mean the same. Throws Error(kInput) naming
/// `where`.
std::string translate_oniguruma(const std::string& expression, const std::string& where);

}  // namespace foresight
