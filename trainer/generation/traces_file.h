// The file that generated traces are written to.
#pragma once

#include "trainer/config/config.h"

namespace foresight {

/// Throws Error(kConfig) where `traces.file` has another use in the run, is no file, or is one of the prompt
/// files.
void require_traces_file(const Config& config);

}  // namespace foresight
