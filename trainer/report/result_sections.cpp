#include <algorithm>
#include <set>

#include "trainer/base/text.h"
#include "trainer/report/html.h"
#include "trainer/report/sections.h"
#include "trainer/report/tables.h"

namespace foresight {
namespace {

std::string four_digits(double value) {
  return format_fixed(value, 4);
}
std::string signed_rise(double value) {
  return format_signed(value, 4);
}

/// A policy's difference, or its difference on low-entropy tokens; a dash where there is none.
std::string difference_cell(const PolicyMeasures& policy, bool low_entropy) {
  if (!policy.difference || (low_entropy && !policy.difference->low_entropy)) return "\u2013";
  return interval_cell(low_entropy ? *policy.difference->low_entropy : policy.difference->all);
}

/// The sentences of the scorers, or of the rules.
std::string difference_sentences(const EvaluationData& data, bool scorers) {
  std::string items;
  for (const PolicyMeasures& policy : data.main.policies) {
    const PolicyStyle style = data.styles.of(policy.name);
    if (style.scorer != scorers) continue;
    if (!policy.difference || policy.difference->sentence.empty()) continue;
    items += concat("<li>", style_heading(style), ": ", escape_html(policy.difference->sentence), "</li>\n");
  }
  return items.empty() ? "" : concat("<ul class=\"sentences\">", items, "</ul>\n");
}

/// All differences with the low-entropy ones, and the rules' sentences, folded away.
std::string all_differences(const EvaluationData& data) {
  std::vector<TableRow> rows;
  for (const PolicyMeasures& policy : data.main.policies) {
    if (!policy.difference) continue;
    const PolicyStyle style = data.styles.of(policy.name);
    rows.push_back({style_heading(style),
                    {escape_html(data.styles.of(policy.difference->baseline).name),
                     difference_cell(policy, false), difference_cell(policy, true)},
                    style.scorer});
  }
  if (rows.empty()) return "";
  return folded(
      "All differences from the best rule, also on low-entropy tokens",
      html_table("Differences of the loss rise from the best rule",
                 {"policy", "compared with", "all scored tokens [interval]", "low-entropy tokens [interval]"},
                 rows) +
          difference_sentences(data, false));
}

/// The rule that the differences are to; empty when there is none, or when policies have different ones.
std::string baseline_of(const EvaluationData& data) {
  std::set<std::string> baselines;
  for (const PolicyMeasures& policy : data.main.policies) {
    if (policy.difference) baselines.insert(data.styles.of(policy.difference->baseline).name);
  }
  return baselines.size() == 1 ? *baselines.begin() : "";
}

const std::vector<ScalarColumn> kColumns = {{"loss", "loss", four_digits},
                                            {"loss_rise", "loss rise", signed_rise},
                                            {"loss_ratio", "loss ratio", four_digits},
                                            {"low_entropy_loss_rise", "low-entropy rise", signed_rise},
                                            {"kl_to_full", "KL to full", four_digits},
                                            {"top1_agreement", "top-1 agreement", format_percent},
                                            {"attention_kept", "attention kept", format_percent},
                                            {"golden_overlap", "golden overlap", format_percent}};

}  // namespace

std::string facts_line(const EvaluationData& data) {
  std::vector<std::string> facts;
  const auto add = [&](const std::string& name, const std::string& value) {
    if (!value.empty()) facts.push_back(concat("<span>", name, " <b>", escape_html(value), "</b></span>"));
  };
  const auto count = [&](const std::string& key) {
    for (const PolicyMeasures& policy : data.main.policies) {
      if (policy.scalars.contains(key)) return format_count(policy.scalar(key));
    }
    return std::string();
  };
  add("model", data.model);
  add("dtype", data.dtype);
  add("budget", concat(data.main.budget));
  add("window", concat(data.main.window));
  add("held-out traces", count("traces"));
  add("scored tokens", count("tokens"));
  add("code", data.code_version);
  return concat("<p class=\"facts\">", join(facts, "\n"), "</p>\n");
}

std::string results_section(const EvaluationData& data) {
  const std::vector<PolicyMeasures>& policies = data.main.policies;
  if (policies.empty()) return "";
  std::vector<std::string> headings = {"policy"};
  std::vector<TableRow> rows;
  for (const PolicyMeasures& policy : policies)
    rows.push_back({style_heading(data.styles.of(policy.name)), {}, data.styles.of(policy.name).scorer});
  for (const ScalarColumn& column : kColumns) {
    const bool measured = std::any_of(policies.begin(), policies.end(), [&](const PolicyMeasures& policy) {
      return policy.scalars.contains(column.key);
    });
    if (!measured) continue;
    headings.push_back(column.heading);
    for (std::size_t i = 0; i < policies.size(); ++i)
      rows[i].cells.push_back(column.format(policies[i].scalar(column.key)));
  }
  const std::string baseline = baseline_of(data);
  if (std::any_of(policies.begin(), policies.end(), [](const PolicyMeasures& p) { return p.difference; })) {
    headings.push_back(concat("rise less ", baseline.empty() ? "the best rule" : escape_html(baseline),
                              "\u2019s [interval]"));
    for (std::size_t i = 0; i < rows.size(); ++i)
      rows[i].cells.push_back(difference_cell(policies[i], false));
  }
  std::string explanation =
      "The loss is in nats per token, pooled over the scored tokens of all held-out traces. Rise, ratio, KL "
      "and "
      "top-1 agreement compare with full KV on the same tokens. Full and golden, which knows the future, are "
      "bounds and not competitors.";
  if (!baseline.empty()) explanation += concat(" The best hand-written rule here is ", baseline, ".");
  return html_table("Policies at the main budget", headings, rows) + difference_sentences(data, true) +
         note(explanation) + all_differences(data);
}

}  // namespace foresight
