// Long work shows that it is still running.
#pragma once

#include <cstddef>
#include <functional>

namespace foresight {

/// Call it at least every few seconds in long work: in each layer of a pass, for each file that is read. It
/// is cheap. It only acts on the thread that set the function to call.
void heartbeat();

/// As many bytes as one thread writes or digests between two beats.
inline constexpr std::size_t kMostBytesBetweenBeats = std::size_t{1} << 26;

/// Sets what heartbeat() calls on this thread from now on; an empty function turns it off.
void set_heartbeat(std::function<void()> called);

}  // namespace foresight
