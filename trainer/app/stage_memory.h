// What a stage holds in memory at once, item by item, on each rank.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "trainer/config/config.h"
#include "trainer/model/transformer.h"
#include "trainer/model_files/model_shape.h"

namespace foresight {

/// One thing that a stage holds in memory.
struct MemoryItem {
  std::string what;  ///< "full cache of 32768 tokens"
  double bytes = 0;
  bool on_device = false;  ///< on the model's device, which may be a GPU; else in the host's memory
  std::string keys;        ///< the config keys that lower it; empty where there are none
};

/// What the memory of a stage depends on.
struct StageSetting {
  const Config* config;
  const ModelShape* shape;
  ModelOptions options;
  std::int64_t traces = 0;          ///< the number of traces that the stage reads
  std::int64_t longest_tokens = 0;  ///< the length of the longest of them
  std::int64_t ranks = 1;
};

/// The program and its libraries, and as the last item the weights of the model.
std::vector<MemoryItem> model_memory(const StageSetting& setting);

/// What continuing `rows` prompts together holds.
std::vector<MemoryItem> generation_memory(const StageSetting& setting, std::int64_t rows);
std::vector<MemoryItem> oracle_memory(const StageSetting& setting);
/// With `cached`, features are stored first; otherwise they are streamed.
std::vector<MemoryItem> supervised_memory(const StageSetting& setting, bool cached);
std::vector<MemoryItem> grpo_memory(const StageSetting& setting);
/// `policies` run side by side on a trace at each budget.
std::vector<MemoryItem> evaluation_memory(const StageSetting& setting, std::int64_t policies);

/// Bytes of the items in the host's memory, or on the device. Without a GPU all are the host's.
double host_bytes(const std::vector<MemoryItem>& items, const ModelOptions& options);
double device_bytes(const std::vector<MemoryItem>& items, const ModelOptions& options);

}  // namespace foresight
