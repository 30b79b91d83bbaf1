#include "data/answer_value.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "data/answer_latex.h"
#include "data/answer_number.h"
#include "data/answer_signs.h"
#include "data/answer_units.h"
#include "trainer/base/text.h"

namespace foresight {
namespace {

/// Without the spaces around it.
std::string_view unspaced(std::string_view text) {
  const std::size_t first = text.find_first_not_of(' ');
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(' ') - first + 1);
}

std::string without(std::string_view text, std::string_view letters) {
  std::string kept;
  for (const char c : text) {
    if (letters.find(c) == std::string_view::npos) kept += c;
  }
  return kept;
}

bool closes(char open, char close) {
  return (open == '(' || open == '[') && (close == ')' || close == ']');
}

/// Parts between commas outside brackets.
std::vector<std::string_view> items_of(std::string_view text) {
  std::vector<std::string_view> items;
  int depth = 0;
  std::size_t begin = 0;
  for (std::size_t i = 0; i <= text.size(); ++i) {
    if (i == text.size() || (depth == 0 && (text[i] == ',' || text[i] == ';'))) {
      items.push_back(unspaced(text.substr(begin, i - begin)));
      begin = i + 1;
      continue;
    }
    if (text[i] == '(' || text[i] == '[' || text[i] == '{') ++depth;
    if (text[i] == ')' || text[i] == ']' || text[i] == '}') --depth;
  }
  return items;
}

/// The content of matching brackets around the whole text; no value for any other text.
std::optional<std::string_view> inside(std::string_view text, std::size_t width) {
  int depth = 0;
  for (std::size_t i = 0; i + 1 < text.size(); ++i) {
    if (text[i] == '(' || text[i] == '[' || text[i] == '{') ++depth;
    if (text[i] == ')' || text[i] == ']' || text[i] == '}') --depth;
    if (depth == 0 && i + 1 >= width) return std::nullopt;  // closed before the end
  }
  return text.substr(width, text.size() - 2 * width);
}

/// Words are compared without their case; a single letter and words in capitals are names and keep it.
std::string canonical_words(std::string text) {
  const auto of_words = [](char c) { return is_letter(c) || c == '.' || c == '\''; };
  const auto small = [](char c) { return c >= 'a' && c <= 'z'; };
  if (text.size() > 1 && std::all_of(text.begin(), text.end(), of_words) &&
      std::any_of(text.begin(), text.end(), small))
    std::transform(text.begin(), text.end(), text.begin(), lower);
  return text;
}

/// A time's "am", "AM" and "a.m." are one.
void unify_half_of_day(std::string& text) {
  std::string end = without(text.substr(text.size() - std::min<std::size_t>(text.size(), 4)), ".");
  if (end.size() < 2) return;
  end = end.substr(end.size() - 2);
  std::transform(end.begin(), end.end(), end.begin(), lower);
  if (end != "am" && end != "pm") return;
  const std::size_t last = text.find_last_not_of(".aApPmM");
  if (last != std::string::npos && is_digit(text[last])) text = text.substr(0, last + 1) + end;
}

/// The place behind the \pi or \sqrt{..} at `at`; npos if neither begins there.
std::size_t end_of_factor(std::string_view text, std::size_t at) {
  constexpr std::string_view kPi = "\\pi", kRoot = "\\sqrt";
  const std::string_view rest = text.substr(at);
  if (rest.starts_with(kPi)) return at + kPi.size();
  if (!rest.starts_with(kRoot)) return std::string_view::npos;
  const std::size_t open = text.find('{', at);
  return open == std::string_view::npos ? open : braced(text, open).second;
}

/// The coefficient before \pi or \sqrt{..}: "\pi/4", "1/4*\pi" and "0.25\pi" are "1/4\pi". No value for
/// others.
std::optional<std::string> multiple_of_factor(std::string_view text) {
  const std::size_t at = text.find('\\');
  const std::size_t end = at == std::string_view::npos ? at : end_of_factor(text, at);
  if (end == std::string_view::npos) return std::nullopt;
  std::string_view before = unspaced(text.substr(0, at)), behind = unspaced(text.substr(end));
  if (before.ends_with('*')) before = unspaced(before.substr(0, before.size() - 1));
  if (!behind.empty() && (behind.front() != '/' || behind.find('/', 1) != std::string_view::npos))
    return std::nullopt;
  const bool alone = before.empty() || before == "-" || before == "+";
  const auto coefficient = product_of(alone ? concat(before, "1") : std::string(before), concat("1", behind));
  if (!coefficient) return std::nullopt;
  return concat(*coefficient, without(text.substr(at, end - at), " "));
}

std::string canonical_item(std::string_view text) {
  if (const auto number = exact_number(unspaced(text))) return *number;
  if (const auto multiple = multiple_of_factor(unspaced(text))) return *multiple;
  std::string kept;
  for (std::size_t i = 0; i < text.size(); ++i) {  // "1 2" is not "12"
    const bool between = text[i] == ' ' && !kept.empty() && is_digit(kept.back()) && i + 1 < text.size() &&
                         is_digit(text[i + 1]);
    const bool plus_in_front = text[i] == '+' && (kept.empty() || kept.back() == '(' || kept.back() == ',');
    if (!plus_in_front && (text[i] != ' ' || between)) kept += text[i];
  }
  unify_half_of_day(kept);
  const bool choice = kept.size() == 2 && is_letter(kept[0]) && kept[1] == ')';
  if (choice) kept.pop_back();
  return canonical_words(std::move(kept));
}

/// Of "3 \pm 1" the sum and the difference; of others the item.
std::vector<std::string> with_both_signs(std::string_view item) {
  constexpr std::string_view kBoth = "\\pm";
  const std::size_t at = item.find(kBoth), behind = at + kBoth.size();
  const bool one = at != std::string_view::npos && item.find(kBoth, behind) == std::string_view::npos;
  if (!one || (behind < item.size() && is_letter(item[behind]))) return {std::string(item)};
  const auto with = [&](const char* sign) {
    return concat(item.substr(0, at), sign, unspaced(item.substr(behind)));
  };
  return {with("+"), with("-")};
}

std::string joined_items(std::string_view text, bool sorted) {
  std::vector<std::string> items;
  for (const std::string_view item : items_of(text)) {
    const auto each = sorted ? with_both_signs(item) : std::vector<std::string>{std::string(item)};
    for (const std::string& one : each) items.push_back(canonical_value(one));
  }
  if (sorted) std::sort(items.begin(), items.end());
  return join(items, ",");
}

/// The intervals between \cup in one order.
std::string canonical_union(std::string_view text) {
  constexpr std::string_view kUnion = "\\cup";
  std::vector<std::string> parts;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find(kUnion, begin), text.size());
    parts.push_back(canonical_value(text.substr(begin, end - begin)));
    begin = end + kUnion.size();
  }
  std::sort(parts.begin(), parts.end());
  return join(parts, std::string(kUnion));
}

/// Removes separators of thousands, before exactly three digits. A comma in brackets separates items, and no
/// number with separators begins with 0.
std::string without_thousands(std::string_view text, Commas commas) {
  const auto digit_at = [&](std::size_t place) { return place < text.size() && is_digit(text[place]); };
  std::string out;
  std::size_t run = 0;
  int depth = 0;
  bool fraction = false, zero = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (is_digit(c) && run == 0 && (i == 0 || out.empty() || !is_digit(out.back()))) zero = c == '0';
    const bool separator = c == kDigitSeparator || (c == ',' && depth == 0 && commas == Commas::kThousands);
    const bool three = digit_at(i + 1) && digit_at(i + 2) && digit_at(i + 3) && !digit_at(i + 4);
    if (separator && three && run >= 1 && run <= 3 && !fraction && !zero) {
      run = 0;
      continue;
    }
    if (c == '(' || c == '[' || c == '{') ++depth;
    if (c == ')' || c == ']' || c == '}') --depth;
    fraction = c == '.' || (fraction && is_digit(c));
    run = is_digit(c) ? run + 1 : 0;
    out += c == kDigitSeparator ? ',' : c;
  }
  return out;
}

/// Letters of choices between commas and words: "A and (C)".
bool are_choices(std::string text) {
  for (const std::string_view word : {" and ", " or ", ",", "(", ")"}) {
    for (std::size_t at = text.find(word); at != std::string::npos; at = text.find(word))
      text.replace(at, word.size(), " ");
  }
  bool letter_before = false;
  for (const char c : text) {
    if (c != ' ' && (letter_before || c < 'A' || c > 'Z')) return false;
    letter_before = c != ' ';
  }
  return true;
}

/// " and " and " or " between values are commas.
std::string with_commas_for_words(std::string_view text) {
  std::string out(text);
  for (const std::string_view word : {" and ", " or "}) {
    std::string bare = without(out, kTextMarks);
    const bool of_values = std::any_of(bare.begin(), bare.end(), is_digit) || are_choices(bare);
    if (bare.find(word) == std::string::npos || !of_values) continue;
    out = bare;
    for (std::size_t at = out.find(word); at != std::string::npos; at = out.find(word, at)) {
      const bool comma =
          out.find_last_not_of(' ', at) != std::string::npos && out[out.find_last_not_of(' ', at)] == ',';
      out.replace(at, word.size(), comma ? " " : ", ");
    }
  }
  return out;
}

/// The place of the only "=" of an equation; npos if there is none, or several.
std::size_t equals_sign(std::string_view text) {
  const std::size_t at = text.find('=');
  if (at == std::string_view::npos || at == 0 || text.find('=', at + 1) != std::string_view::npos)
    return std::string_view::npos;
  return text[at - 1] == '<' || text[at - 1] == '>' || text[at - 1] == '!' ? std::string_view::npos : at;
}

/// A name: x, x_1, f(x), \theta, (x, y), words.
bool is_variable(std::string_view text) {
  if (text.empty() || text.size() > 40 || is_digit(text[0])) return false;
  const auto allowed = [](char c) {
    return is_letter(c) || is_digit(c) ||
           std::string_view("\\_{}'(), \"").find(c) != std::string_view::npos || c == kTextBegins ||
           c == kTextEnds || c == kDegree;
  };
  return std::all_of(text.begin(), text.end(), allowed) && std::any_of(text.begin(), text.end(), is_letter);
}

/// Splits "x = 5" and "x \in [1, 2]"; of "3 + 4 = 7" the value is 7.
std::pair<std::string_view, std::string_view> split_variable(std::string_view text) {
  constexpr std::string_view kIn = "\\in";
  if (const std::size_t at = text.find(kIn);
      at != std::string_view::npos && at > 0 && at + kIn.size() < text.size() &&
      !is_letter(text[at + kIn.size()]) && is_variable(unspaced(text.substr(0, at))))
    return {unspaced(text.substr(0, at)), unspaced(text.substr(at + kIn.size()))};
  const std::size_t at = equals_sign(text);
  if (at == std::string_view::npos) return {{}, text};
  const std::string_view left = unspaced(text.substr(0, at)), right = unspaced(text.substr(at + 1));
  if (right.empty()) return {{}, text};
  if (is_variable(left)) return {left, right};
  const bool arithmetic =
      std::none_of(left.begin(), left.end(), [](char c) { return is_letter(c) || c == ','; });
  return arithmetic ? std::pair<std::string_view, std::string_view>{{}, right}
                    : std::pair<std::string_view, std::string_view>{{}, text};
}

/// The same for "x = 2, x = 3".
std::pair<std::string, std::string> split_variables(const std::string& text) {
  const std::vector<std::string_view> items = items_of(text);
  std::string values;
  for (const std::string_view item : items) {
    const auto [variable, value] = split_variable(item);
    if (items.size() == 1 || variable.empty() || variable != split_variable(items[0]).first) {
      const auto [whole, rest] = split_variable(text);
      return {std::string(whole), std::string(rest)};
    }
    values += values.empty() ? value : concat(", ", value);
  }
  return {std::string(split_variable(items[0]).first), values};
}

/// Splits "(C) 12" and "\textbf{(C)}\ 12".
std::pair<std::string, std::string_view> split_choice(std::string_view text) {
  std::string_view rest = text;
  if (rest.starts_with(kTextBegins)) rest.remove_prefix(1);
  if (rest.size() < 4 || rest[0] != '(' || rest[1] < 'A' || rest[1] > 'J' || rest[2] != ')')
    return {"", text};
  const std::string choice(1, rest[1]);
  rest.remove_prefix(3);
  if (rest[0] != ' ' && rest[0] != kTextEnds) return {"", text};
  if (rest[0] == kTextEnds) rest.remove_prefix(1);
  rest = unspaced(rest);
  const bool listed = rest.empty() || rest[0] == ',' || rest[0] == ';' || rest[0] == '(' ||
                      rest.starts_with("and ") || rest.starts_with("or ") || rest[0] == kTextBegins;
  return listed ? std::pair<std::string, std::string_view>{"", text}
                : std::pair<std::string, std::string_view>{choice, rest};
}

/// The place where a unit begins after a value; the end if there is none.
std::pair<std::size_t, std::string> find_unit(std::string_view text) {
  const std::size_t number = number_prefix(text);
  if (number > 0 && number < text.size()) {
    if (const auto unit = unit_name(text.substr(number), /*behind_number=*/true)) return {number, *unit};
  }
  // A value that is more than a number: the last \text{} of it, or its degree sign.
  std::size_t mark = text.rfind(kTextBegins);
  if (const std::size_t degree = text.find(kDegree); mark == std::string_view::npos) mark = degree;
  if (mark != std::string_view::npos && mark > 0) {
    if (const auto unit = unit_name(text.substr(mark), /*behind_number=*/false)) return {mark, *unit};
  }
  return {text.size(), ""};
}

}  // namespace

std::string canonical_value(std::string_view text) {
  constexpr std::string_view kMatrix = "\\matrix[";
  const std::string plain = without(text, kTextMarks);
  const std::string_view value = unspaced(plain);
  if (value.starts_with(kMatrix) && value.ends_with("]]") && value.find(kMatrix, 1) == std::string_view::npos)
    return concat(kMatrix.substr(0, kMatrix.size() - 1), canonical_value(value.substr(kMatrix.size() - 1)));
  if (value.find("\\cup") != std::string_view::npos) return canonical_union(value);
  if (value.size() >= 4 && value.starts_with("\\{") && value.ends_with("\\}")) {
    if (const auto set = inside(value, 2)) return concat("\\{", joined_items(*set, /*sorted=*/true), "\\}");
  }
  if (value.size() >= 2 && closes(value.front(), value.back())) {
    if (const auto content = inside(value, 1)) {
      const std::string items = joined_items(*content, /*sorted=*/false);
      const bool choice = value.front() == '(' && items.size() == 1 && is_letter(items[0]);
      const bool matrix = items.starts_with(kMatrix) && items_of(items).size() == 1;
      return choice || matrix ? items : concat(value.front(), items, value.back());
    }
  }
  if (items_of(value).size() > 1 || with_both_signs(value).size() > 1)
    return concat("\\{", joined_items(value, /*sorted=*/true), "\\}");
  return canonical_item(value);
}

AnswerParts answer_parts(std::string_view plain, Commas commas) {
  AnswerParts parts;
  const auto [choice, answer] = split_choice(unspaced(plain));
  parts.choice = choice;
  const std::string listed = with_commas_for_words(without_thousands(answer, commas));
  const auto [variable, value] = split_variables(listed);
  const auto [end, unit] = find_unit(value);
  parts.unit = unit;
  parts.variable = without(variable, concat(kTextMarks, " "));
  parts.value = canonical_value(std::string_view(value).substr(0, end));
  return parts;
}

}  // namespace foresight
