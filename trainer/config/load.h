// From YAML to Config and back.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "trainer/config/config.h"

namespace foresight {

/// Reads `file` after the file that its `base` names (relative to it; bases may have bases), then `set_files`
/// (parts of a config in the same form), then `overrides` ("supervised.steps=50", values in YAML syntax),
/// each on top of what came before; fills defaults, expands ${NAME} and a leading ~/ in paths, checks types,
/// ranges and cross-field rules. Paths stay as written (relative to the working folder). Throws one
/// Error(kConfig) that lists EVERY fault: unknown key (with file, line and nearest known key), missing
/// required key, wrong type, out of range, broken rule, malformed override, a base that cannot be read or
/// leads back to itself.
Config load_config(const std::filesystem::path& file, const std::vector<std::string>& overrides = {},
                   const std::vector<std::filesystem::path>& set_files = {});

/// A config that to_yaml() wrote, by this version or an earlier one: a key that it does not name is newer,
/// and has the value of what the program did then. Throws as load_config().
Config load_written_config(const std::filesystem::path& file);

/// The effective config as YAML, every key with its value; load_config of it gives the same Config.
std::string to_yaml(const Config& config);

struct Key;

/// A key whose value differs between two configs; the values as YAML.
struct KeyDifference {
  const Key* key = nullptr;
  std::string before, after;

  /// "supervised.steps: 10 -> 20"
  std::string text() const;
};

/// Each key whose value differs, in the order of the declarations.
std::vector<KeyDifference> config_differences(const Config& before, const Config& after);

/// docs/configuration.md, from the same declarations.
std::string configuration_markdown();

/// A config to start from: every key with its help, the required ones with example values and `output:
/// runs/NAME`, all others commented out at their defaults. It loads as it is.
std::string starting_yaml(const std::string& name);

/// Dotted names of all keys (for shell completion and tests).
std::vector<std::string> config_keys();

}  // namespace foresight
