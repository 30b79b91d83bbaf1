#include "trainer/runs/sweep_section.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "trainer/base/text.h"
#include "trainer/report/curve_figure.h"
#include "trainer/report/rise_figure.h"
#include "trainer/report/tables.h"
#include "trainer/runs/paired_runs.h"

namespace foresight {
namespace {

/// A run that was evaluated at more than one budget.
struct Sweep {
  std::size_t run = 0;
  const EvaluationData* evaluation = nullptr;
  std::map<std::int64_t, const BudgetResult*> results;
};

std::vector<Sweep> sweeps_of(const std::vector<RunFacts>& runs) {
  std::vector<Sweep> sweeps;
  for (std::size_t run = 0; run < runs.size(); ++run) {
    if (!runs[run].evaluation) continue;
    Sweep sweep{run, &*runs[run].evaluation, results_by_budget(*runs[run].evaluation)};
    if (sweep.results.size() > 1) sweeps.push_back(std::move(sweep));
  }
  return sweeps;
}

/// The policies of all sweeps in the order of the runs.
std::vector<std::string> policies_of(const std::vector<Sweep>& sweeps) {
  std::vector<std::string> names;
  for (const Sweep& sweep : sweeps) {
    for (const auto& [budget, result] : sweep.results) {
      for (const PolicyMeasures& policy : result->policies) {
        if (std::find(names.begin(), names.end(), policy.name) == names.end()) names.push_back(policy.name);
      }
    }
  }
  return names;
}

/// The policy's line where all sweeps have the same number at every budget that several of them have.
std::optional<std::map<std::int64_t, double>> shared_line(const std::vector<Sweep>& sweeps,
                                                          const std::string& policy) {
  std::map<std::int64_t, double> shared = rise_by_budget(sweeps.front().results, policy);
  for (const Sweep& sweep : sweeps) {
    bool meets = false;
    for (const auto& [budget, rise] : rise_by_budget(sweep.results, policy)) {
      const auto [place, is_new] = shared.emplace(budget, rise);
      if (place->second != rise) return std::nullopt;
      meets |= !is_new;
    }
    if (!meets) return std::nullopt;
  }
  return shared;
}

bool is_rule(const PolicyStyle& style) {
  return !style.scorer && !style.dashed;
}

/// The rule with the lowest rise at the run's own budget; empty without one.
std::string best_rule(const EvaluationData& evaluation, const PolicyStyles& styles) {
  std::string best;
  double least = INFINITY;
  for (const PolicyMeasures& policy : evaluation.main.policies) {
    if (!is_rule(styles.of(policy.name)) || !(policy.scalar("loss_rise") < least)) continue;
    least = policy.scalar("loss_rise");
    best = policy.name;
  }
  return best;
}

/// Grey, so that the colours are left to the runs; a scorer that all runs share keeps its own.
PolicyStyle shared_style(PolicyStyle style) {
  if (!style.scorer) style.css_class = "p-random";
  return style;
}

/// A run's line of a policy: the colour and the marker tell the run, the label tells the policy.
PolicyStyle line_style(PolicyStyle policy, const PolicyStyle& run) {
  policy.name = concat(policy.name, ", ", run.name);
  policy.css_class = run.css_class;
  policy.marker = run.marker;
  return policy;
}

std::vector<RiseLine> lines_of(const std::vector<Sweep>& sweeps, const std::vector<PolicyStyle>& run_styles,
                               const PolicyStyles& policies) {
  std::vector<RiseLine> lines;
  for (const std::string& policy : policies_of(sweeps)) {
    const PolicyStyle style = policies.of(policy);
    const bool only_run = style.scorer && sweeps.size() == 1;
    const auto shared = shared_line(sweeps, policy);
    if (shared && !only_run) {
      lines.push_back({shared_style(style), *shared, policy != "full"});
      continue;
    }
    for (const Sweep& sweep : sweeps) {
      auto rise_at = rise_by_budget(sweep.results, policy);
      const bool drawn =
          policy != "full" && (!is_rule(style) || policy == best_rule(*sweep.evaluation, policies));
      if (!rise_at.empty())
        lines.push_back({line_style(style, run_styles.at(sweep.run)), std::move(rise_at), drawn});
    }
  }
  return lines;
}

/// What a reader must know before comparing the lines of different runs.
std::string caption_of(const std::vector<Sweep>& sweeps, const std::vector<PolicyStyle>& run_styles,
                       const std::vector<RiseLine>& lines) {
  const Sweep& first = sweeps.front();
  std::set<std::int64_t> windows;
  std::set<std::pair<std::int64_t, std::int64_t>> sizes;
  std::string text;
  for (const Sweep& sweep : sweeps) {
    for (const auto& [budget, result] : sweep.results) {
      windows.insert(result->window);
      sizes.emplace(budget, result->window);
    }
    const Pairing pairing = pairing_of(*first.evaluation, *first.results.begin()->second, *sweep.evaluation,
                                       *sweep.results.begin()->second);
    if (&sweep != &first && !pairing.obstacle.empty()) {
      text += concat("The lines of ", run_styles.at(sweep.run).name, " may cover other tokens than those of ",
                     run_styles.at(first.run).name, ": ", pairing.obstacle, ". ");
    }
  }
  if (windows.size() > 1) {
    std::vector<std::string> all;
    for (const auto& [budget, window] : sizes) all.push_back(concat(budget, "/", window));
    text += concat("Windows differ; budget/window: ", join(all, ", "), ". ");
  }
  const bool hidden = std::any_of(lines.begin(), lines.end(),
                                  [](const RiseLine& line) { return !line.drawn && is_rule(line.style); });
  if (hidden) text += "The plot shows the best rule of each run; the table has all rules. ";
  return text;
}

}  // namespace

std::string sweep_section(const std::vector<RunFacts>& runs, const std::vector<PolicyStyle>& run_styles,
                          const PolicyStyles& policies) {
  const std::vector<Sweep> sweeps = sweeps_of(runs);
  if (sweeps.empty()) return "";
  const std::vector<RiseLine> lines = lines_of(sweeps, run_styles, policies);
  const std::string figure =
      rise_figure({.title = "Loss rise against budget",
                   .description = "Mean rise of the loss over full KV at each budget, by policy and run",
                   .x_label = "budget, entries per KV head (log scale)",
                   .corner = "budget",
                   .caption = caption_of(sweeps, run_styles, lines)},
                  lines);
  if (figure.empty()) return "";
  std::vector<PolicyStyle> shown;
  std::vector<std::string> left_out;
  for (std::size_t run = 0; run < runs.size(); ++run) {
    const bool swept =
        std::any_of(sweeps.begin(), sweeps.end(), [&](const Sweep& sweep) { return sweep.run == run; });
    if (swept) {
      shown.push_back(run_styles.at(run));
    } else if (runs[run].evaluation) {
      left_out.push_back(run_styles.at(run).name);
    }
  }
  const std::string others =
      left_out.empty()
          ? ""
          : note(concat("Evaluated at a single budget, and not in this plot (`evaluation.budgets` adds "
                        "budgets): ",
                        join(left_out, ", "), "."));
  return concat("<div class=\"of-runs\">", style_legend(shown), figure, "</div>\n", others);
}

}  // namespace foresight
