#include "trainer/evaluation/evaluation_json.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>
#include <numeric>
#include <vector>

#include "trainer/base/distinct_names.h"
#include "trainer/base/text.h"
#include "trainer/config/names.h"

namespace foresight {
namespace {

using Json = nlohmann::ordered_json;

Json interval_json(const Interval& interval) {
  return {{"loss_rise", interval.value},
          {"low", interval.low},
          {"high", interval.high},
          {"significant", interval.significant()}};
}

Json matrix_json(const torch::Tensor& matrix) {
  Json rows = Json::array();
  for (std::int64_t row = 0; row < matrix.size(0); ++row) {
    Json values = Json::array();
    for (std::int64_t column = 0; column < matrix.size(1); ++column)
      values.push_back(matrix[row][column].item<double>());
    rows.push_back(std::move(values));
  }
  return rows;
}

/// The tails of the rise of single tokens.
void add_tails(const RiseTails& tails, Json& json) {
  json["rise_p95"] = tails.p95;
  json["rise_p99"] = tails.p99;
  json["large_rise_share"] = tails.large_share;
  json["worst_percent_share"] = tails.worst_percent;
  json["worst_window_rise"] = tails.worst_window;
  for (const TailPoint& point : tails.points)
    json["tail"].push_back({{"share", point.share}, {"rise", point.rise}});
}

/// Which entries the policy holds, as far as it was measured.
void add_kept_entries(const PolicyResult& result, Json& json) {
  if (result.boundary_accuracy) json["boundary_accuracy"] = *result.boundary_accuracy;
  if (result.churn) json["churn"] = *result.churn;
  if (result.prompt_held_by.empty()) return;
  const std::vector<double>& held = result.prompt_held_by;
  json["prompt_survival"] = std::accumulate(held.begin(), held.end(), 0.0) / static_cast<double>(held.size());
  json["prompt_survival_any_head"] = held.front();
  json["prompt_live"] = result.prompt_live;
  json["prompt_held_by"] = held;
}

Json policy_json(const PolicyResult& result) {
  Json json = {{"loss", result.loss},
               {"loss_rise", result.loss_rise},
               {"loss_ratio", result.loss_ratio},
               {"low_entropy_loss_rise", result.low_entropy_loss_rise},
               {"high_entropy_loss_rise", result.high_entropy_loss_rise}};
  if (result.divergence) json["kl_to_full"] = *result.divergence;
  if (result.agreement) json["top1_agreement"] = *result.agreement;
  if (result.attention_kept) json["attention_kept"] = *result.attention_kept;
  if (result.golden_overlap) json["golden_overlap"] = *result.golden_overlap;
  add_kept_entries(result, json);
  add_tails(result.tails, json);
  json["tokens"] = result.tokens;
  json["traces"] = result.traces;
  json["trace_loss_rise"] = result.trace_loss_rise;
  json["trace_low_entropy_loss_rise"] = result.trace_low_entropy_loss_rise;
  for (const TraceSums& sums : result.sums) {
    json["trace_tokens"].push_back(sums.tokens);
    json["trace_low_entropy_tokens"].push_back(sums.low_tokens);
  }
  for (const PositionRise& rise : result.by_position) {
    json["by_position"].push_back(
        {{"end", rise.end}, {"tokens", rise.tokens}, {"loss_rise", rise.loss_rise}});
  }
  if (result.attention_kept_by_head.defined())
    json["attention_kept_by_head"] = matrix_json(result.attention_kept_by_head);
  return json;
}

Json difference_json(const PolicyResult& result, const PolicyResult& baseline, std::uint64_t seed) {
  const Difference difference = difference_to(result, baseline, seed);
  Json json = {{"baseline", baseline.name}};
  json.update(interval_json(difference.all));
  json["low_entropy"] = interval_json(difference.low_entropy);
  json["sentence"] = difference_sentence(difference.all, baseline.name, result.traces);
  return json;
}

/// Policies by name as the table shows them: scorers' files by the part of their paths that differs.
std::map<std::string, std::string> shown_names(const Json& policies) {
  std::map<std::string, std::string> shown;
  std::vector<std::string> files;
  for (const auto& [name, policy] : policies.items()) {
    if (name.ends_with(".safetensors")) {
      files.push_back(name);
    } else {
      shown[name] = name == "grpo" ? "supervised + RL" : name;
    }
  }
  const std::vector<std::string> short_names = distinct_names(files);
  for (std::size_t file = 0; file < files.size(); ++file) shown[files[file]] = one_line(short_names[file]);
  return shown;
}

}  // namespace

std::string difference_sentence(const Interval& difference, const std::string& baseline,
                                std::int64_t traces) {
  char numbers[160];
  if (difference.significant()) {
    const bool less = difference.value < 0;
    const double low = less ? -difference.high : difference.low,
                 high = less ? -difference.low : difference.high;
    std::snprintf(numbers, sizeof numbers, "loses %.4f nats %s than ", std::fabs(difference.value),
                  less ? "less" : "more");
    std::string sentence = numbers + baseline;
    std::snprintf(numbers, sizeof numbers, " (95 %% interval %.4f to %.4f, paired over %lld traces)", low,
                  high, static_cast<long long>(traces));
    return sentence + numbers;
  }
  std::snprintf(numbers, sizeof numbers,
                " is not significant: %+.4f nats, 95 %% interval %+.4f to %+.4f over %lld traces",
                difference.value, difference.low, difference.high, static_cast<long long>(traces));
  return "the difference to " + baseline + numbers;
}

nlohmann::ordered_json policies_json(const std::vector<PolicyResult>& results, std::uint64_t seed) {
  const PolicyResult* baseline = best_rule(results);
  const auto named = [&](const std::string& name) -> const PolicyResult* {
    for (const PolicyResult& result : results) {
      if (result.name == name) return &result;
    }
    return nullptr;
  };
  const PolicyResult *golden = named("golden"), *supervised = named("supervised");
  Json policies = Json::object();
  for (const PolicyResult& result : results) {
    Json json = policy_json(result);
    if (golden != nullptr && golden->attention_kept && result.attention_kept)
      json["attention_regret"] = *golden->attention_kept - *result.attention_kept;
    const bool compared = baseline != nullptr && &result != baseline && result.name != "full" &&
                          result.tokens > 0 && result.name != "golden" && result.traces > 1;
    if (compared) json["difference"] = difference_json(result, *baseline, seed);
    if (result.name == "grpo" && supervised != nullptr && result.tokens > 0 && result.traces > 1)
      json["difference_to_supervised"] = difference_json(result, *supervised, seed);
    policies[result.name] = std::move(json);
  }
  return policies;
}

nlohmann::ordered_json cost_json(const std::vector<PolicyCost>& costs, const CostOptions& options,
                                 std::int64_t threads) {
  Json json = {{"contexts", options.contexts},  {"threads", threads},     {"budget", options.size.budget},
               {"window", options.size.window}, {"batch", options.batch}, {"policies", Json::object()}};
  for (const PolicyCost& cost : costs) {
    Json& own = json["policies"][cost.name];
    own = {{"kv_bytes", cost.kv_bytes},
           {"peak_rss_bytes", cost.peak_resident_bytes},
           {"prefill_tokens_per_second", cost.prefill_tokens_per_second},
           {"decode_tokens_per_second", cost.decode_tokens_per_second},
           {"milliseconds_per_eviction", cost.milliseconds_per_eviction},
           {"scoring_share", cost.scoring_share}};
    if (!cost.batch_decode_tokens_per_second.empty())
      own["batch_decode_tokens_per_second"] = cost.batch_decode_tokens_per_second;
    if (cost.equal_memory_rows.empty()) continue;
    own["equal_memory_rows"] = cost.equal_memory_rows;
    own["equal_memory_decode_tokens_per_second"] = cost.equal_memory_decode_tokens_per_second;
  }
  return json;
}

std::string evaluation_table(const nlohmann::ordered_json& evaluation) {
  const Json& policies = evaluation.at("policies");
  const Json& first = policies.begin().value();
  std::string table =
      concat("budget ", evaluation.at("budget").get<std::int64_t>(), ", window ",
             evaluation.at("window").get<std::int64_t>(), ": ", first.at("tokens").get<std::int64_t>(),
             " scored tokens of ", first.at("traces").get<std::int64_t>(), " held-out traces\n");
  constexpr std::size_t kLeastWidth = 22;
  const std::map<std::string, std::string> shown = shown_names(policies);
  std::size_t width = kLeastWidth;
  for (const auto& [name, text] : shown) width = std::max(width, text.size());
  const auto padded = [width](const std::string& text) {
    return text + std::string(width - text.size(), ' ');
  };
  char line[200];
  std::snprintf(line, sizeof line, " %9s %10s %10s %16s\n", "loss", "loss rise", "ratio", "low-entropy rise");
  table += padded("policy") + line;
  for (const auto& [name, policy] : policies.items()) {
    std::snprintf(line, sizeof line, " %9.4f %+10.4f %10.4f %+16.4f\n", policy.at("loss").get<double>(),
                  policy.at("loss_rise").get<double>(), policy.at("loss_ratio").get<double>(),
                  policy.at("low_entropy_loss_rise").get<double>());
    table += padded(shown.at(name)) + line;
  }
  for (const auto& [name, policy] : policies.items()) {
    if (is_rule(name) || !policy.contains("difference")) continue;
    table += concat(shown.at(name), ": ", policy["difference"]["sentence"].get<std::string>(), "\n");
    if (!policy.contains("difference_to_supervised")) continue;
    table +=
        concat(shown.at(name), ": ", policy["difference_to_supervised"]["sentence"].get<std::string>(), "\n");
  }
  return table;
}

}  // namespace foresight
