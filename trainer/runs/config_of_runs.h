// The keys in which the configs of several runs differ.
#pragma once

#include <string>
#include <vector>

#include "trainer/runs/run_facts.h"

namespace foresight {

/// A key with its value in each run, as YAML; empty for a run whose config cannot be read.
struct KeyOfRuns {
  std::string key;
  std::vector<std::string> values;
};

/// Every key of which two runs have different values, in the order of the declarations. `output` is left
/// out: it names the run.
std::vector<KeyOfRuns> keys_that_differ(const std::vector<RunFacts>& runs);

}  // namespace foresight
