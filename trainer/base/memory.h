// How much memory this process uses.
#pragma once

#include <cstdint>

namespace foresight {

/// Peak memory of this process since it started or since the last reset, in bytes.
std::int64_t peak_resident_bytes();

/// Returns freed memory to the system and resets the peak to the present usage. On kernels that cannot (other
/// than Linux), the peak stays that of the whole process.
void reset_peak_resident_bytes();

}  // namespace foresight
