#include "trainer/report/report.h"

#include <system_error>

#include "trainer/base/error.h"
#include "trainer/base/files.h"
#include "trainer/base/json.h"
#include "trainer/base/text.h"
#include "trainer/config/run_layout.h"
#include "trainer/report/evaluation_data.h"
#include "trainer/report/html.h"
#include "trainer/report/page.h"
#include "trainer/report/sections.h"
#include "trainer/report/tables.h"

namespace foresight {
namespace {

constexpr int kMaxDepth = 16;

std::string read_if_there(const std::filesystem::path& path) {
  std::error_code error;
  return std::filesystem::exists(path, error) ? read_file(path) : "";
}

/// "runs/a" and "runs/a/" are both named "a"; "." by the folder it is.
std::string name_of(const std::filesystem::path& folder) {
  std::error_code error;
  std::filesystem::path full = std::filesystem::absolute(folder, error).lexically_normal();
  if (!full.has_filename()) full = full.parent_path();
  return full.filename().string();
}

}  // namespace

std::string report_html(const nlohmann::json& evaluation, const ReportCurves& curves,
                        const std::string& title, const std::string& config_yaml, const std::string& file) {
  const EvaluationData data = read_evaluation(evaluation, file);
  const std::vector<PageSection> sections = {
      {"results", "Policies side by side", results_section(data)},
      {"budget", "Loss rise against budget", budget_section(data)},
      {"context", "Loss rise against context", context_section(data)},
      {"tails", "Tails of the loss rise", tails_section(data)},
      {"held", "Which entries are held", held_section(data)},
      {"recall", "Recall of planted facts", recall_section(data)},
      {"training", "Training curves", training_section(curves.supervised, curves.grpo)},
      {"heads", "Attention kept by layer and head", heads_section(data)},
      {"tokens", "What was kept of one trace", tokens_section(data)},
      {"generation", "Generated answers", generation_section(data)},
      {"cost", "Memory and speed", cost_section(data)},
      {"training-cost", "Cost of training", training_cost_section(data)}};
  std::string foot;
  if (!config_yaml.empty()) {
    foot +=
        folded("The run's configuration", concat("<pre tabindex=\"0\">", escape_html(config_yaml), "</pre>"));
  }
  foot += "<p>Made by Foresight from this run\u2019s evaluation.json and metrics.</p>\n";
  return html_page(title, facts_line(data), sections, foot);
}

std::filesystem::path write_report(const std::filesystem::path& run_folder) {
  const RunFolder run{run_folder};
  const std::filesystem::path source = run.evaluation_file();
  std::error_code error;
  if (!std::filesystem::exists(source, error)) {
    throw Error(ErrorKind::kInput, concat(source.string(),
                                          ": the file is not there; run `foresight evaluate` with this run's "
                                          "configuration first"));
  }
  const nlohmann::json evaluation = parse_json_strictly(read_file(source), source.string(), kMaxDepth);
  const auto rows_of = [&](Stage stage) {
    const std::filesystem::path metrics = run.metrics_file(stage);
    return parse_metrics(read_if_there(metrics), metrics.string());
  };
  const ReportCurves curves{.supervised = rows_of(Stage::kSupervised), .grpo = rows_of(Stage::kGrpo)};
  const std::string html = report_html(evaluation, curves, "Foresight report: " + name_of(run_folder),
                                       read_if_there(run.config_file()), source.string());
  const std::string csv = evaluation_csv(evaluation, source.string());
  write_file_atomically(run.report_table(), csv);
  write_file_atomically(run.report_page(), html);
  return run.report_page();
}

}  // namespace foresight
