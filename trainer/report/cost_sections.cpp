// Generated answers, and what everything costs.
#include <algorithm>

#include "trainer/base/text.h"
#include "trainer/report/html.h"
#include "trainer/report/line_plot.h"
#include "trainer/report/sections.h"
#include "trainer/report/tables.h"

namespace foresight {
namespace {

std::string one_digit(double value) {
  return format_fixed(value, 1);
}
std::string two_digits(double value) {
  return format_fixed(value, 2);
}

const std::vector<ScalarColumn> kGenerationColumns = {
    {"accuracy", "accuracy", format_percent},
    {"answered", "answered", format_percent},
    {"mean_tokens", "mean tokens", one_digit},
    {"truncation_rate", "cut off", format_percent},
    {"greedy_truncation_rate", "greedy text cut off", format_percent},
    {"tokens_until_difference", "tokens until the first difference", one_digit}};

/// A plot over the contexts; `scale` divides the numbers (bytes to MiB).
std::string context_plot(const CostResult& cost, const PolicyStyles& styles, const std::string& title,
                         const std::string& y_label, std::vector<double> CostRow::*numbers, double scale) {
  LinePlot plot{.title = title,
                .description = "One line for each policy, over the length of the context",
                .x = {.label = "context, tokens (log scale)",
                      .scale = Scale::kLog,
                      .ticks = ends_first({cost.contexts.begin(), cost.contexts.end()})},
                .y = {.label = y_label, .at_least_from = 0.0},
                .series = {}};
  for (const CostRow& policy : cost.policies) {
    PlotSeries series{styles.of(policy.name), {}};
    for (std::size_t i = 0; i < (policy.*numbers).size(); ++i)
      series.points.push_back({static_cast<double>(cost.contexts[i]), (policy.*numbers)[i] / scale});
    std::sort(series.points.begin(), series.points.end(),
              [](const PlotPoint& a, const PlotPoint& b) { return a.x < b.x; });
    plot.series.push_back(series);
  }
  return figure(title, svg_line_plot(plot), "");
}

std::string cost_table(const CostResult& cost, const PolicyStyles& styles) {
  const auto longest = std::max_element(cost.contexts.begin(), cost.contexts.end()) - cost.contexts.begin();
  std::vector<NamedScalars> rows;
  for (const CostRow& policy : cost.policies) {
    NamedScalars row{policy.name, policy.scalars};
    const auto add = [&](const std::string& key, const std::vector<double>& numbers) {
      if (!numbers.empty()) row.scalars[key] = numbers[static_cast<std::size_t>(longest)];
    };
    add("kv_bytes", policy.kv_bytes);
    add("peak_bytes", policy.peak_bytes);
    add("prefill", policy.prefill_tokens_per_second);
    add("decode", policy.decode_tokens_per_second);
    add("batch_decode", policy.batch_decode_tokens_per_second);
    rows.push_back(row);
  }
  const std::string at =
      concat(" at ", format_count(static_cast<double>(cost.contexts[static_cast<std::size_t>(longest)])));
  return scalar_table(
      "Memory and speed of each policy",
      {{"kv_bytes", "KV cache" + at, format_memory},
       {"peak_bytes", "peak memory of the process" + at, format_memory},
       {"prefill", "prefill, tokens/s" + at, one_digit},
       {"decode", "decode, tokens/s" + at, one_digit},
       {"batch_decode", concat("the same, ", format_count(cost.batch.value_or(1)), " rows"), one_digit},
       {"milliseconds_per_eviction", "ms per eviction", two_digits},
       {"scoring_share", "share of time spent scoring", format_percent}},
      rows, styles);
}

/// What full KV does in the memory of the evicting batch, in words; empty where that was not measured.
std::string equal_memory_note(const CostResult& cost) {
  std::vector<std::string> parts;
  for (const CostRow& policy : cost.policies) {
    const std::vector<double>&rows = policy.equal_memory_rows,
          &speed = policy.equal_memory_decode_tokens_per_second;
    for (std::size_t i = 0; i < std::min(rows.size(), speed.size()); ++i) {
      const std::string context = format_count(static_cast<double>(cost.contexts[i]));
      parts.push_back(rows[i] >= 1 ? concat(format_count(rows[i]), " at ", context, " (", one_digit(speed[i]),
                                            " tokens/s)")
                                   : concat("none at ", context));
    }
  }
  if (parts.empty()) return "";
  return note(concat("Full-KV sequences that fit the memory of an evicting batch of ",
                     format_count(cost.batch.value_or(1)), ": ", join(parts, ", "), "."));
}

std::string passkey_block(const PasskeyResult& passkey, const PolicyStyles& styles) {
  if (passkey.depths.empty() || passkey.policies.empty()) return "";
  std::vector<std::string> columns;
  for (const double depth : passkey.depths)
    columns.push_back(concat("depth ", format_tick(100 * depth), "\u00A0%"));
  std::string out = "<h3>Passkey</h3>\n";
  out += numbers_table("Share of passkeys found, by depth", "policy", columns, passkey.policies, styles,
                       format_percent);
  std::string text = "Share of passkeys found when they are at that depth of the context";
  if (passkey.length) text += concat(", of ", format_count(*passkey.length), " tokens");
  return out + note(text + ".");
}

std::string continued_block(const ContinuedResult& continued, const PolicyStyles& styles) {
  std::string table =
      scalar_table("Prompts continued greedily",
                   {{"tokens_until_difference", "tokens until the first difference", one_digit},
                    {"equal_share", "equal to the end", format_percent},
                    {"truncation_rate", "cut by the limit", format_percent},
                    {"mean_tokens", "mean tokens", one_digit},
                    {"repetition", "repeated sequences", format_percent}},
                   continued.policies, styles);
  if (table.empty()) return "";
  std::string text = "Greedy continuations, compared with the full cache\u2019s.";
  if (continued.prompts) text += concat(" Prompts: ", format_count(*continued.prompts), ".");
  if (continued.max_new_tokens)
    text += concat(" Limit: ", format_count(*continued.max_new_tokens), " tokens.");
  return "<h3>Continued prompts</h3>\n" + table + note(text);
}

}  // namespace

std::string generation_section(const EvaluationData& data) {
  if (!data.generation) return "";
  const GenerationResult& generation = *data.generation;
  std::string out = scalar_table("Generated answers", kGenerationColumns, generation.policies, data.styles);
  if (!out.empty()) {
    std::vector<std::string> facts;
    if (!generation.task.empty()) facts.push_back("Task: " + generation.task + ".");
    if (generation.samples)
      facts.push_back(concat("Samples per prompt: ", format_count(*generation.samples), "."));
    if (!facts.empty()) out += note(join(facts, " "));
  }
  if (generation.continued) out += continued_block(*generation.continued, data.styles);
  if (generation.passkey) out += passkey_block(*generation.passkey, data.styles);
  return out;
}

std::string cost_section(const EvaluationData& data) {
  if (!data.cost || data.cost->contexts.empty() || data.cost->policies.empty()) return "";
  const CostResult& cost = *data.cost;
  const std::string figures =
      context_plot(cost, data.styles, "KV cache", "KV cache, MiB", &CostRow::kv_bytes, 1024.0 * 1024.0) +
      context_plot(cost, data.styles, "Decode speed", "decode, tokens/s", &CostRow::decode_tokens_per_second,
                   1);
  std::string out = figures.empty() ? "" : concat("<div class=\"grid2\">", figures, "</div>\n");
  out += cost_table(cost, data.styles);
  if (!out.empty() && cost.threads)
    out += note(concat("Measured on ", format_count(*cost.threads), " threads."));
  if (!out.empty()) out += equal_memory_note(cost);
  return out;
}

std::string training_cost_section(const EvaluationData& data) {
  std::string items;
  const auto add = [&](const std::string& name, const std::string& key, std::string (*format)(double),
                       const std::string& unit) {
    const auto found = data.training.find(key);
    if (found != data.training.end())
      items += concat("<div><dt>", name, "</dt><dd>", format(found->second), unit, "</dd></div>\n");
  };
  add("oracle, per trace", "oracle_seconds_per_trace", two_digits, "\u00A0s");
  add("oracle file, per trace", "hdf5_bytes_per_trace", format_memory, "");
  add("supervised, per step", "supervised_seconds_per_step", two_digits, "\u00A0s");
  add("GRPO, per step", "grpo_seconds_per_step", two_digits, "\u00A0s");
  return items.empty() ? "" : concat("<dl class=\"cards\">", items, "</dl>\n");
}

}  // namespace foresight
