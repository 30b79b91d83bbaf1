#include "trainer/report/evaluation_data.h"

#include <algorithm>
#include <limits>

#include "trainer/base/text.h"
#include "trainer/report/policy_style.h"

namespace foresight {
namespace {

const std::vector<std::string> kGenerationMeasures = {"accuracy",
                                                      "answered",
                                                      "mean_tokens",
                                                      "truncation_rate",
                                                      "greedy_truncation_rate",
                                                      "tokens_until_difference"};
const std::vector<std::string> kContinuedMeasures = {"tokens_until_difference", "equal_share",
                                                     "truncation_rate", "mean_tokens", "repetition"};
const std::vector<std::string> kCostMeasures = {"milliseconds_per_eviction", "scoring_share"};
const std::vector<std::string> kTrainingMeasures = {"oracle_seconds_per_trace", "hdf5_bytes_per_trace",
                                                    "supervised_seconds_per_step", "grpo_seconds_per_step"};

std::string text_or_empty(const JsonPlace& place, const std::string& key) {
  const auto found = place.find(key);
  return found ? found->text() : "";
}

std::optional<double> number_of(const JsonPlace& place, const std::string& key) {
  const auto found = place.find(key);
  return found ? std::optional(found->number()) : std::nullopt;
}

RiseInterval read_interval(const JsonPlace& place) {
  RiseInterval interval{.loss_rise = place.at("loss_rise").number(),
                        .low = number_of(place, "low"),
                        .high = number_of(place, "high"),
                        .significant = {}};
  if (const auto flag = place.find("significant")) interval.significant = flag->flag();
  return interval;
}

RuleDifference read_difference(const JsonPlace& place) {
  RuleDifference difference{.baseline = place.at("baseline").text(),
                            .all = read_interval(place),
                            .low_entropy = {},
                            .sentence = text_or_empty(place, "sentence")};
  if (const auto low_entropy = place.find("low_entropy"))
    difference.low_entropy = read_interval(*low_entropy);
  return difference;
}

std::vector<std::vector<double>> read_heads(const JsonPlace& place) {
  std::vector<std::vector<double>> layers;
  for (const JsonPlace& layer : place.items()) {
    layers.push_back(layers.empty() ? layer.numbers()
                                    : layer.numbers(layers.front().size(), "layer 0's heads"));
  }
  if (!layers.empty() && layers.front().empty())
    place.fail("expected at least one KV head a layer, found none");
  return layers;
}

/// The rises under `rises` with the counts under `tokens`; nothing where one of both is missing.
std::optional<TraceRises> read_trace_rises(const JsonPlace& place, const std::string& rises,
                                           const std::string& tokens) {
  const auto found = place.find(rises), counts = place.find(tokens);
  if (!found || !counts) return std::nullopt;
  TraceRises by_trace;
  for (const JsonPlace& count : counts->items()) by_trace.tokens.push_back(count.whole(0));
  by_trace.rise = found->numbers(by_trace.tokens.size(), tokens);
  return by_trace;
}

PolicyMeasures read_measures(const std::string& name, const JsonPlace& place) {
  PolicyMeasures measures;
  measures.name = name;
  measures.scalars = place.scalars(policy_measure_names());
  if (const auto heads = place.find("attention_kept_by_head"))
    measures.attention_kept_by_head = read_heads(*heads);
  if (const auto positions = place.find("by_position")) {
    for (const JsonPlace& item : positions->items()) {
      if (const auto rise = number_of(item, "loss_rise"))
        measures.by_position.push_back({item.at("end").whole(1), *rise});
    }
  }
  if (const auto tail = place.find("tail")) {
    for (const JsonPlace& item : tail->items())
      measures.tail.push_back({item.at("share").number(), item.at("rise").number()});
  }
  if (const auto live = place.find("prompt_live")) measures.prompt_live = live->numbers();
  if (const auto difference = place.find("difference")) measures.difference = read_difference(*difference);
  measures.by_trace = read_trace_rises(place, "trace_loss_rise", "trace_tokens");
  measures.low_entropy_by_trace =
      read_trace_rises(place, "trace_low_entropy_loss_rise", "trace_low_entropy_tokens");
  return measures;
}

/// Puts policies in the order of `wanted`, those it does not name after them in the order of
/// known_policies().
template <class Named>
void sort_policies(std::vector<Named>& policies, const std::vector<std::string>& wanted) {
  const std::vector<std::string>& known = known_policies();
  const auto rank = [&](const Named& policy) {
    const auto in_wanted = std::find(wanted.begin(), wanted.end(), policy.name) - wanted.begin();
    const auto in_known = std::find(known.begin(), known.end(), policy.name) - known.begin();
    return std::pair(in_wanted, in_known);
  };
  std::stable_sort(policies.begin(), policies.end(),
                   [&](const Named& a, const Named& b) { return rank(a) < rank(b); });
}

/// The members of `place` as read_one(name, place) reads them, in order.
template <class ReadOne>
auto read_policies(const JsonPlace& place, const std::vector<std::string>& order, const ReadOne& read_one) {
  std::vector<decltype(read_one(std::string(), place))> policies;
  for (const auto& [name, member] : place.members()) policies.push_back(read_one(name, member));
  sort_policies(policies, order);
  return policies;
}

BudgetResult read_budget(const JsonPlace& place, const std::vector<std::string>& order) {
  return {.budget = place.at("budget").whole(1),
          .window = place.at("window").whole(1),
          .first_scored = number_of(place, "first_scored"),
          .policies = read_policies(place.at("policies"), order, read_measures)};
}

GenerationResult read_generation(const JsonPlace& place, const std::vector<std::string>& order) {
  GenerationResult generation;
  generation.task = text_or_empty(place, "task");
  generation.samples = number_of(place, "samples");
  if (const auto policies = place.find("policies")) {
    generation.policies =
        read_policies(*policies, order, [](const std::string& name, const JsonPlace& member) {
          return NamedScalars{name, member.scalars(kGenerationMeasures)};
        });
  }
  if (const auto found = place.find("continued")) {
    ContinuedResult continued;
    continued.prompts = number_of(*found, "prompts");
    continued.max_new_tokens = number_of(*found, "max_new_tokens");
    continued.policies =
        read_policies(found->at("policies"), order, [](const std::string& name, const JsonPlace& member) {
          return NamedScalars{name, member.scalars(kContinuedMeasures)};
        });
    generation.continued = continued;
  }
  if (const auto found = place.find("passkey")) {
    PasskeyResult passkey;
    passkey.length = number_of(*found, "length");
    passkey.depths = found->at("depths").numbers();
    passkey.policies =
        read_policies(found->at("policies"), order, [&](const std::string& name, const JsonPlace& member) {
          return NamedNumbers{name, member.numbers(passkey.depths.size(), "passkey.depths")};
        });
    generation.passkey = passkey;
  }
  return generation;
}

RecallResult read_recall(const JsonPlace& place, const std::vector<std::string>& order) {
  RecallResult recall;
  recall.facts = number_of(place, "facts");
  for (const JsonPlace& distance : place.at("evictions").items())
    recall.evictions.push_back(static_cast<double>(distance.whole(1)));
  const auto by_distance = [&](const JsonPlace& member, const std::string& key) {
    return member.at(key).numbers(recall.evictions.size(), "recall.evictions");
  };
  recall.full_found = by_distance(place, "full_found");
  recall.policies =
      read_policies(place.at("policies"), order, [&](const std::string& name, const JsonPlace& member) {
        return RecallPolicy{name, by_distance(member, "recall"), by_distance(member, "low"),
                            by_distance(member, "high"), by_distance(member, "found")};
      });
  return recall;
}

CostResult read_cost(const JsonPlace& place, const std::vector<std::string>& order) {
  CostResult cost;
  for (const JsonPlace& context : place.at("contexts").items()) cost.contexts.push_back(context.whole(1));
  cost.threads = number_of(place, "threads");
  cost.batch = number_of(place, "batch");
  const auto per_context = [&](const JsonPlace& member, const std::string& key) {
    const auto found = member.find(key);
    return found ? found->numbers(cost.contexts.size(), "cost.contexts") : std::vector<double>();
  };
  cost.policies =
      read_policies(place.at("policies"), order, [&](const std::string& name, const JsonPlace& member) {
        return CostRow{name,
                       member.scalars(kCostMeasures),
                       per_context(member, "kv_bytes"),
                       per_context(member, "peak_rss_bytes"),
                       per_context(member, "prefill_tokens_per_second"),
                       per_context(member, "decode_tokens_per_second"),
                       per_context(member, "batch_decode_tokens_per_second"),
                       per_context(member, "equal_memory_rows"),
                       per_context(member, "equal_memory_decode_tokens_per_second")};
      });
  return cost;
}

/// A number for each layer that something was measured of.
void require_layer_numbers(const EvaluationData& data, const JsonPlace& place) {
  for (const PolicyMeasures& policy : data.main.policies) {
    const std::size_t measured = policy.attention_kept_by_head.size();
    if (measured == 0 || measured == data.evicting_layers.size()) continue;
    place.fail(concat("expected ", measured, " layers, as policy '", one_line(policy.name), "' has, found ",
                      data.evicting_layers.size()));
  }
}

TokenView read_token_view(const JsonPlace& place, const std::vector<std::string>& order) {
  TokenView view;
  view.trace = text_or_empty(place, "trace");
  view.tokens = place.at("tokens").texts();
  view.policies =
      read_policies(place.at("policies"), order, [&](const std::string& name, const JsonPlace& member) {
        return NamedNumbers{name, member.numbers(view.tokens.size(), "token_view.tokens")};
      });
  return view;
}

/// Every policy that stands in the file, also those without losses.
std::vector<std::string> all_policies(const EvaluationData& data) {
  std::vector<std::string> names;
  const auto add = [&](const auto& policies) {
    for (const auto& policy : policies) names.push_back(policy.name);
  };
  add(data.main.policies);
  for (const BudgetResult& result : data.sweep) add(result.policies);
  if (data.generation) add(data.generation->policies);
  if (data.generation && data.generation->passkey) add(data.generation->passkey->policies);
  if (data.generation && data.generation->continued) add(data.generation->continued->policies);
  if (data.recall) add(data.recall->policies);
  if (data.cost) add(data.cost->policies);
  if (data.token_view) add(data.token_view->policies);
  return names;
}

}  // namespace

const std::vector<std::string>& policy_measure_names() {
  static const std::vector<std::string> names = {"loss",
                                                 "loss_rise",
                                                 "loss_ratio",
                                                 "low_entropy_loss_rise",
                                                 "high_entropy_loss_rise",
                                                 "kl_to_full",
                                                 "top1_agreement",
                                                 "attention_kept",
                                                 "golden_overlap",
                                                 "attention_regret",
                                                 "boundary_accuracy",
                                                 "churn",
                                                 "prompt_survival",
                                                 "prompt_survival_any_head",
                                                 "rise_p95",
                                                 "rise_p99",
                                                 "large_rise_share",
                                                 "worst_percent_share",
                                                 "worst_window_rise",
                                                 "tokens",
                                                 "traces"};
  return names;
}

double PolicyMeasures::scalar(const std::string& key) const {
  const auto found = scalars.find(key);
  return found == scalars.end() ? std::numeric_limits<double>::quiet_NaN() : found->second;
}

EvaluationData read_evaluation(const nlohmann::json& json, const std::string& file) {
  const JsonPlace root(json, file, "run `foresight evaluate` again");
  EvaluationData data;
  std::vector<std::string> order;
  if (const auto inputs = root.find("inputs")) {
    data.model = text_or_empty(*inputs, "model");
    data.dtype = text_or_empty(*inputs, "dtype");
    if (const auto policies = inputs->find("policies")) order = policies->texts();
    data.inputs = {.traces_sha256 = text_or_empty(*inputs, "traces_sha256"),
                   .recorded_sha256 = text_or_empty(*inputs, "recorded_sha256"),
                   .model_fingerprint = text_or_empty(*inputs, "model_fingerprint"),
                   .score = text_or_empty(*inputs, "score"),
                   .low_entropy_share = number_of(*inputs, "low_entropy_share")};
  }
  data.code_version = text_or_empty(root, "code_version");
  data.main = read_budget(root, order);
  if (const auto layers = root.find("evicting_layers")) {
    for (const JsonPlace& layer : layers->items()) data.evicting_layers.push_back(layer.whole(0));
    require_layer_numbers(data, *layers);
  }
  if (const auto sweep = root.find("sweep")) {
    for (const JsonPlace& entry : sweep->items()) data.sweep.push_back(read_budget(entry, order));
  }
  if (const auto generation = root.find("generation")) data.generation = read_generation(*generation, order);
  if (const auto recall = root.find("recall")) data.recall = read_recall(*recall, order);
  if (const auto cost = root.find("cost")) data.cost = read_cost(*cost, order);
  if (const auto training = root.find("training")) data.training = training->scalars(kTrainingMeasures);
  if (const auto view = root.find("token_view")) data.token_view = read_token_view(*view, order);
  data.styles = PolicyStyles(all_policies(data));
  return data;
}

}  // namespace foresight
