#include "trainer/app/run_needs.h"

#include <unistd.h>

#include <algorithm>
#include <set>
#include <system_error>

#include "data/oracle_file.h"
#include "data/trace_rows.h"
#include "golden_eviction/oracle_stage.h"
#include "trainer/app/stage_table.h"
#include "trainer/base/error.h"
#include "trainer/base/files.h"
#include "trainer/base/progress.h"
#include "trainer/base/text.h"
#include "trainer/config/run_layout.h"
#include "trainer/eviction/evicted_pass.h"
#include "trainer/model_files/scorer_file.h"
#include "trainer/model_files/shard_index.h"
#include "trainer/supervised/feature_store.h"

namespace foresight {
namespace {

bool is_there(const std::filesystem::path& file) {
  std::error_code none;
  return std::filesystem::exists(file, none);
}

/// Of the weights as they are read, and in float32.
double weight_bytes_of(const std::filesystem::path& model) {
  std::set<std::string> names = {"model.safetensors"};
  if (!is_there(model / "model.safetensors"))
    names = read_shard_names(model / "model.safetensors.index.json");
  double bytes = 0;
  for (const std::string& name : names) {
    std::error_code none;
    const std::uintmax_t size = std::filesystem::file_size(model / name, none);
    if (!none) bytes += static_cast<double>(size);
  }
  return 2 * bytes;
}

/// As bytes that can be compared: a config may ask for more than 2^64.
std::uint64_t to_bytes(double bytes) {
  return static_cast<std::uint64_t>(std::min(bytes, 1e19));
}

/// Policies that run side by side on a trace.
std::int64_t policies_per_trace(const Config& config) {
  std::int64_t policies = 0;
  for (const std::string& policy : config.evaluation.policies)
    policies += policy == "full" ? 0 : policy == "random" ? config.evaluation.random_seeds : 1;
  return policies;
}

/// Passes over an evaluation trace: policies (random once a seed) at each budget, and full KV where
/// predictions are compared with it.
double evaluation_rows(const Config& config) {
  std::int64_t budgets = 1;
  for (const std::int64_t budget : config.evaluation.budgets)
    budgets += budget != config.eviction.budget ? 1 : 0;
  return static_cast<double>(policies_per_trace(config) * budgets + (config.evaluation.detail ? 1 : 0));
}

bool is_to_train(const Config& config, Stage stage) {
  const auto [checkpoint, steps] = training_keys(config, stage);
  if (steps == 0) return false;
  const auto newest = newest_checkpoint_step(RunFolder{config.output}.checkpoints(stage));
  return checkpoint.resume != "auto" || newest.value_or(-1) < steps;
}

double heads_of(const ModelShape& shape) {
  return static_cast<double>(shape.layers * shape.kv_heads);
}

double inputs_of(const ModelShape& shape) {
  return static_cast<double>(ScorerShape::of(shape).inputs);
}

/// Keys and values in float32 of one row of a pass.
double cache_bytes(const ModelShape& shape, double tokens) {
  return heads_of(shape) * static_cast<double>(2 * shape.head_dimension) * tokens * 4;
}

/// Half of the matrix in blocks of `block` queries, two bytes each: an oracle file, and what its pass
/// gathers.
double attention_bytes(const ModelShape& shape, double tokens, double block) {
  return heads_of(shape) * tokens * tokens / block;
}

/// Replayed features in float16 and what the oracle says of them in float32: a feature file, and its trace's
/// part of a replayed batch.
double feature_bytes(const Config& config, const ModelShape& shape, std::int64_t tokens) {
  const CacheSize size{config.eviction.budget, config.eviction.window};
  return heads_of(shape) * static_cast<double>(size.steps(tokens) * size.budget) * (2 * inputs_of(shape) + 4);
}

const SplitLengths* find_split(const std::vector<SplitLengths>& splits, const std::string& name) {
  const auto found = std::find_if(splits.begin(), splits.end(),
                                  [&](const SplitLengths& split) { return split.name == name; });
  return found == splits.end() ? nullptr : &*found;
}

std::int64_t longest_of(const SplitLengths* split) {
  std::int64_t longest = 0;
  if (split == nullptr) return longest;
  for (const TraceLength& trace : split->traces) longest = std::max(longest, trace.tokens);
  return longest;
}

/// Tokens of the passes of each stage, whichever of them is to run.
void count_tokens(const Config& config, const std::vector<SplitLengths>& splits, RunNeeds& needs) {
  const double rows_per_trace = evaluation_rows(config);
  for (const SplitLengths& split : splits) {
    for (const TraceLength& trace : split.traces) {
      const auto length = static_cast<double>(trace.tokens);
      needs.oracle_tokens += length;
      if (split.name == "train") needs.replay_tokens += length;
      if (split.name == "evaluation") needs.evaluation_tokens += length * rows_per_trace;
    }
  }
  needs.grpo_tokens = static_cast<double>(config.grpo.steps) *
                      static_cast<double>(config.grpo.group_size * config.grpo.traces_per_step) *
                      static_cast<double>(config.data.trace_tokens);
}

}  // namespace

StageNeeds traces_needs(const StageWork& work) {
  const auto& [config, shape, splits, ranks] = work;
  std::int64_t rows = 0;
  for (const std::string& file : config.traces.prompts)
    rows += static_cast<std::int64_t>(read_prompt_rows(file).size()) * config.traces.samples_per_prompt;
  return {.memory = static_cast<double>(std::min(config.traces.batch, rows)) *
                    cache_bytes(shape, static_cast<double>(config.traces.max_new_tokens)),
          .memory_keys = "traces.batch or traces.max_new_tokens"};
}

StageNeeds oracle_needs(const StageWork& work) {
  const auto& [config, shape, splits, ranks] = work;
  StageNeeds needs{.memory_keys = "data.trace_tokens"};
  for (const SplitLengths& split : splits) {
    for (const TraceLength& trace : split.traces) {
      if (trace.recorded) continue;
      const auto length = static_cast<double>(trace.tokens);
      const double attention =
          attention_bytes(shape, length, static_cast<double>(recorded_block_tokens(config)));
      needs.disk += attention;
      needs.memory = std::max(needs.memory, attention + cache_bytes(shape, length));
    }
  }
  return needs;
}

StageNeeds supervised_needs(const StageWork& work) {
  const auto& [config, shape, splits, ranks] = work;
  const SplitLengths* const train = find_split(splits, "train");
  StageNeeds needs{.memory_keys = "data.trace_tokens or eviction.budget"};
  if (train == nullptr || !is_to_train(config, Stage::kSupervised)) return needs;
  const std::filesystem::path features = RunFolder{config.output}.features();
  for (const TraceLength& trace : train->traces) {
    if (!is_there(features / (trace.id + ".safetensors")))
      needs.disk += feature_bytes(config, shape, trace.tokens);
  }
  const std::int64_t longest = longest_of(train);
  const auto together = static_cast<double>(std::min(kTracesPerReplay, train->traces.size()));
  needs.memory =
      together * feature_bytes(config, shape, longest) +
      4 * attention_bytes(shape, static_cast<double>(longest), static_cast<double>(config.eviction.window));
  return needs;
}

StageNeeds grpo_needs(const StageWork& work) {
  const auto& [config, shape, splits, ranks] = work;
  const GrpoConfig& grpo = config.grpo;
  const SplitLengths* const train = find_split(splits, "train");
  StageNeeds needs{.memory_keys = "grpo.group_size, grpo.traces_per_step or grpo.rollouts_per_pass"};
  if (train == nullptr || !is_to_train(config, Stage::kGrpo)) return needs;
  const CacheSize size{config.eviction.budget, config.eviction.window};
  const std::int64_t rollouts = grpo.group_size * grpo.traces_per_step;
  const std::int64_t per_unit = std::min(grpo.rollouts_per_pass, rollouts);
  const std::int64_t units = (rollouts + per_unit - 1) / per_unit;
  const std::int64_t own = std::min(rollouts, (units + ranks - 1) / ranks * per_unit);
  const std::int64_t stored = grpo.likelihood == Likelihood::kPlackettLuce
                                  ? std::min(size.budget, grpo.shortlist_windows * size.window)
                                  : size.budget;
  const double step = heads_of(shape) * static_cast<double>(stored) * inputs_of(shape) * 4;
  needs.memory =
      static_cast<double>(per_unit) * cache_bytes(shape, static_cast<double>(size.budget + size.window)) +
      static_cast<double>(own) * static_cast<double>(size.steps(longest_of(train))) * step;
  return needs;
}

StageNeeds evaluate_needs(const StageWork& work) {
  const auto& [config, shape, splits, ranks] = work;
  const SplitLengths* const traces = find_split(splits, "evaluation");
  StageNeeds needs{.memory_keys =
                       "evaluation.rows_per_pass or evaluation.budgets, or set evaluation.detail=false"};
  const auto longest = static_cast<double>(longest_of(traces));
  if (longest == 0) return needs;
  std::int64_t budget = config.eviction.budget;
  for (const std::int64_t other : config.evaluation.budgets) budget = std::max(budget, other);
  const std::int64_t policies = std::max<std::int64_t>(1, policies_per_trace(config));
  const std::int64_t together =
      std::min(static_cast<std::int64_t>(traces->traces.size()),
               std::max<std::int64_t>(1, config.evaluation.rows_per_pass / policies));
  const double attention = 4 * attention_bytes(shape, longest, static_cast<double>(config.eviction.window));
  needs.memory = static_cast<double>(together * policies) *
                     cache_bytes(shape, static_cast<double>(budget + config.eviction.window)) +
                 attention;
  if (config.evaluation.detail)
    needs.memory += static_cast<double>(2 * together) * attention + cache_bytes(shape, longest);
  return needs;
}

std::vector<SplitLengths> lengths_of(const Config& config, const std::vector<TraceSplit>& splits) {
  const std::filesystem::path oracle = RunFolder{config.output}.oracle();
  std::vector<SplitLengths> lengths;
  for (const TraceSplit& split : splits) {
    lengths.push_back({split.name, {}});
    for (std::size_t i = 0; i < split.traces.size(); ++i) {
      const auto file = oracle_file_path(oracle, split.name, static_cast<std::int64_t>(i));
      lengths.back().traces.push_back(
          {file.stem().string(), static_cast<std::int64_t>(split.traces[i].tokens.size()), is_there(file)});
    }
  }
  return lengths;
}

std::vector<SplitLengths> recorded_lengths(const Config& config) {
  std::vector<SplitLengths> lengths;
  const std::vector<std::pair<std::string, std::int64_t>> used = {
      {"train", config.data.max_train_traces}, {"evaluation", config.evaluation.max_traces}};
  for (const auto& [name, most] : used) {
    SplitLengths split{name, {}};
    for (const auto& file : oracle_files(RunFolder{config.output}.oracle(), name)) {
      if (static_cast<std::int64_t>(split.traces.size()) >= most) break;
      try {
        split.traces.push_back({file.stem().string(), OracleReader(file).dimensions().tokens, true});
      } catch (const Error&) {
        continue;  // load_recorded_traces() tells
      }
    }
    lengths.push_back(std::move(split));
  }
  return lengths;
}

RunNeeds estimate_needs(const Config& config, const ModelShape& shape,
                        const std::vector<SplitLengths>& splits, const std::vector<Stage>& stages,
                        const RankCounts& ranks) {
  RunNeeds result;
  count_tokens(config, splits, result);
  double disk = 0, memory = 0;
  for (const Stage stage : stages) {
    const StageNeeds needs = stage_entry(stage).needs({config, shape, splits, ranks.all});
    disk += needs.disk;
    if (needs.memory > memory) result.memory_keys = needs.memory_keys;
    memory = std::max(memory, needs.memory);
  }
  result.disk_bytes = to_bytes(disk);
  result.memory_bytes =
      to_bytes((weight_bytes_of(config.model.path) + memory) * static_cast<double>(ranks.on_this_host));
  return result;
}

MachineRoom machine_room(const Config& config) {
  return {.disk_bytes = free_disk_bytes(config.output),
          .memory_bytes = static_cast<std::uint64_t>(sysconf(_SC_PHYS_PAGES)) *
                          static_cast<std::uint64_t>(sysconf(_SC_PAGE_SIZE))};
}

void require_room(const Config& config, const RunNeeds& needs, const MachineRoom& room,
                  const ModelOptions& options) {
  if (needs.disk_bytes > room.disk_bytes) {
    throw Error(ErrorKind::kResource,
                concat("disk: the run needs about ", format_bytes(needs.disk_bytes), " more, ",
                       format_bytes(room.disk_bytes), " are free under ", config.output,
                       ": choose another `output`, or lower data.max_train_traces"));
  }
  if (!options.device.is_cuda() && needs.memory_bytes > room.memory_bytes) {
    throw Error(ErrorKind::kResource,
                concat("memory: the run needs about ", format_bytes(needs.memory_bytes), ", the machine has ",
                       format_bytes(room.memory_bytes),
                       needs.memory_keys.empty() ? ": take a smaller model or another machine" : ": lower ",
                       needs.memory_keys));
  }
}

}  // namespace foresight
