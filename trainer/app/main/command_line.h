// What the command line can say; parsing is CLI11's.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace foresight {

/// Everything that the command line can say.
struct Arguments {
  std::string config;
  std::vector<std::filesystem::path> set_files, folders;
  std::vector<std::string> overrides;
  std::string policy = "grpo", output, prompt, path, page, runs, name, shell, attention;
  std::int64_t budget = 0, window = 0, ranks = 0;
  std::uint64_t seed = 1;
  bool released = false, raw = false, stored_precision = false, json = false, quiet = false;
  std::string log_level = "info";
};

/// Declares all commands with their options, help and examples; parsing fills `arguments`.
void declare_commands(CLI::App& app, Arguments& arguments);

/// Replaces a leading `~/` in all paths of `arguments`, which a shell leaves in --out=~/x. Throws
/// Error(kConfig) as expand_home() does.
void expand_homes(Arguments& arguments);
/// The message about the first of `words` (the command line without the program) that stands in the place of
/// a command but is none; it names the nearest command. Empty when all commands are known.
std::string unknown_command(const CLI::App& app, const std::vector<std::string>& words);

}  // namespace foresight
