#include "data/answer_number.h"

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <utility>

#include "data/answer_signs.h"

namespace foresight {
namespace {

/// An exact number; operations give no value if the result would not fit.
struct Rational {
  std::int64_t over = 0, under = 1;
};

std::optional<Rational> reduced(__int128 over, __int128 under) {
  if (under == 0) return std::nullopt;
  if (under < 0) {
    over = -over;
    under = -under;
  }
  __int128 a = over < 0 ? -over : over, b = under;
  while (b != 0) a = std::exchange(b, a % b);
  constexpr __int128 kMost = INT64_MAX;
  over /= a;
  under /= a;
  if (over > kMost || over < -kMost || under > kMost) return std::nullopt;
  return Rational{static_cast<std::int64_t>(over), static_cast<std::int64_t>(under)};
}

/// Reads a number from left to right.
class NumberReader {
 public:
  explicit NumberReader(std::string_view text) : text_(text) {}

  /// The value, if the whole text is one number.
  std::optional<Rational> whole() {
    auto number = signed_number();
    return number && at_ == text_.size() ? number : std::nullopt;
  }
  /// The place after the longest number at the start of the text; 0 if it starts with none.
  std::size_t prefix() { return signed_number() ? at_ : 0; }

 private:
  bool take(char c) {
    if (at_ >= text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  void skip_blanks() {
    while (take(' ')) {
    }
  }
  bool digit_at(std::size_t place) const { return place < text_.size() && is_digit(text_[place]); }

  std::optional<Rational> signed_number() {
    const bool negative = take('-');
    if (!negative) take('+');
    skip_blanks();
    auto value = unsigned_number();
    if (value && negative) value->over = -value->over;
    return value;
  }

  std::optional<Rational> unsigned_number() {
    const auto first = decimal();
    if (!first) return std::nullopt;
    if (const auto power = raised(*first)) return power;
    if (const auto scaled = scaled_by_power(*first)) return scaled;
    if (const auto mixed = mixed_number(*first)) return mixed;
    return divided(*first);
  }

  /// "1/2" of a number that was read; the number itself where no whole divisor follows.
  std::optional<Rational> divided(const Rational& over) {
    const std::size_t before = at_;
    if (!take('/')) return over;
    const bool negative = take('-');
    const auto under = decimal();
    if (!under) {
      at_ = before;
      return over;
    }
    const __int128 top = static_cast<__int128>(over.over) * under->under,
                   bottom = static_cast<__int128>(over.under) * under->over;
    return reduced(negative ? -top : top, bottom);
  }

  /// Reads "2 1/3"; if that does not follow, it returns no value and reads nothing.
  std::optional<Rational> mixed_number(const Rational& units) {
    const std::size_t before = at_;
    if (units.under == 1 && take(' ')) {
      const auto over = decimal();
      if (over && over->under == 1 && take('/')) {
        const auto under = decimal();
        if (under && under->under == 1 && under->over > over->over)
          return reduced(static_cast<__int128>(units.over) * under->over + over->over, under->over);
      }
    }
    at_ = before;
    return std::nullopt;
  }

  /// Reads the power of a whole number: "10^6", "2^{-3}"; if none follows, it returns no value.
  std::optional<Rational> raised(const Rational& base) {
    const std::size_t before = at_;
    const auto exponent = base.under == 1 ? small_exponent() : std::nullopt;
    std::optional<Rational> power;
    if (exponent) {
      __int128 product = 1;
      for (int i = 0; i < std::abs(*exponent) && product <= INT64_MAX; ++i) product *= base.over;
      if (product <= INT64_MAX) power = *exponent < 0 ? reduced(1, product) : reduced(product, 1);
    }
    if (!power) at_ = before;
    return power;
  }

  /// An exponent is in braces or has one digit: "2^10" is 2^1 and a 0 in LaTeX.
  std::optional<int> small_exponent() {
    if (!take('^')) return std::nullopt;
    const bool braces = take('{');
    const bool negative = braces && take('-');
    int exponent = 0;
    std::size_t digits = 0;
    for (; digit_at(at_) && digits < 3; ++digits) exponent = exponent * 10 + (text_[at_++] - '0');
    if (digits == 0 || digit_at(at_) || (braces ? !take('}') : digits > 1)) return std::nullopt;
    return negative ? -exponent : exponent;
  }

  /// Reads "e-3", "*10^{-3}"; if that does not follow, it returns no value and reads nothing.
  std::optional<Rational> scaled_by_power(const Rational& factor) {
    const std::size_t before = at_;
    const auto power = power_of_ten();
    if (!power || *power > 18 || *power < -18) {
      at_ = before;
      return std::nullopt;
    }
    __int128 scale = 1;
    for (std::int64_t i = 0; i < std::abs(*power); ++i) scale *= 10;
    return *power < 0 ? reduced(factor.over, scale * factor.under)
                      : reduced(factor.over * scale, factor.under);
  }

  std::optional<std::int64_t> power_of_ten() {
    bool braces = false;
    if (!take('e') && !take('E')) {
      skip_blanks();
      if (!take('*')) return std::nullopt;
      skip_blanks();
      if (!take('1') || !take('0') || !take('^')) return std::nullopt;
      braces = take('{');
    }
    const bool negative = take('-');
    if (!negative) take('+');
    if (!digit_at(at_)) return std::nullopt;
    std::int64_t power = 0;
    while (digit_at(at_) && power < 100) power = power * 10 + (text_[at_++] - '0');
    if (braces && !take('}')) return std::nullopt;
    return negative ? -power : power;
  }

  /// "1 234": a blank before exactly three digits.
  bool separates_thousands(std::size_t digits_before) const {
    return text_[at_] == ' ' && digits_before <= 3 && digit_at(at_ + 1) && digit_at(at_ + 2) &&
           digit_at(at_ + 3) && !digit_at(at_ + 4);
  }

  /// Digits, with a point and blanks between thousands.
  std::optional<Rational> decimal() {
    __int128 over = 0, under = 1;
    constexpr __int128 kMost = static_cast<__int128>(INT64_MAX) * 1'000'000;
    std::size_t digits = 0, run = 0;
    bool point = false;
    for (; at_ < text_.size(); ++at_) {
      const char c = text_[at_];
      if (is_digit(c)) {
        if (over > kMost || under > kMost) return std::nullopt;
        over = over * 10 + (c - '0');
        if (point) under *= 10;
        ++digits;
        ++run;
      } else if (c == '.' && !point && (digits > 0 || digit_at(at_ + 1))) {
        point = true;
      } else if (!point && digits > 0 && separates_thousands(run)) {
        run = 0;
      } else {
        break;
      }
    }
    if (digits == 0) return std::nullopt;
    return point ? repeating(over, under) : reduced(over, under);
  }

  /// A decimal over / under with the digits that repeat behind it: "0.1\overline{6}" is 1/6.
  std::optional<Rational> repeating(__int128 over, __int128 under) {
    constexpr std::string_view kOpen = "\\overline{";
    constexpr std::size_t kMostDigits = 9;
    if (!text_.substr(at_).starts_with(kOpen)) return reduced(over, under);
    const std::size_t first = at_ + kOpen.size(), end = std::min(text_.find('}', first), text_.size());
    if (end == text_.size() || end == first || end - first > kMostDigits) return std::nullopt;
    __int128 period = 0, nines = 0;
    for (const char c : text_.substr(first, end - first)) {
      if (!is_digit(c)) return std::nullopt;
      period = period * 10 + (c - '0');
      nines = nines * 10 + 9;
    }
    at_ = end + 1;
    return reduced(over * nines + period, under * nines);
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

std::optional<std::string> written(const std::optional<Rational>& number) {
  if (!number) return std::nullopt;
  std::string text = std::to_string(number->over);
  if (number->under != 1) text += "/" + std::to_string(number->under);
  return text;
}

}  // namespace

std::optional<std::string> exact_number(std::string_view text) {
  return written(NumberReader(text).whole());
}

std::optional<std::string> product_of(std::string_view one, std::string_view two) {
  const auto first = NumberReader(one).whole(), second = NumberReader(two).whole();
  if (!first || !second) return std::nullopt;
  return written(reduced(static_cast<__int128>(first->over) * second->over,
                         static_cast<__int128>(first->under) * second->under));
}

std::size_t number_prefix(std::string_view text) {
  return NumberReader(text).prefix();
}

}  // namespace foresight
