#include "trainer/config/yaml_tree.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/mark.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <sstream>
#include <string_view>
#include <utility>

#include "trainer/base/text.h"

namespace foresight {
namespace {

constexpr std::size_t kDeepest = 8;

// Whether the quoted text that starts at `start` has its closing quote. yaml-cpp 0.7 takes the rest of the
// file for the text where it is missing, and so swallows the keys that follow.
bool is_closed(std::string_view text, std::size_t start) {
  const char quote = text[start];
  for (std::size_t i = start + 1; i < text.size(); ++i) {
    const bool escapes = quote == '"' ? text[i] == '\\' : text.substr(i, 2) == "''";
    if (escapes) {
      ++i;
    } else if (text[i] == quote) {
      return true;
    }
  }
  return false;
}

// What is valid YAML but not accepted here.
class Refused : public YAML::ParserException {
 public:
  using YAML::ParserException::ParserException;
};

// Builds the tree from the parser's events; an exception of the parser's own kind stops it at what is
// refused.
class TreeBuilder : public YAML::EventHandler {
 public:
  explicit TreeBuilder(std::string_view text) : text_(text) {}

  const YamlNode& root() const { return root_; }

  void OnDocumentStart(const YAML::Mark& mark) override {
    if (std::exchange(seen_document_, true)) refuse(mark, "expected one YAML document, got a second one");
  }
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    check(mark, "?", anchor);
    attach(make(YamlNode::Kind::kNothing, mark));
  }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
    check(mark, "?", /*anchor=*/1);  // its anchor was refused before
  }

  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    check(mark, tag, anchor);
    const auto start = static_cast<std::size_t>(mark.pos);
    if (start < text_.size() && (text_[start] == '"' || text_[start] == '\'') && !is_closed(text_, start)) {
      refuse(mark, "not valid YAML: the quote that opens here is never closed");
    }
    YamlNode node = make(YamlNode::Kind::kScalar, mark);
    node.text = value;
    node.quoted = tag == "!";
    attach(std::move(node));
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    open(YamlNode::Kind::kList, mark, tag, anchor);
  }
  void OnSequenceEnd() override { close(); }

  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    open(YamlNode::Kind::kMap, mark, tag, anchor);
  }
  void OnMapEnd() override { close(); }

 private:
  [[noreturn]] static void refuse(const YAML::Mark& mark, const std::string& message) {
    throw Refused(mark, message);
  }

  // "?" is the tag of plain nodes, "!" that of quoted scalars.
  static void check(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor) {
    if (anchor != YAML::NullAnchor)
      refuse(mark, "YAML anchors (&name) are not accepted; write the value out");
    if (!tag.empty() && tag != "?" && tag != "!") {
      refuse(mark, concat("YAML tags are not accepted, got ", one_line(tag), "; remove it"));
    }
  }

  static YamlNode make(YamlNode::Kind kind, const YAML::Mark& mark) {
    YamlNode node;
    node.kind = kind;
    node.line = mark.line + 1;
    return node;
  }

  void open(YamlNode::Kind kind, const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor) {
    check(mark, tag, anchor);
    if (unfinished_.size() >= kDeepest) {
      refuse(mark, concat("expected nesting of at most ", kDeepest, " levels, got a deeper one"));
    }
    unfinished_.push_back(make(kind, mark));
  }

  void close() {
    YamlNode node = std::move(unfinished_.back());
    unfinished_.pop_back();
    attach(std::move(node));
  }

  void attach(YamlNode node) {
    if (unfinished_.empty()) {
      root_ = std::move(node);
      return;
    }
    YamlNode& owner = unfinished_.back();
    const bool is_key = owner.kind == YamlNode::Kind::kMap && owner.keys.size() == owner.items.size();
    (is_key ? owner.keys : owner.items).push_back(std::move(node));
  }

  std::string_view text_;
  YamlNode root_;
  std::vector<YamlNode> unfinished_;  // the lists and maps that are open, outermost first
  bool seen_document_ = false;
};

/// The line, near where the parser gave up, that is indented by a tab; 0 where there is none.
int line_indented_by_tab(std::string_view text, int near) {
  int line = 1;
  while (!text.empty()) {
    const std::string_view content = text.substr(0, text.find('\n'));
    const std::size_t first = content.find_first_not_of(" \t\r");
    const bool tab = content.substr(0, first).find('\t') != std::string_view::npos;
    const bool comment = first != std::string_view::npos && content[first] == '#';
    if (tab && !comment && std::abs(line - near) <= 1) return line;
    text.remove_prefix(std::min(text.size(), content.size() + 1));
    ++line;
  }
  return 0;
}

}  // namespace

std::variant<YamlNode, YamlFault> parse_yaml(const std::string& file_text) {
  // yaml-cpp's positions start after a byte order mark.
  const std::string text = file_text.starts_with("\xef\xbb\xbf") ? file_text.substr(3) : file_text;
  std::istringstream stream(text);
  TreeBuilder builder(text);
  try {
    YAML::Parser parser(stream);
    while (parser.HandleNextDocument(builder)) {
    }
  } catch (const Refused& fault) {
    return YamlFault{fault.mark.line + 1, fault.msg};
  } catch (const YAML::Exception& fault) {
    const int line = fault.mark.is_null() ? 1 : fault.mark.line + 1;
    if (const int tab = line_indented_by_tab(text, line); tab > 0)
      return YamlFault{tab, "not valid YAML: the line is indented by a tab; YAML only takes spaces"};
    return YamlFault{line, concat("not valid YAML: ", one_line(fault.msg))};
  }
  return builder.root();
}

}  // namespace foresight
