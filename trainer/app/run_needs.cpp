#include "trainer/app/run_needs.h"

#include <unistd.h>

#include <filesystem>

#include "data/oracle_file.h"
#include "golden_eviction/oracle_stage.h"
#include "trainer/base/error.h"
#include "trainer/base/files.h"
#include "trainer/base/progress.h"
#include "trainer/base/text.h"
#include "trainer/eviction/evicted_pass.h"
#include "trainer/scorer/scorer.h"
#include "trainer/training/training_session.h"

namespace foresight {
namespace {

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

std::uint64_t weight_bytes_of(const std::filesystem::path& model) {
  std::uint64_t bytes = 0;
  for (const auto& entry : std::filesystem::directory_iterator(model)) {
    if (entry.path().extension() == ".safetensors") bytes += entry.file_size();
  }
  return bytes;
}

/// Bytes of the files in a folder; 0 where there is none.
std::uint64_t bytes_in(const std::filesystem::path& folder) {
  std::uint64_t bytes = 0;
  std::error_code none;
  for (const auto& entry : std::filesystem::directory_iterator(folder, none)) {
    const std::uintmax_t size = entry.file_size(none);
    if (!none) bytes += size;
  }
  return bytes;
}

/// Keys and values in float32 of one row of a pass.
double cache_bytes(const ModelShape& shape, double tokens) {
  return static_cast<double>(shape.layers * shape.kv_heads * 2 * shape.head_dimension) * tokens * 4;
}

/// True when the run trains this stage and has not finished it.
bool to_train(const Config& config, const std::string& stage, std::int64_t steps) {
  return steps > 0 && !stage_finished(config.output, stage, steps);
}

}  // namespace

std::vector<SplitLengths> lengths_of(const std::vector<TraceSplit>& splits) {
  std::vector<SplitLengths> lengths;
  for (const TraceSplit& split : splits) {
    lengths.push_back({split.name, {}});
    for (const TokenRow& trace : split.traces)
      lengths.back().tokens.push_back(static_cast<std::int64_t>(trace.tokens.size()));
  }
  return lengths;
}

std::vector<SplitLengths> recorded_lengths(const std::filesystem::path& oracle_folder) {
  std::vector<SplitLengths> lengths;
  for (const char* split : {"train", "validation", "evaluation"}) {
    lengths.push_back({split, {}});
    for (const auto& file : oracle_files(oracle_folder, split))
      lengths.back().tokens.push_back(OracleReader(file).dimensions().tokens);
  }
  return lengths;
}

RunNeeds estimate_needs(const Config& config, const ModelShape& shape,
                        const std::vector<SplitLengths>& splits) {
  const CacheSize size{config.eviction.budget, config.eviction.window};
  const auto heads = static_cast<double>(shape.layers * shape.kv_heads);
  const auto inputs = static_cast<double>(2 * shape.head_dimension + kStatisticsPerHead * shape.group());
  const auto block = static_cast<double>(recorded_block_tokens(config));
  const bool replays = to_train(config, "supervised", config.supervised.steps),
             rolls_out = to_train(config, "grpo", config.grpo.steps);
  RunNeeds result;
  double disk = 0, oracle_memory = 0, steps_longest = 0;
  const double rows_per_trace = evaluation_rows(config);
  for (const SplitLengths& split : splits) {
    for (const std::int64_t tokens : split.tokens) {
      const auto length = static_cast<double>(tokens);
      const auto steps = static_cast<double>(size.steps(tokens));
      const double attention = heads * length * length / block;  // half of the matrix, two bytes each
      result.oracle_tokens += length;
      disk += attention;
      oracle_memory = std::max(oracle_memory, attention + cache_bytes(shape, length));
      if (split.name == "train") {
        result.replay_tokens += length;
        if (replays) disk += heads * steps * static_cast<double>(size.budget) * (2 * inputs + 4);
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
  const auto rows =
      static_cast<double>(std::max(config.grpo.rollouts_per_pass, config.evaluation.rows_per_pass));
  const double passes = rows * cache_bytes(shape, static_cast<double>(size.budget + size.window)),
               kept = rolls_out ? heads * steps_longest * rollouts * stored * inputs * 4 : 0;
  result.disk_bytes = static_cast<std::uint64_t>(disk);
  result.memory_bytes = weight_bytes_of(config.model.path) * 2 +
                        static_cast<std::uint64_t>(std::max(oracle_memory, passes + kept));
  return result;
}

RunNeeds estimate_generation_needs(const Config& config, const ModelShape& shape) {
  RunNeeds result;
  result.memory_bytes =
      weight_bytes_of(config.model.path) * 2 +
      static_cast<std::uint64_t>(static_cast<double>(config.traces.batch) *
                                 cache_bytes(shape, static_cast<double>(config.traces.max_new_tokens)));
  result.memory_keys = "traces.batch or traces.max_new_tokens";
  return result;
}

MachineRoom machine_room(const Config& config) {
  const std::filesystem::path output = config.output;
  return {.disk_bytes = free_disk_bytes(output) + bytes_in(output / "oracle") +
                        bytes_in(output / "supervised/features"),
          .memory_bytes = static_cast<std::uint64_t>(sysconf(_SC_PHYS_PAGES)) *
                          static_cast<std::uint64_t>(sysconf(_SC_PAGE_SIZE))};
}

void require_room(const Config& config, const RunNeeds& needs, const MachineRoom& room) {
  if (needs.disk_bytes > room.disk_bytes) {
    throw Error(ErrorKind::kResource,
                concat("disk: the run needs about ", format_bytes(needs.disk_bytes), ", ",
                       format_bytes(room.disk_bytes), " are free under ", config.output,
                       ": choose another `output`, or lower data.max_train_traces"));
  }
  if (needs.memory_bytes > room.memory_bytes) {
    throw Error(ErrorKind::kResource,
                concat("memory: the run needs about ", format_bytes(needs.memory_bytes), ", the machine has ",
                       format_bytes(room.memory_bytes), ": lower ", needs.memory_keys));
  }
}

}  // namespace foresight
