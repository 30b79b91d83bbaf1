#include <unistd.h>

#include <iostream>

#include "golden_eviction/oracle_stage.h"
#include "trainer/app/commands.h"
#include "trainer/app/workspace.h"
#include "trainer/base/error.h"
#include "trainer/base/files.h"
#include "trainer/base/progress.h"
#include "trainer/base/text.h"
#include "trainer/evaluation/evaluate_stage.h"
#include "trainer/eviction/evicted_pass.h"
#include "trainer/scorer/scorer.h"

namespace foresight {
namespace {

/// What a run will ask of the machine.
struct Estimate {
  std::uint64_t disk_bytes = 0, memory_bytes = 0;
  double oracle_tokens = 0, replay_tokens = 0, grpo_tokens = 0, evaluation_tokens = 0;
};

/// Passes over an evaluation trace: policies (random once a seed) at each budget, and full KV where
/// predictions are compared with it.
double evaluation_rows(const Config& config) {
  std::int64_t rows = 0, budgets = 1;
  for (const std::string& policy : config.evaluation.policies)
    rows += policy == "full" ? 0 : policy == "random" ? config.evaluation.random_seeds : 1;
  for (const std::int64_t budget : config.evaluation.budgets)
    budgets += budget != config.eviction.budget ? 1 : 0;
  return static_cast<double>(rows * budgets + (config.evaluation.detail ? 1 : 0));
}

Estimate estimate(const Config& config, const ModelShape& shape, const std::vector<TraceSplit>& splits,
                  std::uint64_t weight_bytes) {
  const CacheSize size{config.eviction.budget, config.eviction.window};
  const auto heads = static_cast<double>(shape.layers * shape.kv_heads);
  const auto inputs = static_cast<double>(2 * shape.head_dimension + kStatisticsPerHead * shape.group());
  const auto block = static_cast<double>(recorded_block_tokens(config));
  Estimate result;
  double disk = 0, steps_longest = 0;
  const double rows_per_trace = evaluation_rows(config);
  for (const TraceSplit& split : splits) {
    for (const TokenRow& trace : split.traces) {
      const auto length = static_cast<double>(trace.tokens.size());
      const auto steps = static_cast<double>(size.steps(static_cast<std::int64_t>(trace.tokens.size())));
      result.oracle_tokens += length;
      disk += heads * length * length / block;  // half of the matrix, two bytes each
      if (split.name == "train") {
        result.replay_tokens += length;
        disk += heads * steps * static_cast<double>(size.budget) * (2 * inputs + 4);
        steps_longest = std::max(steps_longest, steps);
      }
      if (split.name == "evaluation") result.evaluation_tokens += length * rows_per_trace;
    }
  }
  const auto rollouts = static_cast<double>(config.grpo.group_size * config.grpo.traces_per_step);
  const auto stored =
      static_cast<double>(config.grpo.likelihood == Likelihood::kPlackettLuce
                              ? std::min(size.budget, config.grpo.shortlist_windows * size.window)
                              : size.budget);
  result.grpo_tokens =
      static_cast<double>(config.grpo.steps) * rollouts * static_cast<double>(config.data.trace_tokens);
  const auto rows = std::max(rollouts, static_cast<double>(config.evaluation.rows_per_pass));
  const double cache =
      rows * heads * static_cast<double>((size.budget + size.window) * 2 * shape.head_dimension * 4);
  result.disk_bytes = static_cast<std::uint64_t>(disk);
  result.memory_bytes =
      weight_bytes * 2 +
      static_cast<std::uint64_t>(cache + heads * steps_longest * rollouts * stored * inputs * 4);
  return result;
}

/// Tokens per second of a short full pass, to say about how long a run takes.
double measured_speed(const Transformer& model) {
  const torch::Tensor tokens = torch::zeros({256}, torch::kInt64);
  full_pass(model, tokens, 256);
  const auto started = std::chrono::steady_clock::now();
  full_pass(model, tokens, 256);
  return 256.0 / std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
}

}  // namespace

void command_validate(const Config& config) {
  const Workspace workspace = open_workspace(config);
  const ModelShape& shape = workspace.model.shape();
  if (!config.scorer.initial.empty()) Scorer::load(config.scorer.initial, shape);
  if (!config.grpo.start.empty()) Scorer::load(config.grpo.start, shape);
  for (const std::string& policy : config.evaluation.policies) {
    if (policy.ends_with(".safetensors")) Scorer::load(policy, shape);
  }
  const std::vector<TraceSplit> splits =
      make_trace_splits(config, workspace.tokenizer, shape.vocabulary_size);
  std::uint64_t weight_bytes = 0;
  for (const auto& entry : std::filesystem::directory_iterator(config.model.path)) {
    if (entry.path().extension() == ".safetensors") weight_bytes += entry.file_size();
  }
  const Estimate needs = estimate(config, shape, splits, weight_bytes);
  const std::uint64_t disk = free_disk_bytes(config.output);
  const std::uint64_t memory = static_cast<std::uint64_t>(sysconf(_SC_PHYS_PAGES)) *
                               static_cast<std::uint64_t>(sysconf(_SC_PAGE_SIZE));
  const double speed = measured_speed(workspace.model);
  const auto about = [&](double tokens) { return format_duration(tokens / speed); };
  std::cout << "config      valid; output " << config.output << "\n";
  for (const TraceSplit& split : splits)
    std::cout << "data        " << split.name << ": " << split.traces.size() << " traces\n";
  std::cout << "rows        no evaluation row stands in the training files\n";
  std::cout << "disk        about " << format_bytes(needs.disk_bytes) << " needed, " << format_bytes(disk)
            << " free\n";
  std::cout << "memory      about " << format_bytes(needs.memory_bytes) << " needed, " << format_bytes(memory)
            << " in the machine\n";
  std::cout << "speed       " << static_cast<std::int64_t>(speed) << " tokens/s in a full pass ("
            << workspace.model.dtype_name() << ")\n";
  std::cout << "would run   oracle " << about(needs.oracle_tokens) << ", replay "
            << about(needs.replay_tokens) << ", supervised " << config.supervised.steps << " steps, grpo "
            << config.grpo.steps << " steps " << about(needs.grpo_tokens) << ", evaluate "
            << about(needs.evaluation_tokens) << " (estimates of the model's passes)\n"
            << std::flush;
  if (needs.disk_bytes > disk) {
    throw Error(ErrorKind::kResource, concat("disk: the run needs about ", format_bytes(needs.disk_bytes),
                                             ", ", format_bytes(disk), " are free under ", config.output));
  }
  if (needs.memory_bytes > memory) {
    throw Error(ErrorKind::kResource,
                concat("memory: the run needs about ", format_bytes(needs.memory_bytes), ", the machine has ",
                       format_bytes(memory), ": lower grpo.group_size or grpo.traces_per_step"));
  }
}

}  // namespace foresight
