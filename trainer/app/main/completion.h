// Completion scripts of shells.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace foresight {

/// A script for bash (or zsh, through its emulation of bash's completion) that completes the commands and
/// options of `app`, files, and `config_keys` behind a command that reads a config.
std::string completion_script(const CLI::App& app, const std::vector<std::string>& config_keys,
                              const std::string& shell);

}  // namespace foresight
