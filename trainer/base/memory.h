// What memory this process holds.
#pragma once

#include <cstdint>

namespace foresight {

/// Most memory that this process has held since it started or since the last reset, in bytes.
std::int64_t peak_resident_bytes();

/// Gives freed memory back to the system and starts the peak anew from what is held now. Where the kernel
/// cannot (other than Linux), the peak stays that of the whole process.
void reset_peak_resident_bytes();

}  // namespace foresight
