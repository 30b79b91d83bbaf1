#include "data/answer_units.h"

#include <algorithm>
#include <map>
#include <set>
#include <vector>

#include "data/answer_signs.h"

namespace foresight {
namespace {

/// Other names of known units. "min" and "minute" are the same unit, "cm" and "m" are not.
const std::map<std::string, std::string, std::less<>>& units() {
  static const std::map<std::string, std::string, std::less<>> names = [] {
    std::map<std::string, std::string, std::less<>> made;
    const std::vector<std::vector<std::string>> groups = {{"mm", "millimeter", "millimetre"},
                                                          {"cm", "centimeter", "centimetre"},
                                                          {"m", "meter", "metre"},
                                                          {"km", "kilometer", "kilometre"},
                                                          {"in", "inch", "inches"},
                                                          {"ft", "foot", "feet"},
                                                          {"yd", "yard"},
                                                          {"mi", "mile"},
                                                          {"s", "sec", "second"},
                                                          {"min", "minute"},
                                                          {"h", "hr", "hour"},
                                                          {"day"},
                                                          {"week"},
                                                          {"month"},
                                                          {"yr", "year"},
                                                          {"mg", "milligram"},
                                                          {"g", "gram"},
                                                          {"kg", "kilogram"},
                                                          {"lb", "pound"},
                                                          {"oz", "ounce"},
                                                          {"ml", "mL", "milliliter", "millilitre"},
                                                          {"l", "L", "liter", "litre"},
                                                          {"mi/h", "mph"},
                                                          {"km/h", "kmh", "kph"},
                                                          {"cent"},
                                                          {"dollar", "USD", "usd", "bucks"},
                                                          {"euro", "EUR"},
                                                          {"degree", "deg"},
                                                          {"radian", "rad"},
                                                          {"percent", "pct"},
                                                          {"J", "joule"},
                                                          {"N", "newton"},
                                                          {"W", "watt"},
                                                          {"V", "volt"},
                                                          {"Hz", "hertz"},
                                                          {"K", "kelvin"},
                                                          {"unit"}};
    for (const auto& group : groups) {
      for (const std::string& name : group) {
        made[name] = group.front();
        if (name.size() > 2) made[name + "s"] = group.front();
      }
    }
    made["lbs"] = "lb";
    made["hrs"] = "h";
    return made;
  }();
  return names;
}

/// Words after a number that change it ("million"), or that say that there is more to it ("or more").
bool changes_number(const std::string& word) {
  static const std::set<std::string, std::less<>> words = {
      "am",      "pm",      "a.m.",   "p.m.",  "a.m",   "p.m",  "thousand", "million", "billion",  "trillion",
      "hundred", "dozen",   "dozens", "or",    "and",   "to",   "if",       "when",    "for",      "mod",
      "more",    "less",    "plus",   "minus", "times", "half", "halves",   "thirds",  "quarters", "base",
      "choose",  "through", "until",  "is",    "not",   "pi",   "squared",  "cubed"};
  return words.contains(word);
}

/// Letters and other signs of units.
bool is_unit_sign(char c) {
  return is_letter(c) || std::string_view(" ./-*%").find(c) != std::string_view::npos || c == kTextBegins ||
         c == kTextEnds || c == kDegree;
}

/// Whether the text has only signs of units, with squares and cubes.
bool may_be_unit(std::string_view text) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool power =
        text[i] == '^' && i > 0 && i + 1 < text.size() && (text[i + 1] == '2' || text[i + 1] == '3');
    if (power) {
      ++i;
    } else if (!is_unit_sign(text[i])) {
      return false;
    }
  }
  return true;
}

std::vector<std::string> words_of(std::string_view text) {
  std::vector<std::string> words;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find_first_of(" /*", begin), text.size());
    std::string word;
    for (const char c : text.substr(begin, end - begin)) {
      if (c != kDegree) word += c;
    }
    while (!word.empty() && word.back() == '.') word.pop_back();
    if (!word.empty()) words.push_back(word);
    begin = end + 1;
  }
  return words;
}

/// The canonical name of a known unit, without its power; empty for others.
std::string known_unit(const std::string& word) {
  const auto found = units().find(std::string_view(word).substr(0, word.find('^')));
  return found == units().end() ? "" : found->second;
}

bool any_changes_number(const std::vector<std::string>& words) {
  return std::any_of(words.begin(), words.end(), [](std::string word) {
    std::transform(word.begin(), word.end(), word.begin(), lower);
    return changes_number(word) || word[0] == '^';
  });
}

/// "km/h" of "km/h", "km per hour"; empty for others, or if one of the two is not known.
std::string name_of_rate(std::vector<std::string> words, std::string_view text) {
  const bool divided = std::count(text.begin(), text.end(), '/') == 1 && words.size() == 2;
  const bool in_words = words.size() == 3 && words[1] == "per";
  if (!divided && !in_words) return "";
  const std::string over = known_unit(words.front()), under = known_unit(words.back());
  const bool power =
      words.front().find('^') != std::string::npos || words.back().find('^') != std::string::npos;
  return over.empty() || under.empty() || power ? "" : over + "/" + under;
}

/// "cm^2" of "cm^2", "square centimeters"; empty if a unit is composed of several, or not known.
std::string name_of(const std::vector<std::string>& words, std::string_view text) {
  if (std::string rate = name_of_rate(words, text); !rate.empty()) return rate;
  const bool named_power =
      words.size() == 2 && (words[0] == "square" || words[0] == "cubic" || words[0] == "sq");
  if (words.size() != 1 && !named_power) return "";
  std::string name = known_unit(words.back());
  if (name.empty()) return name;
  if (words[0] == "cubic" || words.back().ends_with("^3")) return name + "^3";
  return named_power || words.back().ends_with("^2") ? name + "^2" : name;
}

}  // namespace

std::optional<std::string> unit_name(std::string_view text, bool behind_number) {
  if (text.empty() || !may_be_unit(text)) return std::nullopt;
  std::string plain;
  for (const char c : text) {
    if (c != kTextBegins && c != kTextEnds) plain += c;
  }
  const std::vector<std::string> words = words_of(plain);
  if (words.empty()) {
    if (plain.find_first_of("/*.") != std::string::npos) return std::nullopt;
    return plain.find(kDegree) == std::string::npos ? "" : "degree";
  }
  if (words.size() == 1 && words[0] == "%") return "percent";
  if (any_changes_number(words)) return std::nullopt;
  const bool marked = plain.size() < text.size(), separated = text.front() == ' ' || text.front() == kDegree;
  const bool known = !known_unit(words[0]).empty();
  if (!behind_number && !known) return std::nullopt;
  if (!marked) {  // "5x", "5 x" and "5m" may be products
    const bool word = separated && words[0].size() >= 3 && plain.find('^') == std::string::npos;
    if (known ? !separated && words[0].size() < 2 : !word) return std::nullopt;
  }
  return name_of(words, plain);
}

}  // namespace foresight
