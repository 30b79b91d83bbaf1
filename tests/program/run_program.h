// The real binary in a process of its own.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace foresight {

/// What a call of the program left behind.
struct ProgramResult {
  int exit_code = -1;  ///< -1 when a signal ended it
  std::string out;     ///< stdout
  std::string err;     ///< stderr

  /// The lines of stderr that hold `word`.
  std::vector<std::string> lines_with(const std::string& word) const;
};

/// What the call finds around it.
struct ProgramLimits {
  std::map<std::string, std::string> environment = {};  ///< variables to set
  std::optional<std::uint64_t> file_bytes =
      {};                        ///< a file that grows beyond it fails to write, as on a full disk
  std::vector<int> closed = {};  ///< of the descriptors 0, 1 and 2
};

/// Runs build/foresight with `arguments` from the repository's root; stdin is empty.
ProgramResult run_program(const std::vector<std::string>& arguments, const ProgramLimits& limits = {});

}  // namespace foresight
