// Whether a page's elements nest properly.
#pragma once

#include <set>
#include <string>
#include <vector>

namespace foresight {

/// The first element that is closed out of turn or left open; empty when the page nests properly.
inline std::string nesting_fault(const std::string& html) {
  static const std::set<std::string> kVoid = {"meta", "input", "br", "!DOCTYPE"};
  std::vector<std::string> open;
  for (std::size_t at = html.find('<'); at != std::string::npos; at = html.find('<', at + 1)) {
    const std::size_t end = html.find('>', at);
    if (end == std::string::npos) return "an unfinished tag";
    const bool closes = html[at + 1] == '/';
    const std::size_t from = at + (closes ? 2 : 1);
    const std::string name = html.substr(from, html.find_first_of(" >/\n", from) - from);
    if (closes) {
      if (open.empty() || open.back() != name) return "</" + name + "> at " + std::to_string(at);
      open.pop_back();
    } else if (html[end - 1] != '/' && !kVoid.contains(name)) {
      open.push_back(name);
      if (name == "script" || name == "style") at = html.find("</" + name, end) - 1;
    }
  }
  return open.empty() ? "" : "<" + open.back() + "> left open";
}

}  // namespace foresight
