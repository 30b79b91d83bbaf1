// What a stage holds in memory at once, item by item, on each rank.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "trainer/config/config.h"
#include "trainer/model/transformer.h"
#include "trainer/model_files/model_shape.h"

namespace foresight {

/// One thing that is held.
struct MemoryItem {
  std::string what;  ///< "full cache of 32768 tokens"
  double bytes = 0;
  bool on_device = false;  ///< with the model, on a GPU where that is; else in the host's memory
  std::string keys;        ///< that lower it; empty where none does
};

/// What decides about a stage's memory.
struct StageSetting {
  const Config* config;
  const ModelShape* shape;
  ModelOptions options;
  std::int64_t traces = 0;          ///< that the stage reads
  std::int64_t longest_tokens = 0;  ///< of them
  std::int64_t ranks = 1;
};

/// The program and its libraries, and last the weights of the model.
std::vector<MemoryItem> model_memory(const StageSetting& setting);

/// `rows` prompts continued together.
std::vector<MemoryItem> generation_memory(const StageSetting& setting, std::int64_t rows);
std::vector<MemoryItem> oracle_memory(const StageSetting& setting);
/// `cached`: features are stored first, else streamed.
std::vector<MemoryItem> supervised_memory(const StageSetting& setting, bool cached);
std::vector<MemoryItem> grpo_memory(const StageSetting& setting);
/// `policies` run side by side on a trace at each budget.
std::vector<MemoryItem> evaluation_memory(const StageSetting& setting, std::int64_t policies);

/// Bytes of the items in the host's memory, or on the device. Without a GPU all are the host's.
double host_bytes(const std::vector<MemoryItem>& items, const ModelOptions& options);
double device_bytes(const std::vector<MemoryItem>& items, const ModelOptions& options);

}  // namespace foresight
