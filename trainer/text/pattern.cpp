#include "trainer/text/pattern.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <array>
#include <new>

#include "trainer/base/error.h"
#include "trainer/base/text.h"
#include "trainer/base/utf8.h"

namespace foresight {

namespace {

struct FreeMatchData {
  void operator()(pcre2_match_data* data) const { pcre2_match_data_free(data); }
};

std::string message_of(int error) {
  std::array<PCRE2_UCHAR, 256> text{};
  pcre2_get_error_message(error, text.data(), text.size());
  return reinterpret_cast<const char*>(text.data());
}

}  // namespace

struct Pattern::Code {
  Code(pcre2_code* compiled, std::string its_origin) : code(compiled), origin(std::move(its_origin)) {}
  Code(const Code&) = delete;
  Code& operator=(const Code&) = delete;
  ~Code() { pcre2_code_free(code); }
  pcre2_code* code;
  std::string origin;  // "file: key: the pattern ..."
};

Pattern Pattern::compile(const std::string& translated, std::uint32_t options, const std::string& expression,
                         const std::string& where) {
  int error = 0;
  PCRE2_SIZE offset = 0;
  pcre2_code* code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(translated.data()), translated.size(),
                                   PCRE2_UTF | options, &error, &offset, nullptr);
  const std::string origin = concat(where, ": the pattern ", one_line(expression));
  if (code == nullptr) {
    throw Error(ErrorKind::kInput, concat(origin, " is not supported: ", message_of(error), " at offset ",
                                          offset, " of ", one_line(translated)));
  }
  pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);  // where it fails, the interpreter matches
  return Pattern(std::make_shared<const Code>(code, origin));
}

Pattern Pattern::regex(const std::string& expression, const std::string& where) {
  // Oniguruma's ^ and $ always see line ends, which is PCRE2's MULTILINE.
  return compile(translate_oniguruma(expression, where),
                 PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C, expression, where);
}

Pattern Pattern::literal(const std::string& text, const std::string& where) {
  if (text.empty()) throw Error(ErrorKind::kInput, concat(where, ": the pattern is empty"));
  return compile(text, PCRE2_LITERAL, text, where);
}

std::vector<ByteRange> Pattern::cut(std::string_view text) const {
  std::vector<ByteRange> ranges;
  const std::unique_ptr<pcre2_match_data, FreeMatchData> match(
      pcre2_match_data_create_from_pattern(code_->code, nullptr));
  if (!match) throw std::bad_alloc();
  std::size_t done = 0, from = 0;
  bool any = false;
  while (from <= text.size()) {
    const auto try_match = [&](std::uint32_t options) {
      return pcre2_match(code_->code, reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), from,
                         PCRE2_NO_UTF_CHECK | options, match.get(), nullptr);
    };
    int result = try_match(0);
    if (result == PCRE2_ERROR_JIT_STACKLIMIT) result = try_match(PCRE2_NO_JIT);
    if (result == PCRE2_ERROR_NOMATCH) break;
    if (result < 0) {
      throw Error(ErrorKind::kInput,
                  concat(code_->origin, " failed near byte ", from, " of a text: ", message_of(result)));
    }
    const PCRE2_SIZE* bounds = pcre2_get_ovector_pointer(match.get());
    const std::size_t begin = bounds[0], end = bounds[1];
    const bool empty_behind_match = begin == end && any && begin == done;
    if (!empty_behind_match) {
      if (begin > done) ranges.push_back({done, begin, false});
      ranges.push_back({begin, end, true});
      done = end;
      any = true;
    }
    // After an empty match the search continues at the next character.
    from = begin == end ? (end < text.size() ? end + utf8_step(text, end).bytes : text.size() + 1) : end;
  }
  if (done < text.size()) ranges.push_back({done, text.size(), false});
  return ranges;
}

}  // namespace foresight
