// The recorded traces of a folder, for tests and benchmarks, which are one rank.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "trainer/comm/agreement.h"
#include "trainer/traces/shared_traces.h"

namespace foresight {

/// load_shared_traces() without other ranks.
inline std::vector<RecordedTrace> load_recorded_traces(const std::filesystem::path& folder,
                                                       const std::string& split, std::int64_t most,
                                                       const std::string& model_fingerprint,
                                                       const std::string& tokenizer_fingerprint) {
  return load_shared_traces(alone(), folder, split, most, model_fingerprint, tokenizer_fingerprint);
}

}  // namespace foresight
