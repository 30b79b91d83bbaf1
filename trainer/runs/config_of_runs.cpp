#include "trainer/runs/config_of_runs.h"

#include <algorithm>
#include <map>

#include "trainer/config/declare.h"
#include "trainer/config/load.h"

namespace foresight {

std::vector<KeyOfRuns> keys_that_differ(const std::vector<RunFacts>& runs) {
  const auto first = std::find_if(runs.begin(), runs.end(), [](const RunFacts& run) { return run.config; });
  if (first == runs.end()) return {};
  std::map<const Key*, std::string> values_of_first;
  std::vector<std::map<const Key*, std::string>> changed(runs.size());  // a run's values unlike the first's
  for (std::size_t run = 0; run < runs.size(); ++run) {
    if (!runs[run].config) continue;
    for (const KeyDifference& difference : config_differences(*first->config, *runs[run].config)) {
      values_of_first[difference.key] = difference.before;
      changed[run][difference.key] = difference.after;
    }
  }
  std::vector<KeyOfRuns> keys;
  for (const Section& section : config_sections()) {
    for (const Key& key : section.keys) {
      const auto common = values_of_first.find(&key);
      if (common == values_of_first.end() || key.dotted() == "output") continue;
      KeyOfRuns row{key.dotted(), {}};
      for (std::size_t run = 0; run < runs.size(); ++run) {
        const auto own = changed[run].find(&key);
        row.values.push_back(!runs[run].config           ? ""
                             : own == changed[run].end() ? common->second
                                                         : own->second);
      }
      keys.push_back(std::move(row));
    }
  }
  return keys;
}

}  // namespace foresight
