// Short names for the paths of one table.
#pragma once

#include <string>
#include <vector>

namespace foresight {

/// `paths` without the leading folders that all of them share, so that the differences show; a file's own
/// name always stays. One path alone keeps its last folder. The order stays.
std::vector<std::string> distinct_names(const std::vector<std::string>& paths);

}  // namespace foresight
