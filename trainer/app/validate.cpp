#include <iostream>

#include "trainer/app/commands.h"
#include "trainer/app/run_needs.h"
#include "trainer/app/workspace.h"
#include "trainer/base/progress.h"
#include "trainer/base/text.h"
#include "trainer/eviction/evicted_pass.h"
#include "trainer/scorer/scorer.h"

namespace foresight {
namespace {

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
  const RunNeeds needs = estimate_needs(config, shape, splits);
  const MachineRoom room = machine_room(config);
  const double speed = measured_speed(workspace.model);
  const auto about = [&](double tokens) { return format_duration(tokens / speed); };
  std::cout << "config      valid; output " << config.output << "\n";
  for (const TraceSplit& split : splits)
    std::cout << "data        " << split.name << ": " << split.traces.size() << " traces\n";
  std::cout << "rows        no evaluation row stands in the training files\n";
  std::cout << "disk        about " << format_bytes(needs.disk_bytes) << " needed, "
            << format_bytes(room.disk_bytes) << " free\n";
  std::cout << "memory      about " << format_bytes(needs.memory_bytes) << " needed, "
            << format_bytes(room.memory_bytes) << " in the machine\n";
  std::cout << "speed       " << static_cast<std::int64_t>(speed) << " tokens/s in a full pass ("
            << workspace.model.dtype_name() << ")\n";
  std::cout << "would run   oracle " << about(needs.oracle_tokens) << ", replay "
            << about(needs.replay_tokens) << ", supervised " << config.supervised.steps << " steps, grpo "
            << config.grpo.steps << " steps " << about(needs.grpo_tokens) << ", evaluate "
            << about(needs.evaluation_tokens) << " (estimates of the model's passes)\n"
            << std::flush;
  require_room(config, needs, room);
}

}  // namespace foresight
