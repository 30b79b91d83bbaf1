#include "trainer/app/run_needs.h"

#include <unistd.h>

#include <algorithm>
#include <set>
#include <system_error>

#include "data/oracle_file.h"
#include "data/trace_rows.h"
#include "golden_eviction/oracle_stage.h"
#include "trainer/app/stage_table.h"
#include "trainer/base/cores.h"
#include "trainer/base/error.h"
#include "trainer/base/files.h"
#include "trainer/base/progress.h"
#include "trainer/base/text.h"
#include "trainer/config/names.h"
#include "trainer/config/run_layout.h"
#include "trainer/evaluation/recall.h"
#include "trainer/model/device_memory.h"
#include "trainer/model_files/shard_index.h"
#include "trainer/supervised/cached_states.h"
#include "trainer/supervised/round_states.h"
#include "trainer/supervised/rounds.h"
#include "trainer/supervised/supervised_stage.h"

namespace foresight {
namespace {

/// Of the weights as they lie on the disk; where they do not, `expected`.
double file_bytes_of(const std::filesystem::path& model, double expected) {
  const std::filesystem::path index = model / "model.safetensors.index.json";
  std::set<std::string> names = {"model.safetensors"};
  if (!is_there(model / "model.safetensors") && is_there(index)) names = read_shard_names(index);
  double bytes = 0;
  for (const std::string& name : names) {
    std::error_code none;
    const std::uintmax_t size = std::filesystem::file_size(model / name, none);
    if (!none) bytes += static_cast<double>(size);
  }
  return bytes > 0 ? bytes : expected;
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

/// Tokens of the texts that an evaluation writes or decodes under its policies, golden apart: prompts that
/// are continued, taken as a budget long and never ended early, and planted facts.
double decoded_tokens(const Config& config) {
  const EvaluationConfig& own = config.evaluation;
  const auto policies =
      std::count_if(own.policies.begin(), own.policies.end(),
                    [](const std::string& policy) { return policy != "full" && policy != "golden"; });
  const auto continued = static_cast<double>(std::min(own.continued_prompts, own.max_traces)) *
                         static_cast<double>(config.eviction.budget + config.generation.max_new_tokens);
  return continued * static_cast<double>(policies + 1) +
         static_cast<double>(recall_tokens(config.eviction, recall_options(config), policies));
}

bool is_to_train(const Config& config, Stage stage) {
  const auto [checkpoint, steps] = training_keys(config, stage);
  if (steps == 0) return false;
  const auto newest = newest_checkpoint_step(RunFolder{config.output}.checkpoints(stage));
  return checkpoint.resume != "auto" || newest.value_or(-1) < steps;
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

/// A stage that reads `split`, if any.
StageSetting setting_of(const StageWork& work, const SplitLengths* split) {
  return {.config = &work.config,
          .shape = &work.shape,
          .options = work.options,
          .traces = split == nullptr ? 0 : static_cast<std::int64_t>(split->traces.size()),
          .longest_tokens = longest_of(split),
          .ranks = work.ranks};
}

/// How often a training trace is replayed: once a round where states are stored, else whenever a step takes
/// it; golden states beside own ones once more, unless they are stored already.
double replays_of_a_trace(const Config& config, const ModelShape& shape, const SplitLengths& train) {
  const SupervisedConfig& stage = config.supervised;
  if (train.traces.empty()) return 0;
  std::vector<std::int64_t> lengths;
  for (const TraceLength& trace : train.traces) lengths.push_back(trace.tokens);
  const bool both = stage.states == TrainingStates::kBoth;
  const std::int64_t own_rounds = round_of_step(stage, stage.steps - 1).index;
  if (stage.features == FeatureSource::kCache || cached_rounds_of(config, shape, lengths)) {
    const bool sizes_change = stage.budgets.size() > 1;
    return static_cast<double>(1 + own_rounds + (both && sizes_change ? own_rounds : 0));
  }
  const std::int64_t golden_steps = round_of_step(stage, 0).steps;
  const std::int64_t replays = stage.steps + (both ? stage.steps - golden_steps : 0);
  return static_cast<double>(replays * stage.traces_per_step) / static_cast<double>(lengths.size());
}

/// What the states of the rounds from `first` on still take of the disk in `folder`.
double disk_of_states(const StageWork& work, const SplitLengths& train,
                      const std::vector<CachedRound>& rounds, const std::filesystem::path& folder,
                      std::size_t first) {
  double bytes = 0;
  for (std::size_t i = 0; i < train.traces.size(); ++i) {
    if (is_there(folder / (train.traces[i].id + ".safetensors"))) continue;
    double most = 0;  // a round's file replaces that of the round before
    for (std::size_t r = first; r < rounds.size(); ++r) {
      const std::vector<std::int64_t>& evictions = rounds[r].evictions[i];
      if (evictions.empty()) continue;
      most = std::max(most, cached_bytes(work.shape, work.config.scorer.features, rounds[r].sizes[i],
                                         static_cast<std::int64_t>(evictions.size()), evictions.back()));
    }
    bytes += most;
  }
  return bytes;
}

/// Tokens of the passes of each stage, whichever of them is to run.
void count_tokens(const Config& config, const ModelShape& shape, const std::vector<SplitLengths>& splits,
                  RunNeeds& needs) {
  const double rows_per_trace = evaluation_rows(config);
  for (const SplitLengths& split : splits) {
    const double replays = split.name == "train" ? replays_of_a_trace(config, shape, split) : 0;
    for (const TraceLength& trace : split.traces) {
      const auto length = static_cast<double>(trace.tokens);
      needs.oracle_tokens += length;
      needs.replay_tokens += length * replays;
      if (split.name == "evaluation") needs.evaluation_tokens += length * rows_per_trace;
    }
  }
  needs.evaluation_tokens += decoded_tokens(config);
  needs.grpo_tokens = static_cast<double>(config.grpo.steps) *
                      static_cast<double>(config.grpo.group_size * config.grpo.traces_per_step) *
                      static_cast<double>(config.data.trace_tokens);
}

}  // namespace

StageNeeds traces_needs(const StageWork& work) {
  const TracesConfig& traces = work.config.traces;
  std::int64_t rows = 0;
  for (const std::string& file : traces.prompts)
    rows += static_cast<std::int64_t>(read_prompt_rows(file).size()) * traces.samples_per_prompt;
  return {.disk = 0, .memory = generation_memory(setting_of(work, nullptr), std::min(traces.batch, rows))};
}

StageNeeds oracle_needs(const StageWork& work) {
  const ModelShape& shape = work.shape;
  const auto block = static_cast<double>(recorded_block_tokens(work.config));
  StageSetting setting = setting_of(work, nullptr);
  StageNeeds needs;
  double largest = 0;
  for (const SplitLengths& split : work.splits) {
    for (const TraceLength& trace : split.traces) {
      if (trace.recorded) continue;
      const auto length = static_cast<double>(trace.tokens);
      const double bytes =
          static_cast<double>(shape.evicting_layers() * shape.kv_heads) * length * length / block;
      needs.disk += bytes;
      largest = std::max(largest, bytes);
      setting.longest_tokens = std::max(setting.longest_tokens, trace.tokens);
    }
  }
  if (setting.longest_tokens == 0) return needs;
  needs.disk += largest * static_cast<double>(setting.ranks);
  needs.memory = oracle_memory(setting);
  return needs;
}

StageNeeds supervised_needs(const StageWork& work) {
  const Config& config = work.config;
  const SplitLengths* const train = find_split(work.splits, "train");
  StageNeeds needs;
  if (train == nullptr || !is_to_train(config, Stage::kSupervised)) return needs;
  std::vector<std::int64_t> lengths;
  for (const TraceLength& trace : train->traces) lengths.push_back(trace.tokens);
  const auto cached = cached_rounds_of(config, work.shape, lengths);
  const RunFolder run{config.output};
  if (cached) needs.disk += disk_of_states(work, *train, *cached, run.features(), 0);
  if (cached && config.supervised.states == TrainingStates::kBoth)
    needs.disk += disk_of_states(work, *train, *cached, run.own_features(), 1);
  needs.memory = supervised_memory(setting_of(work, train), cached.has_value());
  return needs;
}

StageNeeds grpo_needs(const StageWork& work) {
  const SplitLengths* const train = find_split(work.splits, "train");
  if (train == nullptr || !is_to_train(work.config, Stage::kGrpo)) return {};
  return {.disk = 0, .memory = grpo_memory(setting_of(work, train))};
}

StageNeeds evaluate_needs(const StageWork& work) {
  const StageSetting setting = setting_of(work, find_split(work.splits, "evaluation"));
  if (setting.longest_tokens == 0) return {};
  return {.disk = 0, .memory = evaluation_memory(setting, policies_per_trace(work.config))};
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

std::vector<SplitLengths> planned_lengths(const Config& config) {
  const std::vector<std::pair<std::string, std::int64_t>> planned = {
      {"train", config.data.max_train_traces},
      {"validation", config.data.validation_traces},
      {"evaluation", config.data.evaluation.empty() ? 0 : config.evaluation.max_traces}};
  std::vector<SplitLengths> lengths;
  for (const auto& [name, count] : planned) {
    SplitLengths split{name, {}};
    for (std::int64_t i = 0; i < count; ++i)
      split.traces.push_back({concat(name, "-", i), config.data.trace_tokens, false});
    lengths.push_back(std::move(split));
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
        continue;  // load_shared_traces() tells
      }
    }
    lengths.push_back(std::move(split));
  }
  return lengths;
}

RunNeeds estimate_needs(const Config& config, const ModelShape& shape, const ModelOptions& options,
                        const std::vector<SplitLengths>& splits, const std::vector<Stage>& stages,
                        const RankCounts& ranks) {
  RunNeeds result;
  count_tokens(config, shape, splits, result);
  const StageWork work{config, shape, options, splits, ranks.all};
  const std::vector<MemoryItem> model = model_memory(setting_of(work, nullptr));
  const auto on_host = static_cast<double>(ranks.on_this_host);
  double disk = 0, largest = -1;
  // Weights are read from a mapped file, and stand beside it then.
  double host = host_bytes(model, options) + file_bytes_of(config.model.path, model.back().bytes);
  for (const Stage stage : stages) {
    StageNeeds needs = stage_entry(stage).needs(work);
    disk += needs.disk;
    needs.memory.insert(needs.memory.begin(), model.begin(), model.end());
    host = std::max(host, host_bytes(needs.memory, options));
    const double device = device_bytes(needs.memory, options);
    result.device_bytes = std::max(result.device_bytes, to_bytes(device));
    const double both = host_bytes(needs.memory, options) + device;
    if (both <= largest) continue;
    largest = both;
    result.largest_stage = to_string(stage);
    result.items = std::move(needs.memory);
  }
  std::stable_sort(result.items.begin(), result.items.end(),
                   [](const MemoryItem& a, const MemoryItem& b) { return a.bytes > b.bytes; });
  for (const MemoryItem& item : result.items) {
    if (item.keys.empty()) continue;
    result.memory_keys = item.keys;
    break;
  }
  result.disk_bytes = to_bytes(disk);
  result.memory_bytes = to_bytes(host * on_host);
  return result;
}

MachineRoom machine_room(const Config& config, const ModelOptions& options) {
  const std::uint64_t machine = static_cast<std::uint64_t>(sysconf(_SC_PHYS_PAGES)) *
                                static_cast<std::uint64_t>(sysconf(_SC_PAGE_SIZE));
  return {.disk_bytes = free_disk_bytes(config.output),
          .memory_bytes = std::min(machine, group_limits().memory_bytes.value_or(machine)),
          .device_bytes = device_memory_bytes(options.device)};
}

void require_room(const Config& config, const RunNeeds& needs, const MachineRoom& room) {
  if (needs.disk_bytes > room.disk_bytes) {
    throw Error(ErrorKind::kResource,
                concat("disk: the run needs about ", format_bytes(needs.disk_bytes), " more, but only ",
                       format_bytes(room.disk_bytes), " is free under ", config.output,
                       ": choose another `output`, or lower data.max_train_traces"));
  }
  const std::string advice = needs.memory_keys.empty() ? ": take a smaller model or another machine"
                                                       : ": lower " + needs.memory_keys;
  const std::string largest =
      needs.items.empty()
          ? ""
          : concat(" (most of it in the stage ", needs.largest_stage, ": ", needs.items.front().what, ", ",
                   format_bytes(to_bytes(needs.items.front().bytes)), ")");
  if (needs.memory_bytes > room.memory_bytes) {
    throw Error(ErrorKind::kResource,
                concat("memory: the run needs about ", format_bytes(needs.memory_bytes), largest,
                       ", but this process may use only ", format_bytes(room.memory_bytes), advice));
  }
  if (room.device_bytes > 0 && needs.device_bytes > room.device_bytes) {
    throw Error(ErrorKind::kResource,
                concat("memory of the GPU: the run needs about ", format_bytes(needs.device_bytes), largest,
                       ", but the GPU has only ", format_bytes(room.device_bytes), advice));
  }
}

}  // namespace foresight
