// `foresight runs`: a line for each run.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "trainer/runs/run_facts.h"

namespace foresight {

/// The columns of a list of runs, behind that of the runs' names; none where there are no runs.
std::vector<std::string> runs_headings(const std::vector<RunFacts>& runs);
/// The cells of a run in these columns.
std::vector<std::string> run_cells(const RunFacts& run);

/// A table with a line for each run, and below it the faults. Ends with a line end; `directory` is named
/// where there are no runs.
std::string runs_text(const std::vector<RunFacts>& runs, const std::string& directory);

/// The same as an array (docs/runs.md has its members). What a run does not have is null.
nlohmann::ordered_json runs_json(const std::vector<RunFacts>& runs);

/// "2026-11-25T21:30:00Z"; empty for 0.
std::string date_text(std::int64_t seconds_since_1970);

}  // namespace foresight
