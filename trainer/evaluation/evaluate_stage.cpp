#include "trainer/evaluation/evaluate_stage.h"

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "trainer/base/error.h"
#include "trainer/base/files.h"
#include "trainer/base/log.h"
#include "trainer/base/progress.h"
#include "trainer/base/text.h"
#include "trainer/base/version.h"
#include "trainer/config/names.h"
#include "trainer/training/training_session.h"

namespace foresight {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::int64_t kEvaluationSchemaVersion = 1;

/// Everything that the results depend on.
Json inputs_of(const Config& config, const Transformer& model, const std::vector<RecordedTrace>& traces) {
  std::string trace_tokens;
  for (const RecordedTrace& trace : traces) {
    const torch::Tensor tokens = trace.tokens.contiguous();
    trace_tokens += sha256_hex({reinterpret_cast<const char*>(tokens.const_data_ptr()), tokens.nbytes()});
  }
  Json scorers = Json::object();
  for (const std::string& policy : config.evaluation.policies) {
    const std::filesystem::path file = scorer_file_of_policy(config, policy);
    if (!file.empty()) scorers[policy] = {{"file", file.string()}, {"sha256", sha256_file_hex(file)}};
  }
  return {{"model", config.model.path},
          {"model_fingerprint", model.fingerprint()},
          {"dtype", model.dtype_name()},
          {"traces_sha256", sha256_hex(trace_tokens)},
          {"budget", config.eviction.budget},
          {"window", config.eviction.window},
          {"score", to_string(config.evaluation.score)},
          {"low_entropy_share", config.grpo.low_entropy_share},
          {"seed", config.runtime.seed},
          {"policies", config.evaluation.policies},
          {"scorers", scorers}};
}

Json to_json(const PolicyResult& result) {
  return {{"loss", result.loss},
          {"loss_rise", result.loss_rise},
          {"loss_ratio", result.loss_ratio},
          {"low_entropy_loss_rise", result.low_entropy_loss_rise},
          {"tokens", result.tokens},
          {"traces", result.traces},
          {"trace_loss_rise", result.trace_loss_rise}};
}

PolicyResult from_json(const std::string& name, const Json& json) {
  return {.name = name,
          .loss = json.at("loss").get<double>(),
          .loss_rise = json.at("loss_rise").get<double>(),
          .loss_ratio = json.at("loss_ratio").get<double>(),
          .low_entropy_loss_rise = json.at("low_entropy_loss_rise").get<double>(),
          .tokens = json.at("tokens").get<std::int64_t>(),
          .traces = json.at("traces").get<std::int64_t>(),
          .trace_loss_rise = json.at("trace_loss_rise").get<std::vector<double>>()};
}

/// Results that stand in `file` for the same inputs; empty where there are none.
std::vector<PolicyResult> stored_results(const std::filesystem::path& file, const Json& inputs) {
  std::vector<PolicyResult> results;
  if (!std::filesystem::exists(file)) return results;
  const Json stored = Json::parse(read_file(file), nullptr, /*allow_exceptions=*/false);
  try {
    if (stored.at("schema_version") != kEvaluationSchemaVersion || stored.at("inputs") != inputs)
      return results;
    for (const auto& [name, json] : stored.at("policies").items()) results.push_back(from_json(name, json));
  } catch (const nlohmann::json::exception&) {
    log_warning(file.string() + ": not an evaluation of this program; evaluating again");
    results.clear();
  }
  return results;
}

Policy make_policy(const Config& config, const std::string& name, const Transformer& model,
                   const CacheSize& size) {
  const std::filesystem::path file = scorer_file_of_policy(config, name);
  if (file.empty()) return rule_policy(name, size, config.runtime.seed);
  const Scorer scorer = Scorer::load(file, model.shape());
  if (scorer.facts().window != 0 && scorer.facts().window != size.window) {
    log_warning(concat("policy ", name, ": trained with window ", scorer.facts().window, ", evaluated with ",
                       size.window));
  }
  if (!scorer.facts().model_fingerprint.empty() && scorer.facts().model_fingerprint != model.fingerprint()) {
    log_warning(concat("policy ", name, ": trained for another model than ", config.model.path));
  }
  return scorer_policy(name, scorer);
}

}  // namespace

std::filesystem::path scorer_file_of_policy(const Config& config, const std::string& name) {
  if (name == "supervised" || name == "grpo") return best_scorer_file(config.output, name);
  if (name.ends_with(".safetensors")) return name;
  return {};
}

std::vector<PolicyResult> run_evaluate(const Config& config, const Transformer& model,
                                       const Tokenizer& tokenizer) {
  const CacheSize size{config.eviction.budget, config.eviction.window};
  const std::filesystem::path output = config.output, file = output / "evaluation.json";
  const auto traces =
      load_recorded_traces(output / "oracle", "evaluation", model.fingerprint(), tokenizer.fingerprint());
  const Json inputs = inputs_of(config, model, traces);
  std::vector<PolicyResult> results = stored_results(file, inputs);
  if (!results.empty()) {
    log_info("evaluate: results stand in " + file.string() + " already");
    return results;
  }
  std::vector<Policy> policies;
  for (const std::string& name : config.evaluation.policies) {
    if (name != "full") policies.push_back(make_policy(config, name, model, size));
  }
  const EvaluationOptions options{.size = size,
                                  .score = config.evaluation.score,
                                  .low_entropy_share = config.grpo.low_entropy_share,
                                  .rows_per_pass = config.evaluation.rows_per_pass};
  Progress progress("evaluate", "tokens", evaluation_tokens(traces, policies.size(), size));
  std::int64_t done = 0;
  const auto measured = evaluate_policies(model, traces, policies, options,
                                          [&](std::int64_t tokens) { progress.update(done += tokens); });
  progress.finish();
  Json by_name = Json::object();
  for (const std::string& name : config.evaluation.policies) {
    const auto found =
        std::find_if(measured.begin(), measured.end(), [&](const PolicyResult& r) { return r.name == name; });
    results.push_back(*found);
    by_name[name] = to_json(*found);
  }
  const Json document = {{"schema_version", kEvaluationSchemaVersion},
                         {"code_version", code_version()},
                         {"budget", size.budget},
                         {"window", size.window},
                         {"inputs", inputs},
                         {"policies", by_name}};
  write_file_atomically(file, document.dump(2) + "\n");
  log_info("evaluate: wrote " + file.string());
  return results;
}

std::string evaluation_table(const Config& config, const std::vector<PolicyResult>& results) {
  std::string table = concat("budget ", config.eviction.budget, ", window ", config.eviction.window, ": ",
                             results.empty() ? 0 : results.front().tokens, " scored tokens of ",
                             results.empty() ? 0 : results.front().traces, " held-out traces\n");
  char line[160];
  std::snprintf(line, sizeof line, "%-22s %9s %10s %10s %16s\n", "policy", "loss", "loss rise", "ratio",
                "low-entropy rise");
  table += line;
  for (const PolicyResult& result : results) {
    std::string name = result.name == "grpo" ? "supervised + RL" : result.name;
    if (name.size() > 22) name = concat("...", name.substr(name.size() - 19));
    std::snprintf(line, sizeof line, "%-22s %9.4f %+10.4f %10.4f %+16.4f\n", name.c_str(), result.loss,
                  result.loss_rise, result.loss_ratio, result.low_entropy_loss_rise);
    table += line;
  }
  return table;
}

}  // namespace foresight
