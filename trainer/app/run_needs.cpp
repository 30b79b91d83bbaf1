#include "trainer/app/run_needs.h"

#include <unistd.h>

#include <filesystem>

#include "golden_eviction/oracle_stage.h"
#include "trainer/base/error.h"
#include "trainer/base/files.h"
#include "trainer/base/progress.h"
#include "trainer/base/text.h"
#include "trainer/eviction/evicted_pass.h"
#include "trainer/scorer/scorer.h"

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

}  // namespace

RunNeeds estimate_needs(const Config& config, const ModelShape& shape,
                        const std::vector<TraceSplit>& splits) {
  const CacheSize size{config.eviction.budget, config.eviction.window};
  const auto heads = static_cast<double>(shape.layers * shape.kv_heads);
  const auto inputs = static_cast<double>(2 * shape.head_dimension + kStatisticsPerHead * shape.group());
  const auto block = static_cast<double>(recorded_block_tokens(config));
  RunNeeds result;
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
  const auto rows =
      static_cast<double>(std::max(config.grpo.rollouts_per_pass, config.evaluation.rows_per_pass));
  const double cache =
      rows * heads * static_cast<double>((size.budget + size.window) * 2 * shape.head_dimension * 4);
  result.disk_bytes = static_cast<std::uint64_t>(disk);
  result.memory_bytes =
      weight_bytes_of(config.model.path) * 2 +
      static_cast<std::uint64_t>(cache + heads * steps_longest * rollouts * stored * inputs * 4);
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
                       format_bytes(room.memory_bytes),
                       ": lower grpo.group_size, grpo.traces_per_step or evaluation.rows_per_pass"));
  }
}

}  // namespace foresight
