#include "data/answers.h"

#include "tests/catch.h"

namespace foresight {
namespace {

TEST_CASE("answers: the last box counts, with its braces, else the last mark") {
  CHECK(final_answer("so \\boxed{3}, no: \\boxed{\\frac{1}{2}}.") == "\\frac{1}{2}");
  CHECK(final_answer("48/2 = 24\n#### 72\n") == "72");
  CHECK(final_answer("#### 1\n#### 2 \nQuestion: next") == "2");
  CHECK(final_answer("\\boxed{ 7 } #### 8") == "7");
  CHECK(final_answer("\\boxed{7 #### 8") == "8");  // a box that never closes is none
  CHECK_FALSE(final_answer("the answer is 7"));
  CHECK(final_answer("####") == "");
}

TEST_CASE("answers: numbers match in any usual spelling") {
  for (const auto& [one, two] :
       {std::pair{"25", "025"}, std::pair{"1,234,567", "1234567"}, std::pair{"$18", "18"},
        std::pair{"\\$18.00", "18"}, std::pair{"$x+1$", "x+1"}, std::pair{" -3.50", "-3.5"},
        std::pair{"+4", "4"}, std::pair{"0.5", ".5"}, std::pair{"12.", "12"},
        std::pair{"\\text{Evelyn}", "Evelyn"}, std::pair{"0", "-0.0"}, std::pair{"10\\,000", "10000"}}) {
    INFO(one << " and " << two);
    CHECK(same_answer(one, two));
  }
  for (const auto& [one, two] :
       {std::pair{"25", "250"}, std::pair{"1,2", "12"}, std::pair{"3", "-3"}, std::pair{"", ""},
        std::pair{"1.5", "15"}, std::pair{"100", "1"}, std::pair{"1,23", "123"}, std::pair{"A", "a"}}) {
    INFO(one << " and " << two);
    CHECK_FALSE(same_answer(one, two));
  }
}

}  // namespace
}  // namespace foresight
