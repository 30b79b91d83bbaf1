// Rules between keys, beyond each key's own type and bounds.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "trainer/config/config.h"

namespace foresight {

/// One rule.
struct Rule {
  std::vector<std::string> keys;  ///< dotted names; a fault is shown at the first of them that the user set
  std::string description;        ///< what must hold and why, for documentation
  /// One message for each way in which the config breaks the rule; none when it holds.
  std::function<std::vector<std::string>(const Config&)> check;
};

/// All rules; they are checked together, each only when none of its keys has a fault of its own.
const std::vector<Rule>& config_rules();

}  // namespace foresight
