#include "trainer/base/distinct_names.h"

#include <algorithm>
#include <cstddef>

namespace foresight {

std::vector<std::string> distinct_names(const std::vector<std::string>& paths) {
  if (paths.empty()) return {};
  const std::string& first = paths.front();
  std::size_t shared = first.rfind('/') + 1;  // 0 where there is no folder
  if (paths.size() == 1 && shared > 1) shared = first.rfind('/', shared - 2) + 1;
  for (const std::string& path : paths) {
    const std::size_t same = static_cast<std::size_t>(
        std::mismatch(first.begin(), first.end(), path.begin(), path.end()).first - first.begin());
    // The start of the part in which the two begin to differ.
    if (same < shared) shared = same == 0 ? 0 : first.rfind('/', same - 1) + 1;
  }
  std::vector<std::string> names;
  for (const std::string& path : paths) names.push_back(path.substr(shared));
  return names;
}

}  // namespace foresight
