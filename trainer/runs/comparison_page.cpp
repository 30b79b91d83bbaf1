#include "trainer/runs/comparison_page.h"

#include <algorithm>
#include <system_error>

#include "trainer/base/distinct_names.h"
#include "trainer/base/error.h"
#include "trainer/base/files.h"
#include "trainer/base/text.h"
#include "trainer/report/curve_figure.h"
#include "trainer/report/html.h"
#include "trainer/report/page.h"
#include "trainer/report/tables.h"
#include "trainer/runs/config_of_runs.h"
#include "trainer/runs/list_runs.h"
#include "trainer/runs/paired_runs.h"
#include "trainer/runs/sweep_section.h"

namespace foresight {
namespace {

constexpr std::size_t kMostShownBytes = 400;  // of a config value or a path

/// A folder with its whole path and without a slash at its end: "." has a name then.
std::filesystem::path whole_path(const std::filesystem::path& folder) {
  std::error_code error;
  std::filesystem::path full = std::filesystem::absolute(folder, error).lexically_normal();
  return full.has_filename() ? full : full.parent_path();
}

/// How the runs are named and drawn: by what differs between their paths.
std::vector<PolicyStyle> styles_of(const std::vector<RunFacts>& runs) {
  std::vector<std::string> paths;
  for (const RunFacts& run : runs) paths.push_back(whole_path(run.folder).string());
  std::vector<PolicyStyle> styles;
  for (const std::string& name : distinct_names(paths))
    styles.push_back(run_style(styles.size(), one_line(name, kMostShownBytes)));
  return styles;
}

/// The page of some runs while it is made.
class Page {
 public:
  explicit Page(const std::vector<RunFacts>& runs) : runs_(runs), styles_(styles_of(runs)) {
    std::vector<std::string> policies;
    for (const RunFacts& run : runs) {
      if (!run.evaluation) continue;
      for (const BudgetResult* result : budgets_of(*run.evaluation)) {
        for (const PolicyMeasures& policy : result->policies) policies.push_back(policy.name);
      }
    }
    policies_ = PolicyStyles(policies);
  }

  std::string title() const;
  std::string lead() const;
  std::string runs_section() const;
  std::string policies_section() const;
  std::string budget_section() const { return sweep_section(runs_, styles_, policies_); }
  std::string training_section() const;
  std::string config_section() const;
  std::string faults_section() const;

 private:
  std::string name(std::size_t run) const { return styles_.at(run).name; }
  std::string names(const std::vector<std::size_t>& runs) const;
  std::string heading(const PolicyOfRuns& row, std::size_t runs) const;
  std::string difference_cell(const PolicyOfRuns& row, std::size_t usual, bool low_entropy) const;
  std::string budget_block(const BudgetOfRuns& budget) const;
  std::string budget_notes(const BudgetOfRuns& budget) const;
  std::string figure_of(Stage stage, CurveFigure what, const std::string& key, bool markers) const;
  std::string block_of(Stage stage, const std::string& heading, const std::string& figures) const;
  const std::vector<MetricsRow>& rows_of(std::size_t run, Stage stage) const;

  const std::vector<RunFacts>& runs_;
  std::vector<PolicyStyle> styles_;
  PolicyStyles policies_;
};

std::string Page::names(const std::vector<std::size_t>& runs) const {
  std::vector<std::string> all;
  for (const std::size_t run : runs) all.push_back(name(run));
  return join(all, ", ");
}

std::string Page::title() const {
  constexpr std::size_t kMostNames = 4;
  std::vector<std::string> all;
  for (std::size_t run = 0; run < std::min(kMostNames, runs_.size()); ++run) all.push_back(name(run));
  const std::string more =
      runs_.size() > kMostNames ? concat(" and ", runs_.size() - kMostNames, " more") : "";
  return concat("Foresight comparison: ", join(all, ", "), more);
}

std::string Page::lead() const {
  std::vector<std::size_t> without;
  for (std::size_t run = 0; run < runs_.size(); ++run) {
    if (!runs_[run].evaluation) without.push_back(run);
  }
  std::string text =
      concat("<p class=\"facts\"><span>runs <b>", runs_.size(), "</b></span>\n<span>evaluated <b>",
             runs_.size() - without.size(), "</b></span></p>\n");
  if (!without.empty())
    text += note(concat("No evaluation yet (`foresight evaluate` makes it): ", names(without), "."));
  return text;
}

/// As `foresight runs` lists them; the stages that have begun share a cell.
std::string Page::runs_section() const {
  const std::vector<std::string> listed = runs_headings(runs_);
  const std::size_t stages = runs_.empty() ? 0 : runs_.front().stages.size();
  std::vector<std::string> headings = {"run", "stages"};
  for (std::size_t column = stages; column < listed.size(); ++column)
    headings.push_back(escape_html(listed[column]));
  std::vector<TableRow> rows;
  for (std::size_t run = 0; run < runs_.size(); ++run) {
    const std::vector<std::string> cells = run_cells(runs_[run]);
    std::vector<std::string> begun;
    for (std::size_t stage = 0; stage < stages; ++stage) {
      if (runs_[run].stages[stage].progress != StageProgress::kAbsent)
        begun.push_back(concat(listed[stage], " ", cells[stage]));
    }
    rows.push_back(
        {style_heading(styles_[run]), {begun.empty() ? "\u2013" : escape_html(join(begun, ", "))}});
    for (std::size_t column = stages; column < cells.size(); ++column)
      rows.back().cells.push_back(cells[column] == "-" ? "\u2013" : escape_html(cells[column]));
  }
  return concat("<div class=\"words\">", html_table("Runs", headings, rows), "</div>\n");
}

/// The policy, and below it the runs that measured this; "all runs" where they did so without exception.
std::string Page::heading(const PolicyOfRuns& row, std::size_t runs) const {
  std::string text = escape_html(policies_.of(row.policy).name);
  if (row.runs.size() == runs && runs > 1) return text + "<span>all runs</span>";
  for (const std::size_t run : row.runs) text += concat("<span>", style_heading(styles_[run]), "</span>");
  return text;
}

/// `usual`: the run that the heading of the column names.
std::string Page::difference_cell(const PolicyOfRuns& row, std::size_t usual, bool low_entropy) const {
  if (!row.difference || (low_entropy && !row.difference->low_entropy)) return "\u2013";
  const Interval& interval = low_entropy ? *row.difference->low_entropy : row.difference->all;
  std::string text = interval_cell({.loss_rise = interval.value,
                                    .low = interval.low,
                                    .high = interval.high,
                                    .significant = interval.significant()});
  if (row.compared != usual) text += concat("<br><small>to ", escape_html(name(*row.compared)), "</small>");
  return text;
}

std::string Page::budget_notes(const BudgetOfRuns& budget) const {
  const std::string first = name(budget.runs.front());
  std::string text;
  if (budget.runs.size() == 1) text += concat("Only ", first, " was evaluated at this budget and window. ");
  for (const auto& [run, obstacle] : budget.obstacles)
    text += concat(name(run), " is not paired with ", first, ": ", obstacle, ". ");
  if (budget.different_models)
    text +=
        "The runs are of different models: each rise is over the full cache of the run\u2019s own model. ";
  const bool paired = std::any_of(budget.policies.begin(), budget.policies.end(),
                                  [](const PolicyOfRuns& row) { return row.difference; });
  if (paired) {
    text +=
        "Differences are paired: both rises are over the same tokens of the same held-out traces. In "
        "brackets "
        "is the 95 % interval of 10,000 draws of whole traces.";
  }
  return text.empty() ? "" : note(text);
}

std::string Page::budget_block(const BudgetOfRuns& budget) const {
  struct Column {
    std::string key, heading;
    std::string (*format)(double);
  };
  const std::vector<Column> columns = {
      {"loss", "loss", [](double value) { return format_fixed(value, 4); }},
      {"loss_rise", "loss rise", [](double value) { return format_signed(value, 4); }},
      {"loss_ratio", "loss ratio", [](double value) { return format_fixed(value, 4); }},
      {"low_entropy_loss_rise", "low-entropy rise", [](double value) { return format_signed(value, 4); }}};
  std::vector<std::string> headings = {"policy and run"};
  std::vector<TableRow> rows;
  for (const PolicyOfRuns& row : budget.policies)
    rows.push_back({heading(row, budget.runs.size()), {}, policies_.of(row.policy).scorer});
  for (const Column& column : columns) {
    const bool measured = std::any_of(budget.policies.begin(), budget.policies.end(), [&](const auto& row) {
      return row.measures.scalars.contains(column.key);
    });
    if (!measured) continue;
    headings.push_back(column.heading);
    for (std::size_t i = 0; i < rows.size(); ++i)
      rows[i].cells.push_back(column.format(budget.policies[i].measures.scalar(column.key)));
  }
  const std::size_t first = budget.runs.front();
  for (const bool low_entropy : {false, true}) {
    const bool paired = std::any_of(budget.policies.begin(), budget.policies.end(), [&](const auto& row) {
      return row.difference && (!low_entropy || row.difference->low_entropy);
    });
    if (!paired) continue;
    headings.push_back(concat(low_entropy ? "low-entropy rise less " : "rise less ", escape_html(name(first)),
                              "\u2019s [interval]"));
    for (std::size_t i = 0; i < rows.size(); ++i)
      rows[i].cells.push_back(difference_cell(budget.policies[i], first, low_entropy));
  }
  return concat(
      "<div class=\"of-runs\">",
      html_table(concat("Policies at budget ", budget.budget, ", window ", budget.window), headings, rows),
      "</div>\n", budget_notes(budget));
}

std::string Page::policies_section() const {
  std::string text, sweep;
  for (const BudgetOfRuns& budget : budgets_of_runs(runs_)) {
    const std::string size = concat("Budget ", budget.budget, ", window ", budget.window);
    if (budget.main) {
      text += concat("<h3 class=\"stage\">", size, "</h3>\n", budget_block(budget));
    } else {
      sweep += folded(concat(size, " (sweeps)"), budget_block(budget));
    }
  }
  return text + sweep;
}

const std::vector<MetricsRow>& Page::rows_of(std::size_t run, Stage stage) const {
  static const std::vector<MetricsRow> kNone;
  for (const StageFacts& facts : runs_[run].stages) {
    if (facts.stage == stage) return facts.metrics;
  }
  return kNone;
}

std::string Page::figure_of(Stage stage, CurveFigure what, const std::string& key, bool markers) const {
  std::vector<StepCurve> curves;
  for (std::size_t run = 0; run < runs_.size(); ++run)
    curves.push_back({styles_[run], &rows_of(run, stage), key, markers});
  what.legend = false;
  return curve_figure(what, curves);
}

/// One legend for all figures of a stage: of the runs that have rows of it.
std::string Page::block_of(Stage stage, const std::string& heading, const std::string& figures) const {
  if (figures.empty()) return "";
  std::vector<PolicyStyle> drawn;
  for (std::size_t run = 0; run < runs_.size(); ++run) {
    if (!rows_of(run, stage).empty()) drawn.push_back(styles_[run]);
  }
  return concat("<div class=\"of-runs\">", stage_block(heading, figures), style_legend(drawn), "</div>\n");
}

std::string Page::training_section() const {
  const Stage supervised = Stage::kSupervised, grpo = Stage::kGrpo;
  const std::string first = "Supervised", second = "Reinforcement learning (GRPO)", rise = "nats per token";
  const std::string first_figures =
      figure_of(supervised, {first, "ranking loss", "loss", /*falls=*/true}, "loss", false) +
      figure_of(supervised, {first, "validation loss rise", rise}, "eval_loss_rise", true) +
      figure_of(supervised, {first, "validation low-entropy rise", rise}, "eval_low_entropy_loss_rise", true);
  const std::string second_figures =
      figure_of(grpo, {second, "reward", "reward"}, "reward", false) +
      figure_of(grpo, {second, "validation low-entropy rise", rise}, "eval_low_entropy_loss_rise", true) +
      figure_of(grpo, {second, "KL to the start", "nats"}, "kl", false);
  return block_of(supervised, first, first_figures) + block_of(grpo, second, second_figures);
}

std::string Page::config_section() const {
  std::vector<std::size_t> unread;
  for (std::size_t run = 0; run < runs_.size(); ++run) {
    if (!runs_[run].config) unread.push_back(run);
  }
  const std::vector<KeyOfRuns> keys = keys_that_differ(runs_);
  std::string text;
  if (keys.empty()) {
    text =
        note(runs_.size() - unread.size() > 1 ? "The configs that can be read differ in no key but `output`."
                                              : "There are no two configs to compare.");
  } else {
    std::vector<std::string> headings = {"key"};
    for (const PolicyStyle& style : styles_) headings.push_back(style_heading(style));
    std::vector<TableRow> rows;
    for (const KeyOfRuns& key : keys) {
      rows.push_back({escape_html(key.key), {}});
      for (const std::string& value : key.values)
        rows.back().cells.push_back(value.empty() ? "\u2013" : escape_html(one_line(value, kMostShownBytes)));
    }
    text = concat("<div class=\"words values\">", html_table("Config keys that differ", headings, rows),
                  "</div>\n");
  }
  return unread.empty() ? text : text + note(concat("The config cannot be read: ", names(unread), "."));
}

std::string Page::faults_section() const {
  std::string items;
  for (std::size_t run = 0; run < runs_.size(); ++run) {
    for (const std::string& fault : runs_[run].faults)
      items += concat("<li>", style_heading(styles_[run]), ": ", escape_html(fault), "</li>\n");
  }
  return items.empty() ? "" : concat("<ul class=\"sentences\">", items, "</ul>\n");
}

}  // namespace

std::string comparison_html(const std::vector<RunFacts>& runs, const std::string& title) {
  const Page page(runs);
  return html_page(title.empty() ? page.title() : title, page.lead(),
                   {{"runs", "Runs", page.runs_section()},
                    {"policies", "Policies of all runs", page.policies_section()},
                    {"budget", "Loss rise against budget", page.budget_section()},
                    {"training", "Training curves", page.training_section()},
                    {"config", "Config keys that differ", page.config_section()},
                    {"faults", "Faults", page.faults_section()}},
                   "<p>Made by Foresight from the configs, metrics and evaluations of these runs.</p>\n");
}

void write_comparison(const std::vector<RunFacts>& runs, const std::filesystem::path& file) {
  write_file_atomically(file, comparison_html(runs));
}

std::filesystem::path write_overview(const std::filesystem::path& directory) {
  std::vector<RunFacts> runs;
  for (const std::filesystem::path& folder : find_runs(directory)) runs.push_back(read_run(folder));
  if (runs.empty()) {
    throw Error(ErrorKind::kInput, concat("no runs below ", one_line(directory.string()),
                                          ": expected folders with a config.yaml; give the folder that holds "
                                          "the runs, for example runs"));
  }
  std::filesystem::path page = directory / "overview.html";
  const std::string name = one_line(whole_path(directory).filename().string());
  write_file_atomically(page, comparison_html(runs, concat("Foresight runs: ", name)));
  return page;
}

}  // namespace foresight
