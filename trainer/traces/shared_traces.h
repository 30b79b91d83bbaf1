// The recorded traces that the ranks of a job work on.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "trainer/comm/world.h"
#include "trainer/traces/recorded_trace.h"

namespace foresight {

/// load_recorded_traces() of the files that rank 0 finds, on all ranks: a network file system may show the
/// others an older folder. A collective.
std::vector<RecordedTrace> load_shared_traces(World& world, const std::filesystem::path& oracle_folder,
                                              const std::string& split, std::int64_t most,
                                              const std::string& model_fingerprint,
                                              const std::string& tokenizer_fingerprint);

}  // namespace foresight
