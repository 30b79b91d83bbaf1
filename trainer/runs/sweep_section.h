// Loss rise against budget of several runs in one plot.
#pragma once

#include <string>
#include <vector>

#include "trainer/report/policy_style.h"
#include "trainer/runs/run_facts.h"

namespace foresight {

/// The plot, its numbers as a table and a legend of the runs, as HTML. It shows the runs that were evaluated
/// at more than one budget, and names the others; empty where no run was. `runs[i]` has the style
/// `run_styles[i]`.
///
/// A rule that all these runs measured alike is one grey line. Any other policy is one line per run in the
/// run's colour; of rules that the runs measured differently, the plot only shows the best of each run.
std::string sweep_section(const std::vector<RunFacts>& runs, const std::vector<PolicyStyle>& run_styles,
                          const PolicyStyles& policies);

}  // namespace foresight
