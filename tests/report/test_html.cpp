#include "trainer/report/html.h"

#include <clocale>
#include <cmath>
#include <limits>

#include "tests/catch.h"

namespace foresight {
namespace {

TEST_CASE("report html: what could end text, an attribute or an element is escaped") {
  CHECK(escape_html("<b a=\"1\" c='2'>&amp;</b>") ==
        "&lt;b a=&quot;1&quot; c=&#39;2&#39;&gt;&amp;amp;&lt;/b&gt;");
  CHECK(escape_html("tab\tline\nä\u21B5") == "tab\tline\nä\u21B5");
  CHECK(escape_html(std::string("a\0b\x1b\x7f", 5)) == "a\uFFFDb\uFFFD\uFFFD");
}

TEST_CASE("report numbers: fixed digits, a true minus sign, no sign on zero") {
  CHECK(format_fixed(1.23456, 4) == "1.2346");
  CHECK(format_fixed(-0.5, 2) == "\u22120.50");
  CHECK(format_fixed(-0.00001, 4) == "0.0000");
  CHECK(format_fixed(1e17, 0) == "100000000000000000");
  CHECK(format_signed(0.0123, 4) == "+0.0123");
  CHECK(format_signed(-0.0123, 4) == "\u22120.0123");
  CHECK(format_signed(0.00001, 4) == "0.0000");
  CHECK(format_signed(0, 4) == "0.0000");
}

TEST_CASE("report numbers: a missing number is a dash") {
  const double missing = std::numeric_limits<double>::quiet_NaN();
  for (const std::string& text :
       {format_fixed(missing, 2), format_signed(missing, 2), format_percent(missing), format_tick(missing),
        format_count(missing), format_memory(missing)}) {
    CHECK(text == "\u2013");
  }
}

TEST_CASE("report numbers: shares, counts and memory") {
  CHECK(format_percent(0.034) == "3.4\u00A0%");
  CHECK(format_percent(1) == "100.0\u00A0%");
  CHECK(format_count(999) == "999");
  CHECK(format_count(11248) == "11\u202F248");
  CHECK(format_count(-1234567) == "\u22121\u202F234\u202F567");
  CHECK(format_memory(512) == "512\u00A0B");
  CHECK(format_memory(1536) == "1.50\u00A0KiB");
  CHECK(format_memory(23.0 * 1024 * 1024) == "23.0\u00A0MiB");
  CHECK(format_memory(5e17) == "454747\u00A0TiB");
}

TEST_CASE("report numbers: ticks have no more digits than they need") {
  CHECK(format_tick(0) == "0");
  CHECK(format_tick(1024) == "1024");
  CHECK(format_tick(0.001) == "0.001");
  CHECK(format_tick(0.1 + 0.2) == "0.3");
  CHECK(format_tick(-0.25) == "\u22120.25");
  CHECK(format_tick(123456) == "123456");
  CHECK(format_tick(0.0012344) == "0.001234");
  CHECK(format_tick(1e-7) == "1e-07");
}

TEST_CASE("report numbers: exact numbers read back as the same doubles") {
  for (const double value : {0.1, 1.0 / 3, 1e-300, 1.7116039619167702, -2.5e17})
    CHECK(std::stod(format_exact(value)) == value);
  CHECK(format_exact(0.1) == "0.1");
}

TEST_CASE("report numbers: the process's locale does not change them") {
  const std::string before = std::setlocale(LC_NUMERIC, nullptr);
  for (const char* locale : {"de_DE.UTF-8", "de_DE.utf8", "C.UTF-8"}) {
    if (std::setlocale(LC_NUMERIC, locale) != nullptr) break;
  }
  CHECK(format_fixed(1234.5, 1) == "1234.5");
  CHECK(format_exact(0.5) == "0.5");
  std::setlocale(LC_NUMERIC, before.c_str());
}

}  // namespace
}  // namespace foresight
