#include "trainer/evaluation/evaluate_stage.h"

#include <torch/utils.h>

#include <algorithm>
#include <numeric>
#include <system_error>

#include "trainer/base/error.h"
#include "trainer/base/files.h"
#include "trainer/base/log.h"
#include "trainer/base/progress.h"
#include "trainer/base/text.h"
#include "trainer/base/version.h"
#include "trainer/comm/agreement.h"
#include "trainer/config/names.h"
#include "trainer/config/run_layout.h"
#include "trainer/evaluation/cost.h"
#include "trainer/evaluation/evaluation_json.h"
#include "trainer/evaluation/generation_measures.h"
#include "trainer/evaluation/problems.h"
#include "trainer/evaluation/scored_traces.h"
#include "trainer/evaluation/side_by_side.h"
#include "trainer/evaluation/training_cost.h"
#include "trainer/model/tensor_io.h"
#include "trainer/traces/shared_traces.h"
#include "trainer/training/training_session.h"

namespace foresight {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::int64_t kEvaluationSchemaVersion = 4;

/// What the prompts and answers of tasks depend on: file -> SHA-256; empty without tasks.
Json task_files(const Config& config) {
  Json files = Json::object();
  const EvaluationConfig& own = config.evaluation;
  if (own.tasks.empty() && own.passkey_tokens == 0 && own.continued_prompts == 0 && own.recall_facts == 0)
    return files;
  for (const std::string& file : config.evaluation.tasks) files[file] = sha256_file_hex(file);
  for (const char* name :
       {"tokenizer.json", "tokenizer_config.json", "generation_config.json", "chat_template.jinja"}) {
    const auto file = std::filesystem::path(config.model.path) / name;
    std::error_code none;
    if (std::filesystem::exists(file, none)) files[name] = sha256_file_hex(file);
  }
  return files;
}

/// Everything that the results depend on.
Json inputs_of(const Config& config, const Transformer& model, const std::vector<RecordedTrace>& traces) {
  std::string trace_tokens, recorded;
  for (const RecordedTrace& trace : traces) {
    trace_tokens += tensor_sha256(trace.tokens);
    recorded += tensor_sha256(trace.loss) + tensor_sha256(trace.entropy) + tensor_sha256(trace.completion) +
                std::to_string(trace.dimensions.block_tokens);
  }
  Json scorers = Json::object();
  for (const std::string& policy : config.evaluation.policies) {
    const std::filesystem::path file = scorer_file_of_policy(config, policy);
    if (!file.empty()) scorers[policy] = {{"file", file.string()}, {"sha256", sha256_file_hex(file)}};
  }
  return {{"model", config.model.path},
          {"model_fingerprint", model.fingerprint()},
          {"recorded_sha256", sha256_hex(recorded)},
          {"task_files", task_files(config)},
          {"dtype", model.dtype_name()},
          {"traces_sha256", sha256_hex(trace_tokens)},
          {"budget", config.eviction.budget},
          {"window", config.eviction.window},
          {"protect_sinks", config.eviction.protect_sinks},
          {"protect_prompt", config.eviction.protect_prompt},
          {"score", to_string(config.evaluation.score)},
          {"low_entropy_share", config.grpo.low_entropy_share},
          {"seed", config.runtime.seed},
          {"policies", config.evaluation.policies},
          {"budgets", config.evaluation.budgets},
          {"detail", config.evaluation.detail},
          {"random_seeds", config.evaluation.random_seeds},
          {"cost_contexts", config.evaluation.cost_contexts},
          {"cost_batch", config.evaluation.cost_batch},
          {"tasks", config.evaluation.tasks},
          {"task_problems", config.evaluation.task_problems},
          {"task_samples", config.evaluation.task_samples},
          {"task_instruction", config.evaluation.task_instruction},
          {"generation",
           {config.generation.max_new_tokens, config.generation.temperature, config.generation.top_p,
            config.generation.top_k}},
          {"passkey_tokens", config.evaluation.passkey_tokens},
          {"passkey_keys", config.evaluation.passkey_keys},
          {"continued_prompts", config.evaluation.continued_prompts},
          {"recall_facts", config.evaluation.recall_facts},
          {"recall_evictions", config.evaluation.recall_evictions},
          {"scorers", scorers}};
}

/// The evaluation in `file` if it has the same inputs; null otherwise.
Json stored_evaluation(const std::filesystem::path& file, const Json& inputs) {
  if (!std::filesystem::exists(file)) return nullptr;
  Json stored = Json::parse(read_file(file), nullptr, /*allow_exceptions=*/false);
  const bool usable = stored.is_object() &&
                      stored.value("schema_version", Json()) == kEvaluationSchemaVersion &&
                      stored.value("inputs", Json()) == inputs && stored.contains("policies");
  return usable ? stored : Json();
}

/// The runs of the random policy with several seeds as one: their mean, token by token.
PolicyRun mean_run(const std::vector<const PolicyRun*>& runs) {
  PolicyRun mean = *runs.front();
  const auto average = [&](std::vector<torch::Tensor> PolicyRun::*values) {
    for (std::size_t trace = 0; trace < (mean.*values).size(); ++trace) {
      std::vector<torch::Tensor> each;
      for (const PolicyRun* run : runs) each.push_back((run->*values)[trace]);
      (mean.*values)[trace] = torch::stack(each).mean(0);
    }
  };
  average(&PolicyRun::loss);
  average(&PolicyRun::divergence);
  average(&PolicyRun::agreement);
  for (std::size_t i = 1; i < runs.size(); ++i) mean.kept.add(runs[i]->kept);
  if (mean.held.defined()) {
    std::vector<torch::Tensor> held;
    for (const PolicyRun* run : runs) held.push_back(run->held);
    mean.held = torch::stack(held).mean(0);
  }
  return mean;
}

Policy make_policy(const Config& config, const std::string& name, const Transformer& model,
                   const CacheSize& size, std::int64_t seed, World& world) {
  const auto find = [&]() -> std::vector<std::filesystem::path> {
    const std::filesystem::path file = scorer_file_of_policy(config, name);
    if (file.empty()) return {};
    return {file};
  };
  const auto file = files_of_lead(world, find, "scorer of a policy");
  if (file.empty()) return rule_policy(name, size, seed);
  const Scorer scorer = Scorer::load(file.front(), model.shape());
  warn_if_made_for_other("policy " + name, scorer.facts(), size, model.fingerprint());
  return scorer_policy(name, scorer);
}

/// eviction.budget first, then the other budgets of the sweep.
std::vector<PolicySet> policy_sets(const Config& config, const Transformer& model, World& world) {
  std::vector<CacheSize> sizes = {config.eviction};
  for (const std::int64_t budget : config.evaluation.budgets) {
    if (budget != config.eviction.budget) sizes.push_back(config.eviction.with_budget(budget));
  }
  std::vector<PolicySet> sets;
  for (const CacheSize& size : sizes) {
    PolicySet set{.size = size, .policies = {}};
    for (const std::string& name : config.evaluation.policies) {
      if (name == "full") continue;
      const std::int64_t copies = name == "random" ? config.evaluation.random_seeds : 1;
      for (std::int64_t copy = 0; copy < copies; ++copy)
        set.policies.push_back(make_policy(config, name, model, size, config.runtime.seed + copy, world));
    }
    sets.push_back(std::move(set));
  }
  return sets;
}

/// Indices of the sets by ascending budget.
std::vector<std::size_t> by_budget(const std::vector<PolicySet>& sets) {
  std::vector<std::size_t> order(sets.size());
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(),
            [&](std::size_t a, std::size_t b) { return sets[a].size.budget < sets[b].size.budget; });
  return order;
}

/// Results in the order of evaluation.policies, runs of one name averaged.
std::vector<PolicyResult> score_set(const Config& config, const std::vector<PolicyRun>& runs,
                                    const std::vector<RecordedTrace>& traces, std::int64_t first_scored) {
  const ScoringOptions options{.first_scored = first_scored,
                               .score = config.evaluation.score,
                               .low_entropy_share = config.grpo.low_entropy_share,
                               .window = config.eviction.window};
  std::vector<PolicyResult> results;
  for (const std::string& name : config.evaluation.policies) {
    std::vector<const PolicyRun*> own;
    for (const PolicyRun& run : runs) {
      if (run.name == name) own.push_back(&run);
    }
    results.push_back(score_run(name == "full" ? full_run(traces) : mean_run(own), traces, options));
    if (own.size() < 2) continue;
    std::vector<RiseTails> tails;  // averaged losses would have smaller tails than each of the runs
    for (const PolicyRun* run : own) tails.push_back(tails_of(*run, traces, options));
    results.back().tails = mean_tails(tails);
  }
  return results;
}

/// Memory and speed of the full cache and of every policy that can generate (golden needs the future).
Json measured_cost(const Config& config, const Transformer& model, const PolicySet& set,
                   const RecordedTrace& trace) {
  const CostOptions options{set.size, config.evaluation.cost_contexts, config.evaluation.cost_batch};
  const std::vector<const RecordedTrace*> rows(static_cast<std::size_t>(options.batch), &trace);
  std::vector<MeasuredPolicy> policies = {{"full", std::nullopt, std::nullopt}};
  for (const Policy& policy : generating_policies(set))
    policies.push_back({policy.name, policy.make({&trace}), policy.make(rows)});
  Progress progress("cost", "tokens", cost_tokens(policies, options));
  std::int64_t done = 0;
  const auto costs = measure_cost(model, policies, options, trace.tokens,
                                  [&](std::int64_t tokens) { progress.update(done += tokens); });
  progress.finish();
  return cost_json(costs, options, torch::get_num_threads());
}

/// Which tokens of the first trace each policy still holds at its end.
Json token_view(const RecordedTrace& trace, const std::vector<PolicyRun>& runs, const Tokenizer& tokenizer) {
  Json view = {{"trace", trace.id}, {"tokens", Json::array()}, {"policies", Json::object()}};
  for (std::int64_t t = 0; t < trace.length(); ++t) {
    const auto token = static_cast<std::int32_t>(trace.tokens[t].item<std::int64_t>());
    view["tokens"].push_back(tokenizer.decode({&token, 1}));
  }
  for (const PolicyRun& run : runs) {
    if (!run.held.defined() || view["policies"].contains(run.name)) continue;
    const torch::Tensor held = run.held.contiguous();
    view["policies"][run.name] =
        std::vector<float>(held.const_data_ptr<float>(), held.const_data_ptr<float>() + held.numel());
  }
  return view;
}

/// "policies" at eviction.budget, and "sweep" where other budgets ran too.
Json scored_policies(const Config& config, const std::vector<RecordedTrace>& traces,
                     const std::vector<PolicySet>& sets, const std::vector<std::vector<PolicyRun>>& runs) {
  std::int64_t common_first = 0;
  for (const PolicySet& set : sets)
    common_first = std::max(common_first, first_scored_token(traces, set.size));
  const auto seed = static_cast<std::uint64_t>(config.runtime.seed);
  const auto scored = [&](std::size_t set, std::int64_t first) {
    return policies_json(score_set(config, runs[set], traces, first), seed);
  };
  Json json = {{"policies", scored(0, first_scored_token(traces, sets[0].size))}};
  if (sets.size() == 1) return json;
  for (const std::size_t set : by_budget(sets)) {
    json["sweep"].push_back({{"budget", sets[set].size.budget},
                             {"window", sets[set].size.window},
                             {"first_scored", common_first},
                             {"policies", scored(set, common_first)}});
  }
  return json;
}

/// Runs `make` on rank 0 and gives its result to all ranks.
template <class Make>
Json json_of_lead(World& world, const Make& make) {
  Json made;
  if (world.leads()) made = make();
  return Json::parse(world.broadcast(made.dump(), "evaluation"));
}

}  // namespace

std::filesystem::path scorer_file_of_policy(const Config& config, const std::string& name) {
  if (const auto stage = training_stage_named(name)) return best_scorer_file(config.output, *stage);
  if (name.ends_with(".safetensors")) return name;
  return {};
}

nlohmann::ordered_json run_evaluate(const Config& config, const Transformer& model,
                                    const Tokenizer& tokenizer, World& world) {
  const RunFolder run{config.output};
  const std::filesystem::path file = run.evaluation_file();
  const auto traces = load_shared_traces(world, run.oracle(), "evaluation", config.evaluation.max_traces,
                                         model.fingerprint(), tokenizer.fingerprint());
  require_losses_of(traces, model.dtype_name());
  require_scored_tokens(completions_of(traces), config);
  require_continued_prompts(config, model, completions_of(traces));
  const Json inputs = world.leads() ? inputs_of(config, model, traces) : Json();  // rank 0 decides for all
  Json evaluation = json_of_lead(world, [&] { return stored_evaluation(file, inputs); });
  if (!evaluation.is_null()) {
    log_info("evaluate: the results are already in " + file.string());
    return evaluation;
  }
  const std::vector<PolicySet> sets = policy_sets(config, model, world);
  Progress progress("evaluate", "tokens", run_tokens(traces, sets, config.evaluation.rows_per_pass, world));
  std::int64_t done = 0;
  const Detail detail = config.evaluation.detail ? Detail::kAll : Detail::kLosses;
  const auto runs = run_policies(
      model, traces, sets, detail, config.evaluation.rows_per_pass,
      [&](std::int64_t tokens) { progress.update(done += tokens); }, world);
  progress.finish();
  return json_of_lead(world, [&] {
    evaluation = {{"schema_version", kEvaluationSchemaVersion},
                  {"code_version", code_version()},
                  {"budget", config.eviction.budget},
                  {"window", config.eviction.window},
                  {"inputs", inputs}};
    const ModelShape& shape = model.shape();
    if (shape.evicting_layers() < shape.layers)
      evaluation["evicting_layers"] = shape.evicting_layer_numbers();
    evaluation.update(scored_policies(config, traces, sets, runs));
    if (!config.evaluation.cost_contexts.empty())
      evaluation["cost"] = measured_cost(config, model, sets[0], traces.front());
    Json training = training_cost(run.root);
    if (!training.empty()) evaluation["training"] = std::move(training);
    Json generation = measured_generation(config, model, tokenizer, sets[0], traces);
    if (!generation.empty()) evaluation["generation"] = std::move(generation);
    Json recall = measured_recall(config, model, tokenizer, sets[0]);
    if (!recall.is_null()) evaluation["recall"] = std::move(recall);
    if (config.evaluation.detail) evaluation["token_view"] = token_view(traces.front(), runs[0], tokenizer);
    write_file_atomically(file, evaluation.dump(2) + "\n");
    log_info("evaluate: wrote " + file.string());
    return evaluation;
  });
}

}  // namespace foresight
