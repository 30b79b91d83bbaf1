// Functions that the sources of the library for LD_PRELOAD share.
#pragma once

namespace fault_shim {

/// Reads FORESIGHT_FAULT_... of the environment again, in a process that has changed it.
void read_environment();

}  // namespace fault_shim
