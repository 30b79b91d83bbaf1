// Loss rise over budgets or positions: of the policies of one run, or of several runs over each other.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "trainer/report/evaluation_data.h"
#include "trainer/report/policy_style.h"

namespace foresight {

/// A policy's rise at each budget or position.
struct RiseLine {
  PolicyStyle style;
  std::map<std::int64_t, double> rise_at = {};
  bool drawn = true;  ///< false: the line stands in the table only
};

/// The texts of a plot of rises, all plain.
struct RiseFigure {
  std::string title, description;
  std::string x_label;
  std::string corner;   ///< of the table: what its columns are
  std::string caption;  ///< follows what the caption says of the scale
};

/// The plot with its caption, and the numbers of all lines folded away; empty when there is nothing to plot.
std::string rise_figure(const RiseFigure& what, const std::vector<RiseLine>& lines);

/// One result for each budget. Of several with the same budget, one of the sweep is taken before the main
/// one, because the budgets of a sweep share their tokens, and one with the main window before others.
std::map<std::int64_t, const BudgetResult*> results_by_budget(const EvaluationData& data);

/// The policy's rise at each budget; budgets without a number are left out.
std::map<std::int64_t, double> rise_by_budget(const std::map<std::int64_t, const BudgetResult*>& results,
                                              const std::string& policy);

}  // namespace foresight
