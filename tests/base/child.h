// A piece of code in a process of its own, with its stderr caught.
#pragma once

#include <functional>
#include <map>
#include <string>

namespace foresight {

struct ChildResult {
  std::string stderr_text;
  int exit_status = 0;    ///< -1 when a signal ended it
  int signal_number = 0;  ///< 0 when it ended by itself
};

/// Forks, sets the environment variables (an empty value unsets one), connects stderr to a pipe or to a
/// terminal of `terminal_columns` columns, and runs `body`; exit status 0 unless it throws.
ChildResult run_child(const std::function<void()>& body,
                      const std::map<std::string, std::string>& environment = {}, int terminal_columns = 0);

}  // namespace foresight
