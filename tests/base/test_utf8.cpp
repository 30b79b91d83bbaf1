#include "trainer/base/utf8.h"

#include <cstdint>
#include <string>

#include "tests/catch.h"
#include "trainer/base/error.h"
#include "trainer/base/text.h"

namespace foresight {
namespace {

TEST_CASE("utf8: exactly the encodings of Unicode scalar values are valid") {
  for (std::uint32_t code_point = 0; code_point <= 0x110400; ++code_point) {
    std::string text;
    append_utf8(text, static_cast<char32_t>(code_point));
    const bool scalar = code_point <= 0x10FFFF && (code_point < 0xD800 || code_point > 0xDFFF);
    const Utf8Step step = utf8_step(text, 0);
    if (step.valid != scalar || (scalar && (step.code_point != code_point || step.bytes != text.size()))) {
      FAIL("U+" << std::hex << code_point);
    }
  }
}

TEST_CASE("utf8: overlong forms, surrogates, stray and missing bytes are found where they are") {
  const auto npos = std::string_view::npos;
  CHECK(first_invalid_utf8("plain \xF0\x9F\x98\x80") == npos);
  CHECK(first_invalid_utf8("") == npos);
  CHECK(first_invalid_utf8("a\xC0\xAF") == 1);              // overlong '/'
  CHECK(first_invalid_utf8("ab\xE0\x80\xAF") == 2);         // overlong
  CHECK(first_invalid_utf8("\xF0\x82\x82\xAC") == 0);       // overlong euro sign
  CHECK(first_invalid_utf8("a\xED\xA0\x80") == 1);          // surrogate
  CHECK(first_invalid_utf8("a\xF4\x90\x80\x80") == 1);      // U+110000
  CHECK(first_invalid_utf8("a\xF8\x88\x80\x80\x80") == 1);  // five bytes
  CHECK(first_invalid_utf8("a\x80") == 1);
  CHECK(first_invalid_utf8("a\xE2\x82") == 1);
  CHECK(first_invalid_utf8("a\xE2\x82z") == 1);
}

TEST_CASE("utf8: repair replaces maximal parts, as Python's decoder does") {
  const std::string bad = "\xEF\xBF\xBD";  // U+FFFD
  // bytes.decode("utf-8", "replace") of CPython 3.11:
  CHECK(repair_utf8("a\xF0\x9F\x98z") == "a" + bad + "z");
  CHECK(repair_utf8("\xE2\x82") == bad);
  CHECK(repair_utf8("\xC0\xAF") == bad + bad);
  CHECK(repair_utf8("\xED\xA0\x80") == bad + bad + bad);
  CHECK(repair_utf8("\xF4\x90\x80\x80x") == bad + bad + bad + bad + "x");
  CHECK(repair_utf8("\xF0\x9F\xE2\x82\xAC") == bad + "\xE2\x82\xAC");
}

TEST_CASE("utf8: text that is not UTF-8 is refused with the offset of the first wrong byte") {
  for (const std::string bad :
       {"abc\xFF", "abc\xC0\xAF", "abc\xED\xA0\x80", "abc\xF4\x90\x80\x80", "abc\xE2\x82"}) {
    CHECK_THROWS_WITH(require_utf8(bad, "notes.txt"), "notes.txt: not UTF-8 at byte 3");
  }
  CHECK_NOTHROW(require_utf8("\xF4\x8F\xBF\xBF\xEF\xBF\xBD", "notes.txt"));
}

TEST_CASE("one line: what breaks lines or moves a cursor is written as an escape") {
  CHECK(one_line("") == "");
  CHECK(one_line("größe \xF0\x9F\x98\x80 \"quoted\" \\d") == "größe \xF0\x9F\x98\x80 \"quoted\" \\d");
  CHECK(one_line("a\nb\r\tc") == "a\\nb\\r\\tc");
  CHECK(one_line(std::string("\0\x1b[2J\x7f", 6)) == "\\x00\\x1b[2J\\x7f");
  CHECK(one_line("\xC2\x85\xC2\x9B\xC2\xA0") == "\\u0085\\u009b\xC2\xA0");
  CHECK(one_line("\xE2\x80\xA8\xE2\x80\xA9") == "\\u2028\\u2029");
  CHECK(one_line("a\xFF\xC3 \xE2\x82") == "a\\xff\\xc3 \\xe2\\x82");
}

TEST_CASE("one line: a long text is cut between characters") {
  CHECK(one_line("12345", 5) == "12345");
  CHECK(one_line("123456", 5) == "12345...");
  CHECK(one_line("1234\xC3\xA9", 5) == "1234...");
  CHECK(one_line("1234\n", 5) == "1234...");
  CHECK(one_line(std::string(1000, 'x')) == std::string(120, 'x') + "...");
}

}  // namespace
}  // namespace foresight
