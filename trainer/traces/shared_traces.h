// The recorded traces that the ranks of a job work on.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "trainer/comm/world.h"
#include "trainer/traces/recorded_trace.h"

namespace foresight {

/// The recorded traces of a split ("train", "validation", "evaluation"), checked against model and tokenizer:
/// the files that rank 0 finds, on all ranks, as a network file system may show the others an older folder.
/// At most the first `most`, so that a run that recorded more earlier uses what its config asks for now. A
/// collective. Throws Error(kInput) when there are none (naming the command that records them) or when one
/// does not fit.
std::vector<RecordedTrace> load_shared_traces(World& world, const std::filesystem::path& oracle_folder,
                                              const std::string& split, std::int64_t most,
                                              const std::string& model_fingerprint,
                                              const std::string& tokenizer_fingerprint);

}  // namespace foresight
