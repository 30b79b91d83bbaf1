// Several runs on one page for a browser: their policies, curves and configs side by side.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "trainer/runs/run_facts.h"

namespace foresight {

/// The page. It is self-contained, as a run's report is. `title` is plain text; where it is empty, the title
/// names the runs. The first run is the one that others are compared with.
std::string comparison_html(const std::vector<RunFacts>& runs, const std::string& title = "");

/// Writes the page of `runs` to `file`. Throws Error(kResource) when it cannot write.
void write_comparison(const std::vector<RunFacts>& runs, const std::filesystem::path& file);

/// Writes directory/overview.html with all runs in and below `directory`, and returns its path. Throws
/// Error(kInput) when `directory` is not a folder or holds no run, Error(kResource) when it cannot write.
std::filesystem::path write_overview(const std::filesystem::path& directory);

}  // namespace foresight
