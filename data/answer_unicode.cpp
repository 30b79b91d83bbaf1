#include "data/answer_unicode.h"

#include <algorithm>
#include <iterator>

#include "data/answer_signs.h"
#include "trainer/base/utf8.h"

namespace foresight {
namespace {

/// What characters of Unicode are in ASCII or LaTeX.
constexpr std::pair<char32_t, const char*> kUnicodeSigns[] = {{0x2212, "-"},
                                                              {0x2010, "-"},
                                                              {0x2011, "-"},
                                                              {0x2012, "-"},
                                                              {0x2013, "-"},
                                                              {0xFE63, "-"},
                                                              {0xFF0D, "-"},
                                                              {0xFF0B, "+"},
                                                              {0xFF0C, ","},
                                                              {0x3001, ","},
                                                              {0xFF0E, "."},
                                                              {0xFF1A, ":"},
                                                              {0xFF08, "("},
                                                              {0xFF09, ")"},
                                                              {0xFF1D, "="},
                                                              {0x2044, "/"},
                                                              {0x2215, "/"},
                                                              {0xD7, "\\times "},
                                                              {0xB7, "\\cdot "},
                                                              {0x22C5, "\\cdot "},
                                                              {0xF7, "\\div "},
                                                              {0xB0, "\\degree "},
                                                              {0xBA, "\\degree "},
                                                              {0x3C0, "\\pi "},
                                                              {0x3B8, "\\theta "},
                                                              {0x3B1, "\\alpha "},
                                                              {0x3B2, "\\beta "},
                                                              {0x221A, "\\sqrt "},
                                                              {0x221E, "\\infty "},
                                                              {0x2264, "\\le "},
                                                              {0x2265, "\\ge "},
                                                              {0x2260, "\\ne "},
                                                              {0x222A, "\\cup "},
                                                              {0x2229, "\\cap "},
                                                              {0x2208, "\\in "},
                                                              {0xB1, "\\pm "},
                                                              {0x2248, "\\approx "},
                                                              {0x2205, "\\emptyset "},
                                                              {0xB2, "^2"},
                                                              {0xB3, "^3"},
                                                              {0xBC, "\\frac{1}{4}"},
                                                              {0xBD, "\\frac{1}{2}"},
                                                              {0xBE, "\\frac{3}{4}"},
                                                              {0x2153, "\\frac{1}{3}"},
                                                              {0x2154, "\\frac{2}{3}"},
                                                              {0xA3, ""},
                                                              {0x20AC, ""},
                                                              {0xA5, ""},
                                                              {0x20B9, ""},
                                                              {0x200B, ""},
                                                              {0x200C, ""},
                                                              {0x200D, ""},
                                                              {0x2060, ""},
                                                              {0xFEFF, ""},
                                                              {0xFF05, "%"},
                                                              {0x2032, "'"},
                                                              {0x2019, "'"},
                                                              {0x201C, "\""},
                                                              {0x201D, "\""}};

const char* unicode_sign(char32_t c) {
  const auto* found = std::find_if(std::begin(kUnicodeSigns), std::end(kUnicodeSigns),
                                   [&](const auto& sign) { return sign.first == c; });
  return found == std::end(kUnicodeSigns) ? nullptr : found->second;
}

bool is_unicode_space(char32_t c) {
  return c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 ||
         c == 0x202F || c == 0x205F || c == 0x3000 || (c >= 9 && c <= 13);
}

}  // namespace

std::string in_ascii(std::string_view text) {
  std::string plain;
  for (std::size_t at = 0; at < text.size();) {
    const Utf8Step step = utf8_step(text, at);
    const char32_t c = step.code_point;
    if (!step.valid) {
      at += step.bytes;
      continue;
    }
    if (c >= 0xFF10 && c <= 0xFF19) {
      plain += static_cast<char>('0' + (c - 0xFF10));
    } else if (is_unicode_space(c)) {
      plain += ' ';
    } else if (const char* sign = unicode_sign(c)) {
      plain += sign;
    } else if (c >= 0x20) {  // the signs of answer_latex.h are controls
      plain += text.substr(at, step.bytes);
    }
    at += step.bytes;
  }
  return plain;
}

}  // namespace foresight
