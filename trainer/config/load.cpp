#include "trainer/config/load.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <fstream>
#include <map>
#include <set>
#include <system_error>

#include "trainer/base/error.h"
#include "trainer/base/files.h"
#include "trainer/base/text.h"
#include "trainer/config/declare.h"
#include "trainer/config/names.h"
#include "trainer/config/rules.h"
#include "trainer/config/values.h"
#include "trainer/config/yaml_tree.h"

namespace foresight {
namespace {

constexpr std::size_t kMostBytes = std::size_t{1} << 20;
constexpr const char* kBaseKey = "base";
constexpr std::size_t kMostBases = 8;

// At most kMostBytes and a block, so that a huge or endless file is noticed without being read.
std::string read_limited(const std::filesystem::path& file) {
  errno = 0;
  std::ifstream stream(file, std::ios::binary);
  std::string content;
  std::array<char, 4096> block{};
  while (stream && content.size() <= kMostBytes) {
    stream.read(block.data(), block.size());
    content.append(block.data(), static_cast<std::size_t>(stream.gcount()));
  }
  if (stream.bad() || (stream.fail() && !stream.eof())) {
    throw Error(ErrorKind::kConfig,
                concat("cannot read the configuration ", file.string(), ": ",
                       errno == 0 ? "not a readable file" : std::generic_category().message(errno)));
  }
  if (content.size() > kMostBytes) {
    throw Error(ErrorKind::kConfig,
                concat(file.string(), ":1: expected a configuration of at most 1 MiB, got more"));
  }
  return content;
}

// The known key that a mistaken name most likely meant. A key's own name in another section counts as exact.
std::string nearest_key(const std::string& section, const std::string& name) {
  std::vector<std::string> near;
  for (const Section& known : config_sections()) {
    if (known.name == section) {
      for (const Key& key : known.keys) near.push_back(key.name);
    }
    if (section.empty() && !known.name.empty()) near.push_back(known.name);
  }
  for (const std::string& dotted : config_keys()) {
    if (dotted.ends_with("." + name)) return dotted;
  }
  const std::string nearest = nearest_name(name, near);
  return section.empty() ? nearest : section + "." + nearest;
}

const Section* find_section(const std::string& name) {
  for (const Section& section : config_sections()) {
    if (!name.empty() && section.name == name) return &section;
  }
  return nullptr;
}

// Reads a file and overrides into a Config and collects every fault on the way.
class Reader {
 public:
  /// Reads a file after the files that it is based on. Throws Error(kConfig) when it cannot be read.
  void read_file(const std::filesystem::path& file) {
    const std::string text = read_limited(file);
    if (main_file_.empty()) main_file_ = file;
    open_files_.push_back(file);
    read_document(text);
    open_files_.pop_back();
  }

  void read_override(const std::string& text) {
    const std::string origin = concat("override ", one_line(text), ": ");
    const std::size_t equals = text.find('=');
    const std::string name = text.substr(0, equals);
    if (equals == std::string::npos || name.empty()) {
      faults_.push_back(origin + "expected section.key=value");
      return;
    }
    const Key* key = find_key(name);
    if (key == nullptr) {
      faults_.push_back(origin + unknown_override(name));
      return;
    }
    const auto parsed = parse_yaml(text.substr(equals + 1));
    if (const auto* fault = std::get_if<YamlFault>(&parsed)) {
      faults_.push_back(origin + fault->message);
      faulty_.insert(name);
      return;
    }
    set_value(*key, std::get<YamlNode>(parsed), origin);
  }

  /// The config, or one Error with all faults.
  Config finish() {
    // Of a file that could not be read, every key would be reported missing.
    if (!unreadable_) {
      check_required();
      check_rules();
    }
    if (!faults_.empty()) throw Error(ErrorKind::kConfig, join(faults_, "\n"));
    return config_;
  }

 private:
  /// "file:line: " of the file that is being read, afterwards of the main one.
  std::string at(int line) const {
    return concat((open_files_.empty() ? main_file_ : open_files_.back()).string(), ":", line, ": ");
  }

  void read_document(const std::string& text) {
    const auto parsed = parse_yaml(text);
    if (const auto* fault = std::get_if<YamlFault>(&parsed)) {
      faults_.push_back(at(fault->line) + fault->message);
      unreadable_ = true;
      return;
    }
    const YamlNode& root = std::get<YamlNode>(parsed);
    if (root.kind == YamlNode::Kind::kNothing) return;
    if (root.kind != YamlNode::Kind::kMap) {
      faults_.push_back(at(root.line) + "expected sections of keys (name: value), got something else");
      unreadable_ = true;
      return;
    }
    for (std::size_t i = 0; i < root.keys.size(); ++i) {
      if (is_base(root.keys[i])) read_base(root.items[i]);
    }
    read_map("", root);
  }

  static bool is_base(const YamlNode& name) {
    return name.kind == YamlNode::Kind::kScalar && name.text == kBaseKey;
  }

  /// The file that the present one is based on: read first, so that the present one has the last word.
  void read_base(const YamlNode& value) {
    const auto fail = [&](const std::string& message) {
      faults_.push_back(concat(at(value.line), kBaseKey, ": ", message));
      unreadable_ = true;  // what the base sets would be reported missing
    };
    if (value.kind != YamlNode::Kind::kScalar || value.text.empty()) {
      return fail("expected the path of another config, relative to this file");
    }
    if (open_files_.size() > kMostBases) return fail(concat("more than ", kMostBases, " files in a chain"));
    try {
      const auto base = open_files_.back().parent_path() / expand_path(value.text);
      std::error_code error;
      if (!std::filesystem::is_regular_file(base, error)) {
        return fail(concat("cannot read ", one_line(base.string()), ": no such file"));
      }
      for (const auto& open : open_files_) {
        if (std::filesystem::equivalent(open, base, error)) {
          return fail(concat(one_line(base.string()), " leads back to itself"));
        }
      }
      read_file(base);
    } catch (const Error& fault) {
      fail(fault.what());
    }
  }

  // The keys of the whole file (`section` empty) or of one section.
  void read_map(const std::string& section, const YamlNode& map) {
    std::map<std::string, int> first_lines;
    for (std::size_t i = 0; i < map.keys.size(); ++i) {
      const YamlNode& name = map.keys[i];
      if (name.kind != YamlNode::Kind::kScalar) {
        faults_.push_back(at(name.line) + "expected the name of a key, got something else");
        continue;
      }
      const std::string dotted = section.empty() ? name.text : section + "." + name.text;
      const auto [first, is_first] = first_lines.emplace(name.text, name.line);
      if (!is_first) {
        faults_.push_back(at(name.line) + concat(one_line(dotted), " is set twice, first in line ",
                                                 first->second, "; remove one"));
        continue;
      }
      read_entry(section, name, dotted, map.items[i]);
    }
  }

  void read_entry(const std::string& section, const YamlNode& name, const std::string& dotted,
                  const YamlNode& value) {
    if (section.empty() && is_base(name)) return;  // read_base() has read it
    if (section.empty() && find_section(name.text) != nullptr) {
      section_origins_[name.text] = at(name.line);
      // A section whose keys are all commented out is an empty one.
      if (value.kind == YamlNode::Kind::kMap) return read_map(name.text, value);
      if (value.kind == YamlNode::Kind::kNothing) return;
      faults_.push_back(at(value.line) +
                        concat(one_line(dotted), ": expected a section of keys, got a value or a list"));
      return;
    }
    // A dotted name in the file is found among the keys, but it does not stand in its section.
    const Key* key = name.text.find('.') == std::string::npos ? find_key(dotted) : nullptr;
    if (key != nullptr) return set_value(*key, value, at(name.line));
    const bool misplaced = section.empty() && find_key(name.text) != nullptr;
    faults_.push_back(at(name.line) +
                      (misplaced ? concat(one_line(dotted),
                                          " is not a known key here; dotted names are for overrides: write ",
                                          name.text.substr(name.text.find('.') + 1), " under ",
                                          name.text.substr(0, name.text.find('.')), ":")
                                 : concat(one_line(dotted), " is not a known key; the nearest is ",
                                          nearest_key(section, name.text))));
  }

  void set_value(const Key& key, const YamlNode& node, const std::string& origin) {
    const std::string dotted = key.dotted();
    origins_[dotted] = origin;
    const ParsedValue parsed = parse_value(key, node);
    if (parsed.value) {
      key.set(config_, *parsed.value);
      return;
    }
    faulty_.insert(dotted);
    faults_.push_back(concat(origin, dotted, ": ", parsed.fault));
  }

  static std::string unknown_override(const std::string& name) {
    if (const Section* section = find_section(name)) {
      return concat(name, " is a section; expected a key in it, for example ",
                    section->keys.front().dotted());
    }
    const std::size_t dot = name.find('.');
    const std::string section = dot == std::string::npos ? "" : name.substr(0, dot);
    const bool known_section = section.empty() || find_section(section) != nullptr;
    const std::string nearest =
        known_section ? nearest_key(section, name.substr(dot + 1)) : nearest_name(name, config_keys());
    return concat(one_line(name), " is not a known key; the nearest is ", nearest);
  }

  void check_required() {
    for (const Section& section : config_sections()) {
      for (const Key& key : section.keys) {
        if (!key.required || origins_.contains(key.dotted())) continue;
        const auto origin = section_origins_.find(section.name);
        faults_.push_back((origin == section_origins_.end() ? at(1) : origin->second) +
                          concat(key.dotted(), " is missing and has no default; set it: ", key.help));
        faulty_.insert(key.dotted());
      }
    }
  }

  void check_rules() {
    for (const Rule& rule : config_rules()) {
      if (std::ranges::any_of(rule.keys, [this](const std::string& key) { return faulty_.contains(key); }))
        continue;
      std::string origin = at(1);
      for (const std::string& key : rule.keys) {
        if (!origins_.contains(key)) continue;
        origin = origins_.at(key);
        break;
      }
      for (const std::string& message : rule.check(config_)) faults_.push_back(origin + message);
    }
  }

  std::filesystem::path main_file_;                ///< the first that was read
  std::vector<std::filesystem::path> open_files_;  ///< being read, each included by the one before
  Config config_;
  std::vector<std::string> faults_;
  std::set<std::string> faulty_;  ///< keys whose value is not what the user meant
  std::map<std::string, std::string>
      origins_;  ///< where each key was last set: "file:line: " or "override ...: "
  std::map<std::string, std::string> section_origins_;
  bool unreadable_ = false;
};

}  // namespace

Config load_config(const std::filesystem::path& file, const std::vector<std::string>& overrides,
                   const std::vector<std::filesystem::path>& set_files) {
  Reader reader;
  reader.read_file(file);
  for (const auto& set_file : set_files) reader.read_file(set_file);
  for (const std::string& text : overrides) reader.read_override(text);
  return reader.finish();
}

Config load_written_config(const std::filesystem::path& file) {
  Reader reader;
  for (const Section& section : config_sections()) {
    for (const Key& key : section.keys) {
      if (!key.before_it_was.empty()) reader.read_override(concat(key.dotted(), "=", key.before_it_was));
    }
  }
  reader.read_file(file);
  return reader.finish();
}

std::vector<std::string> config_keys() {
  std::vector<std::string> names;
  for (const Section& section : config_sections()) {
    for (const Key& key : section.keys) names.push_back(key.dotted());
  }
  return names;
}

}  // namespace foresight
