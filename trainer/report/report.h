// A run's results as one page for a browser, and as CSV.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "trainer/report/metrics_rows.h"

namespace foresight {

/// What the page shows besides the evaluation; each may be empty and is then left out.
struct ReportCurves {
  std::vector<MetricsRow> supervised, grpo;
};

/// The page for an evaluation (docs/evaluation.md). It is self-contained: no scripts, fonts or pictures from
/// elsewhere, and readable without scripts. `title` and `config_yaml` (shown folded; may be empty) are plain
/// text. `file` names the evaluation in messages. Throws Error(kInput) naming file and key for a value of
/// another type than the schema's.
std::string report_html(const nlohmann::json& evaluation, const ReportCurves& curves,
                        const std::string& title, const std::string& config_yaml = "",
                        const std::string& file = "evaluation.json");

/// One row for each (budget, window, policy) of the main budget and every entry of the sweep, with every
/// number, flag and text of the policy; those of "difference" are named like "difference.loss_rise". The
/// format is RFC 4180: CRLF, quotes where needed. Numbers read back as the same doubles. Throws Error(kInput)
/// as report_html does.
std::string evaluation_csv(const nlohmann::json& evaluation, const std::string& file = "evaluation.json");

/// Reads run_folder/evaluation.json and, where they exist, supervised/metrics.jsonl, grpo/metrics.jsonl and
/// config.yaml; writes report.html and report.csv there and returns the page's path. Throws Error(kInput) for
/// a missing evaluation or a damaged file, before anything is written; Error(kResource) when it cannot write.
std::filesystem::path write_report(const std::filesystem::path& run_folder);

}  // namespace foresight
