#include "trainer/config/rules.h"

#include <algorithm>
#include <set>

#include "trainer/base/text.h"
#include "trainer/config/names.h"

namespace foresight {
namespace {

using Messages = std::vector<std::string>;

Messages check_budget(const Config& config) {
  const std::int64_t budget = config.eviction.budget, window = config.eviction.window;
  if (budget < window) {
    return {concat("eviction.budget is ", budget, " and eviction.window ", window,
                   ": expected a budget of at least one window; raise the budget")};
  }
  if (budget % window != 0) {
    return {concat(
        "eviction.budget is ", budget, " and eviction.window ", window,
        ": expected a multiple of the window, so that eviction steps fall on the ends of recorded blocks; ",
        "the nearest are ", budget / window * window, " and ", (budget / window + 1) * window)};
  }
  return {};
}

Messages check_block(const Config& config) {
  const std::int64_t block = config.oracle.block_tokens;
  if (block == 0 || config.eviction.window % block == 0) return {};
  return {concat("oracle.block_tokens is ", block, " and eviction.window ", config.eviction.window,
                 ": expected a block that divides the window, or 0 for the window itself")};
}

Messages check_grpo_budget(const Config& config) {
  if (config.grpo.steps == 0 || config.eviction.budget != config.eviction.window) return {};
  return {concat(
      "eviction.budget equals eviction.window (", config.eviction.window,
      "): RL with B = W is refused, since it leaves no choice of what to evict; expected a budget of at ",
      "least two windows, or grpo.steps: 0")};
}

Messages check_trace_length(const Config& config) {
  const std::int64_t least = config.eviction.budget + config.eviction.window + 1;
  if (!config.data.pack || config.data.trace_tokens >= least) return {};
  return {concat("data.trace_tokens is ", config.data.trace_tokens, ": expected at least ", least,
                 " (eviction.budget + eviction.window + 1), because a shorter trace has no eviction")};
}

Messages check_protection(const Config& config) {
  const CacheSize& size = config.eviction;
  if (size.protect_sinks == 0 || size.protect_sinks <= size.budget - size.window) return {};
  return {concat("eviction.protect_sinks is ", size.protect_sinks, ": expected at most ",
                 size.budget - size.window,
                 " (eviction.budget - eviction.window), so that a window of entries can go")};
}

Messages check_training_budgets(const Config& config) {
  Messages messages;
  const CacheSize& size = config.eviction;
  const auto check = [&](const std::string& key, const std::vector<std::int64_t>& budgets) {
    if (budgets.empty()) return;
    const std::int64_t least = std::max(2 * size.window, size.protect_sinks + size.window);
    for (const std::int64_t budget : budgets) {
      if (budget >= least && budget % size.window == 0) continue;
      messages.push_back(concat(key, ": ", budget, " does not fit eviction.window ", size.window,
                                "; expected a multiple of it, at least ", least,
                                ", so that there is a choice of what to evict"));
    }
    if (std::ranges::count(budgets, size.budget) == 0) {
      messages.push_back(concat(key, " lacks eviction.budget, which is ", size.budget,
                                ": validation is at that budget, so training must be too; add it"));
    }
  };
  check("supervised.budgets", config.supervised.budgets);
  check("grpo.budgets", config.grpo.budgets);
  return messages;
}

/// A file that is listed twice would have its rows twice: as training and as validation traces, perhaps.
Messages check_files_once(const Config& config) {
  Messages messages;
  const auto check = [&](const char* key, const std::vector<std::string>& files) {
    std::set<std::string> seen;
    for (const std::string& file : files) {
      if (!seen.insert(file).second)
        messages.push_back(concat(key, ": ", file, " is listed more than once; remove one"));
    }
  };
  check("data.train", config.data.train);
  check("data.evaluation", config.data.evaluation);
  return messages;
}

/// A budget that leaves no trace an eviction would never have its turn.
Messages check_budgets_of_traces(const Config& config) {
  Messages messages;
  const std::int64_t most = config.data.trace_tokens - config.eviction.window - 1;
  const auto check = [&](const char* key, const std::vector<std::int64_t>& budgets) {
    for (const std::int64_t budget : budgets) {
      if (!config.data.pack || budget <= most || budget == config.eviction.budget) continue;
      messages.push_back(concat(key, ": ", budget, " and eviction.window ", config.eviction.window,
                                " leave traces of data.trace_tokens ", config.data.trace_tokens,
                                " without an eviction; expected at most ", most));
    }
  };
  check("supervised.budgets", config.supervised.budgets);
  check("grpo.budgets", config.grpo.budgets);
  return messages;
}

Messages check_clamp(const Config& config) {
  if (config.grpo.reward_clamp_low_nats < config.grpo.reward_clamp_high_nats) return {};
  return {concat("grpo.reward_clamp_low_nats is ", config.grpo.reward_clamp_low_nats,
                 ": expected less than grpo.reward_clamp_high_nats, which is ",
                 config.grpo.reward_clamp_high_nats)};
}

Messages check_sweep(const Config& config) {
  Messages messages;
  const std::int64_t window = config.eviction.window;
  std::set<std::int64_t> seen;
  for (const std::int64_t budget : config.evaluation.budgets) {
    if (!seen.insert(budget).second)
      messages.push_back(concat("evaluation.budgets: ", budget, " is listed more than once; remove one"));
    if (budget >= window && budget % window == 0) continue;
    messages.push_back(concat("evaluation.budgets: ", budget, " is not a multiple of eviction.window ",
                              window, "; expected whole windows, at least one"));
  }
  return messages;
}

Messages check_recall(const Config& config) {
  if (config.evaluation.recall_facts == 0 || !config.evaluation.recall_evictions.empty()) return {};
  return {concat("evaluation.recall_evictions is empty and evaluation.recall_facts ",
                 config.evaluation.recall_facts,
                 ": expected at least one distance, or evaluation.recall_facts: 0")};
}

bool is_policy(const std::string& policy) {
  return is_scorer_path(policy) || std::ranges::count(policy_names(), policy) > 0;
}

std::string unknown_policy(const char* key, const std::string& policy) {
  return concat(key, ": \"", one_line(policy), "\" is not a policy; expected one of ",
                join(policy_names(), ", "), " or a path ending in .safetensors; the nearest is ",
                nearest_name(policy, policy_names()));
}

Messages check_policies(const Config& config) {
  Messages messages;
  std::set<std::string> seen;
  for (const std::string& policy : config.evaluation.policies) {
    if (!is_policy(policy)) messages.push_back(unknown_policy("evaluation.policies", policy));
    if (!seen.insert(policy).second) {
      messages.push_back(
          concat("evaluation.policies: \"", one_line(policy), "\" is listed more than once; remove one"));
    }
  }
  return messages;
}

Messages check_generation_policy(const Config& config) {
  const std::string& policy = config.generation.policy;
  if (policy == "golden") {
    return {
        "generation.policy: golden needs the future attention of a finished trace; expected another policy"};
  }
  if (!is_policy(policy)) return {unknown_policy("generation.policy", policy)};
  return {};
}

}  // namespace

const std::vector<Rule>& config_rules() {
  static const std::vector<Rule> rules = {
      {{"eviction.budget", "eviction.window"},
       "eviction.budget is a multiple of eviction.window, so that eviction steps fall on the ends of "
       "recorded blocks.",
       check_budget},
      {{"oracle.block_tokens", "eviction.window"},
       "oracle.block_tokens is 0 (the window) or divides eviction.window.",
       check_block},
      {{"eviction.budget", "eviction.window", "grpo.steps"},
       "eviction.budget is above eviction.window unless grpo.steps is 0, because with B = W there is nothing "
       "to choose.",
       check_grpo_budget},
      {{"data.trace_tokens", "data.pack", "eviction.budget", "eviction.window"},
       "With data.pack, data.trace_tokens is at least eviction.budget + eviction.window + 1; shorter traces "
       "have no eviction.",
       check_trace_length},
      {{"eviction.protect_sinks", "eviction.budget", "eviction.window"},
       "eviction.protect_sinks is at most eviction.budget - eviction.window.",
       check_protection},
      {{"supervised.budgets", "grpo.budgets", "eviction.budget", "eviction.window", "eviction.protect_sinks"},
       "supervised.budgets and grpo.budgets are empty, or multiples (from 2 on) of eviction.window with "
       "eviction.budget among them.",
       check_training_budgets},
      {{"supervised.budgets", "grpo.budgets", "eviction.window", "data.pack", "data.trace_tokens"},
       "With data.pack, supervised.budgets and grpo.budgets leave traces of data.trace_tokens an eviction.",
       check_budgets_of_traces},
      {{"data.train", "data.evaluation"},
       "data.train and data.evaluation list each file once.",
       check_files_once},
      {{"grpo.reward_clamp_low_nats", "grpo.reward_clamp_high_nats"},
       "grpo.reward_clamp_low_nats is below grpo.reward_clamp_high_nats.",
       check_clamp},
      {{"evaluation.budgets", "eviction.window"},
       "evaluation.budgets are multiples of eviction.window, each of them once.",
       check_sweep},
      {{"evaluation.recall_evictions", "evaluation.recall_facts"},
       "evaluation.recall_evictions has a distance unless evaluation.recall_facts is 0.",
       check_recall},
      {{"evaluation.policies"},
       "evaluation.policies lists known names or paths ending in .safetensors, each of them once.",
       check_policies},
      {{"generation.policy"},
       "generation.policy is a known name other than golden, or a path ending in .safetensors.",
       check_generation_policy},
  };
  return rules;
}

}  // namespace foresight
