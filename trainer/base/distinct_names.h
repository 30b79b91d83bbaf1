// Short names of paths that stand in one table.
#pragma once

#include <string>
#include <vector>

namespace foresight {

/// `paths` without the folders that all of them begin with, so that what differs is seen; a file's own name
/// always stays. One path alone keeps its last folder. The order stays.
std::vector<std::string> distinct_names(const std::vector<std::string>& paths);

}  // namespace foresight
