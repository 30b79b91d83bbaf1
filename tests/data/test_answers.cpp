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

/// As tasks score a text.
bool is_right(const std::string& text, const std::string& gold) {
  const auto found = final_answer(text);
  return found && same_answer(*found, final_answer(gold).value_or(gold));
}

// Pairs written by hand: most are how models and the answers of GSM8K, MATH and AIME write the same.
TEST_CASE("answers: the same meaning in LaTeX, Unicode or words is right") {
  for (const auto& [text, gold] :
       {std::pair{R"(so \boxed{18})", R"(#### 18)"},
        std::pair{R"(\boxed{9{,}500})", R"(#### 9500)"},
        std::pair{R"(\boxed{9\,500})", R"(#### 9500)"},
        std::pair{R"(\boxed{18 \text{ cm}})", R"(18)"},
        std::pair{R"(\boxed{18\ \text{dollars}})", R"(18)"},
        std::pair{R"(\boxed{5.00})", R"(5)"},
        std::pair{R"(\boxed{\frac{1}{2}})", R"(\frac{1}{2})"},
        std::pair{R"(\boxed{\frac12})", R"(\frac{1}{2})"},
        std::pair{R"(\boxed{0.5})", R"(\frac{1}{2})"},
        std::pair{R"(\boxed{016})", R"(16)"},
        std::pair{R"(\boxed 5)", R"(5)"},
        std::pair{R"(\boxed{\boxed{5}})", R"(5)"},
        std::pair{R"(\boxed{−5})", R"(-5)"},
        std::pair{R"(\boxed{(3, 4)})", R"((3,4))"},
        std::pair{R"(\boxed{\text{(A)}})", R"(A)"},
        std::pair{R"(\boxed{\mathrm{A}})", R"(A)"},
        std::pair{R"(\boxed{33} then \boxed{)", R"(33)"},
        std::pair{R"(#### $18.)", R"(#### 18)"},
        std::pair{R"(#### 18 eggs)", R"(#### 18)"},
        std::pair{R"(\boxed{18.0}$.)", R"(18)"},
        std::pair{R"(\boxed{1e3})", R"(1000)"},
        std::pair{R"(\boxed{70,000})", R"(#### 70000)"},
        std::pair{R"(\boxed{\frac{3}{4}})", R"(0.75)"},
        std::pair{R"(\boxed{3\sqrt{2}})", R"(3\sqrt2)"},
        std::pair{R"(\boxed{20 \textrm{ miles}})", R"(20)"},
        std::pair{R"(\boxed{5:30})", R"(5:30)"},
        std::pair{R"(\boxed{\displaystyle 5})", R"(5)"},
        std::pair{R"(\boxed{£18})", R"(18)"},
        std::pair{R"(#### 1,234.50)", R"(1234.5)"},
        std::pair{R"(\boxed{5})", R"(x=5)"},
        std::pair{R"(\boxed{x = 5})", R"(5)"},
        std::pair{R"(\boxed{50\%})", R"(50)"},
        std::pair{R"(\boxed{90^\circ})", R"(90)"},
        std::pair{R"(\boxed{90^{\circ}})", R"(90)"},
        std::pair{R"(\boxed{90°})", R"(90^\circ)"},
        std::pair{R"(\boxed{\dfrac{3}{4}})", R"(\frac{3}{4})"},
        std::pair{R"(\boxed{\tfrac34})", R"(3/4)"},
        std::pair{R"(\boxed{-\frac{1}{2}})", R"(\frac{-1}{2})"},
        std::pair{R"(\boxed{\frac{\sqrt{3}}{2}})", R"(\dfrac{\sqrt3}{2})"},
        std::pair{R"(\boxed{\frac{3\pi}{4}})", R"(3\pi/4)"},
        std::pair{R"(\boxed{\left( 3, \frac{\pi}{2} \right)})", R"((3,\frac{\pi}{2}))"},
        std::pair{R"(\boxed{\{3, 1, 2\}})", R"(\{1,2,3\})"},
        std::pair{R"(\boxed{5 \text{ cm}})", R"(5 centimeters)"},
        std::pair{R"(\boxed{25 \text{ cm}^2})", R"(25)"},
        std::pair{R"(\boxed{25 \mathrm{~cm}^{2}})", R"(25)"},
        std::pair{R"(\boxed{10\pi \text{ cm}^2})", R"(10\pi)"},
        std::pair{R"(\boxed{3\sqrt{2}\text{ inches}})", R"(3\sqrt2)"},
        std::pair{R"(\boxed{60 \text{ mph}})", R"(60)"},
        std::pair{R"(\boxed{60 \text{ km/h}})", R"(60)"},
        std::pair{R"(\boxed{x^{2}})", R"(x^2)"},
        std::pair{R"(\boxed{1\frac{1}{2}})", R"(3/2)"},
        std::pair{R"(\boxed{1.5})", R"(1 1/2)"},
        std::pair{R"(\boxed{1,234.5})", R"(1234.5)"},
        std::pair{R"(\boxed{12,345,678})", R"(12345678)"},
        std::pair{R"(\boxed{1{,}234{,}567})", R"(1234567)"},
        std::pair{R"(\boxed{1,\!234})", R"(1234)"},
        std::pair{R"(\boxed{1 234})", R"(1234)"},
        std::pair{R"(\boxed{100, 200})", R"(100,200)"},
        std::pair{R"(\boxed{3, 4})", R"(3,4)"},
        std::pair{R"(\boxed{2 \text{ and } 3})", R"(2, 3)"},
        std::pair{R"(\boxed{x=2 \text{ or } x=3})", R"(2,3)"},
        std::pair{R"(\boxed{\text{Evelyn}})", R"(Evelyn)"},
        std::pair{R"(\boxed{\text{yes}})", R"(Yes)"},
        std::pair{R"(\boxed{\textbf{(B)}})", R"(B)"},
        std::pair{R"(\boxed{5} or \boxed{})", R"(5)"},
        std::pair{R"(\boxed{5} or \boxed{ }.)", R"(5)"},
        std::pair{R"(so $\boxed 5$.)", R"(5)"},
        std::pair{R"(so \boxed 18.)", R"(18)"},
        std::pair{R"(so \boxed{\text{£}18})", R"(18)"},
        std::pair{R"(\boxed\frac{1}{2}$)", R"(1/2)"},
        std::pair{R"(\boxed {7})", R"(7)"},
        std::pair{R"(\fbox{7})", R"(7)"},
        std::pair{R"(\boxed{\$1,250.00})", R"(1250)"},
        std::pair{R"(\boxed{6.02 \times 10^{23}})", R"(6.02 \times 10^{23})"},
        std::pair{R"(\boxed{3\times10^4})", R"(30000)"},
        std::pair{R"(\boxed{3 \cdot 10^{-2}})", R"(0.03)"},
        std::pair{R"(\boxed{(-\infty, 3]})", R"((-\infty,3])"},
        std::pair{R"(\boxed{x \in [1, 2]})", R"([1,2])"},
        std::pair{R"(\boxed{5:30 \text{ PM}})", R"(5:30 PM)"},
        std::pair{R"(#### **42**)", R"(42)"},
        std::pair{R"(\boxed{**42**})", R"(42)"},
        std::pair{R"(\boxed{42.})", R"(42)"},
        std::pair{R"(\boxed{3/6})", R"(1/2)"},
        std::pair{R"(\boxed{\frac{x+1}{2}})", R"((x+1)/2)"},
        std::pair{R"(\boxed{2\sqrt{3}})", R"(2√3)"},
        std::pair{R"(\boxed{–5})", R"(-5)"},
        std::pair{R"(\boxed{- 5})", R"(-5)"},
        std::pair{R"(\boxed{１２})", R"(12)"},
        std::pair{R"(\boxed{f(x) = 2x+1})", R"(2x+1)"},
        std::pair{R"(\boxed{(x,y)=(3,4)})", R"((3, 4))"},
        std::pair{R"(\boxed{3+4=7})", R"(7)"},
        std::pair{R"(\boxed{\begin{pmatrix} 1 & 2 \\ 3 & 4 \end{pmatrix}})",
                  R"(\begin{pmatrix}1&2\\3&4\end{pmatrix})"},
        std::pair{R"(\boxed{5\,\text{m/s}^2})", R"(5)"},
        std::pair{R"(\boxed{\text{18 dollars}})", R"(18)"},
        std::pair{R"(\boxed{72\text{ degrees}})", R"(72^\circ)"},
        std::pair{R"(\boxed{18\%})", R"(18 percent)"},
        std::pair{R"(\boxed{0.50})", R"(.5)"},
        std::pair{R"(\boxed{12 \text{ square feet}})", R"(12 \text{ ft}^2)"},
        std::pair{R"(\boxed{1,000,2})", R"(1000,2)"},
        std::pair{R"(\boxed{a+b})", R"(a + b)"},
        std::pair{R"(\boxed{$18})", R"(18)"},
        std::pair{R"(\boxed{USD 18})", R"(18)"},
        std::pair{R"(\boxed{\mathbf{7}})", R"(7)"},
        std::pair{R"(\boxed{\frac{18}{1}})", R"(18)"},
        std::pair{R"(\boxed{1234567890123456789012})", R"(1234567890123456789012)"},
        std::pair{R"(\boxed{\boxed{5})", R"(5)"},
        std::pair{R"(\boxed{5\} })", R"(5\})"},
        std::pair{R"(\boxed{25}\%)", R"(25)"},
        std::pair{R"(\boxed{A, C})", R"(A,C)"},
        std::pair{R"(\boxed{\pm 3})", R"(\pm3)"},
        std::pair{R"(\boxed{8 \frac{1}{2}})", R"(8.5)"},
        std::pair{R"(\boxed{0})", R"(-0)"},
        std::pair{R"(\boxed{\text{no solution}})", R"(No solution)"},
        std::pair{R"(\boxed{18\text{cm}})", R"(18)"},
        std::pair{R"(\boxed{18cm})", R"(18)"}}) {
    INFO(text << " and " << gold);
    CHECK(is_right(text, gold));
    CHECK(same_answer(final_answer(gold).value_or(gold), *final_answer(text)));
  }
}

TEST_CASE("answers: a different meaning is wrong") {
  for (const auto& [text, gold] :
       {std::pair{R"(\boxed{x=5})", R"(y=5)"},
        std::pair{R"(\boxed{50\%})", R"(0.5)"},
        std::pair{R"(\boxed{(1,2)})", R"((2,1))"},
        std::pair{R"(\boxed{[1,2)})", R"((1,2))"},
        std::pair{R"(\boxed{5 \text{ million}})", R"(5)"},
        std::pair{R"(\boxed{5 \text{ cm}})", R"(5 m)"},
        std::pair{R"(\boxed{5x})", R"(5)"},
        std::pair{R"(\boxed{5!})", R"(5)"},
        std::pair{R"(\boxed{2^{10}})", R"(2^10)"},
        std::pair{R"(\boxed{1 2})", R"(12)"},
        std::pair{R"(\boxed{1,2})", R"(12)"},
        std::pair{R"(\boxed{A})", R"(a)"},
        std::pair{R"(\boxed{5 \text{ PM}})", R"(5 AM)"},
        std::pair{R"(\boxed{0.333})", R"(1/3)"},
        std::pair{R"(\boxed{\frac{1}{x+1}})", R"(1/x+1)"},
        std::pair{R"(\boxed{\begin{pmatrix} 12 & 3 \end{pmatrix}})",
                  R"(\begin{pmatrix}1 \\ 23\end{pmatrix})"},
        std::pair{R"(\boxed{4,5,6})", R"(456)"},
        std::pair{R"(\boxed{})", R"()"},
        std::pair{R"(\boxed{9.500})", R"(9500)"},
        std::pair{R"(\boxed{7\text{ apples and }3\text{ pears}})", R"(7)"},
        std::pair{R"(\boxed{10 \text{ minutes}})", R"(10 hours)"},
        std::pair{R"(\boxed{1234567890123456789012})", R"(1234567890123456789013)"},
        std::pair{R"(\boxed{2\text{ hours }30\text{ minutes}})", R"(2)"}}) {
    INFO(text << " and " << gold);
    CHECK_FALSE(is_right(text, gold));
  }
}

// Choices with their text, lists in another order, both signs, matrices and powers.
TEST_CASE("answers: order, brackets and labels that say nothing do not matter") {
  for (const auto& [text, gold] :
       {std::pair{R"(\boxed{C})", R"(\textbf{(C)}\ 12)"},
        std::pair{R"(\boxed{\textbf{(C)}~12})", R"(12)"},
        std::pair{R"(\boxed{(C) 12})", R"((C)\ 12)"},
        std::pair{R"(\boxed{4, -2})", R"(-2,4)"},
        std::pair{R"(\boxed{\{4,-2\}})", R"(-2, 4)"},
        std::pair{R"(\boxed{x = 1 \text{ or } x = -1})", R"(\pm 1)"},
        std::pair{R"(\boxed{3 \pm \sqrt{2}})", R"(3+\sqrt2, 3-\sqrt2)"},
        std::pair{R"(\boxed{B \text{ and } A})", R"(A, B)"},
        std::pair{R"(\boxed{(1,+\infty) \cup (-\infty,-0.5)})", R"((-\infty,-\frac12)\bigcup(1,\infty))"},
        std::pair{R"(\boxed{\begin{pmatrix} 0.5 & 2 \\[2ex] 3 & 4 \\ \end{pmatrix}})",
                  R"(\begin{bmatrix}\frac12&2\\3&4\end{bmatrix})"},
        std::pair{R"(\boxed{\left(\begin{array}{c} 1 \\ 2 \end{array}\right)})",
                  R"(\begin{pmatrix}1\\2\end{pmatrix})"},
        std::pair{R"(\boxed{10^6})", R"(1,000,000)"},
        std::pair{R"(\boxed{2^{-3}})", R"(0.125)"},
        std::pair{R"(\boxed{\log_2 3})", R"(\log_{2}3)"},
        std::pair{R"(\boxed{5^{\text{th}}})", R"(5)"},
        std::pair{R"(#### The answer is 18)", R"(#### 18)"},
        std::pair{R"(\boxed{5:30 \text{ p.m.}})", R"(5:30 PM)"},
        std::pair{R"(\boxed{5\text{ mph}})", R"(5 miles per hour)"},
        std::pair{R"(\boxed{0.\overline{3}})", R"(\frac13)"},
        std::pair{R"(\boxed{2.1\overline{6}})", R"(\frac{13}{6})"},
        std::pair{R"(\boxed{-0.\overline{142857}})", R"(-1/7)"},
        std::pair{R"(\boxed{0.\overline{9}})", R"(1)"},
        std::pair{R"(\boxed{2516_8})", R"(2516_{8})"},
        std::pair{R"(\boxed{\overline{AB}})", R"(AB)"},
        std::pair{R"(\boxed{\frac14\pi})", R"(\frac{\pi}{4})"},
        std::pair{R"(\boxed{0.25\pi})", R"(\dfrac{1}{4} \cdot \pi)"},
        std::pair{R"(\boxed{-\frac{6\pi}{8}})", R"(-\frac34\pi)"},
        std::pair{R"(\boxed{\frac12\sqrt{3}})", R"(\frac{\sqrt3}{2})"},
        std::pair{R"(\boxed{1\pi})", R"(\pi)"}}) {
    INFO(text << " and " << gold);
    CHECK(is_right(text, gold));
    CHECK(same_answer(final_answer(gold).value_or(gold), *final_answer(text)));
  }
  for (const auto& [text, gold] :
       {std::pair{R"(\boxed{(D) 12})", R"((C) 12)"}, std::pair{R"(\boxed{(D)\ 12})", R"(C)"},
        std::pair{R"(\boxed{\pm 1})", R"(1)"}, std::pair{R"(\boxed{1,1,2})", R"(1,2)"},
        std::pair{R"(\boxed{f(2,1)})", R"(f(1,2))"},
        std::pair{R"(\boxed{\begin{pmatrix} a \\ b \end{pmatrix}})", R"(\begin{pmatrix} ab \end{pmatrix})"},
        std::pair{R"(\boxed{\begin{vmatrix} 1 \end{vmatrix}})", R"(\begin{pmatrix} 1 \end{pmatrix})"},
        std::pair{R"(\boxed{2^10})", R"(1024)"}, std::pair{R"(\boxed{10^{400}})", R"(10^{401})"},
        std::pair{R"(\boxed{0,500})", R"(500)"}, std::pair{R"(\boxed{5 \text{ m/s}})", R"(5 km/h)"},
        std::pair{R"(\boxed{5 \text{ mph}})", R"(5 km/h)"}, std::pair{R"(\boxed{0.3})", R"(0.\overline{3})"},
        std::pair{R"(\boxed{2516_8})", R"(2516)"}, std::pair{R"(\boxed{\frac{1}{4\pi}})", R"(\frac14\pi)"},
        std::pair{R"(\boxed{\frac{\pi}{4}})", R"(\frac{4}{\pi})"},
        std::pair{R"(\boxed{2\sqrt{3}})", R"(3\sqrt{2})"}}) {
    INFO(text << " and " << gold);
    CHECK_FALSE(is_right(text, gold));
  }
}

TEST_CASE("answers: a box that is empty or never closes is skipped, the one before it counts") {
  CHECK(final_answer(R"(\boxed{33} then \boxed{)") == "33");
  CHECK(final_answer(R"(\boxed{33} then \boxed{ })") == "33");
  CHECK(final_answer(R"(\boxed{} #### 4)") == "4");
  CHECK_FALSE(final_answer(R"(\boxed{})"));
  CHECK_FALSE(final_answer(R"(\boxedx 5)"));
  CHECK(final_answer(R"(\boxed{\{1, 2\}})") == R"(\{1, 2\})");
  CHECK(final_answer(R"(\(\boxed 5\).)") == "5");
  CHECK(final_answer(R"(\boxed (3, 4) is it)") == "(3, 4)");
}

TEST_CASE("answers: deep, long and damaged ones end") {
  for (const std::string part : {"(", "{", "\\frac", "\\boxed{", "\\sqrt{", "\\text{", "\\{", "^",
                                 "\\begin{array}{", "\\pm ", "\\cup(", "\xFF"}) {
    std::string text;
    while (text.size() < 100'000) text += part;
    final_answer(text);
    CHECK(same_answer(text, text));
    const std::string part_of_it = text.substr(0, 4000);  // short enough to be taken apart
    CHECK_NOTHROW(same_answer(part_of_it, part_of_it + "1"));
  }
}

}  // namespace
}  // namespace foresight
