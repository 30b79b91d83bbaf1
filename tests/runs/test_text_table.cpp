#include "trainer/runs/text_table.h"

#include <cmath>
#include <limits>

#include "tests/catch.h"

namespace foresight {
namespace {

TEST_CASE("text table: columns are as wide as their widest cell, and no line ends in spaces") {
  CHECK(text_table({{"run"}, {"loss", TextAlignment::kRight}, {"model"}},
                   {{"a", "0.5", "x"}, {"longer", "10.25", ""}}) ==
        "run      loss  model\n"
        "a         0.5  x\n"
        "longer  10.25\n");
  CHECK(text_table({{"run"}, {"x"}}, {}) == "run  x\n");
}

TEST_CASE("text table: a letter of several bytes takes one column") {
  CHECK(text_table({{"n"}, {"m"}}, {{"gr\u00f6\u00dfe", "1"}, {"small", "2"}}) ==
        "n      m\n"
        "gr\u00f6\u00dfe  1\n"
        "small  2\n");
}

TEST_CASE("text table: numbers have six digits, losses four places, missing ones a dash") {
  CHECK(number_text(0.123456789) == "0.123457");
  CHECK(number_text(-3) == "-3");
  CHECK(number_text(1e-7) == "1e-07");
  CHECK(difference_text(0.5) == "+0.5");
  CHECK(difference_text(-0.5) == "-0.5");
  CHECK(loss_text(0.71236, false) == "0.7124");
  CHECK(loss_text(0.0475, true) == "+0.0475");
  CHECK(loss_text(-0.0475, true) == "-0.0475");
  CHECK(loss_text(1e300, false).size() == 306);
  for (const auto& text : {number_text(NAN), difference_text(NAN), loss_text(NAN, true)}) CHECK(text == "-");
}

}  // namespace
}  // namespace foresight
