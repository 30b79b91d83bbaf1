// Long work shows that it is still running.
#pragma once

#include <functional>

namespace foresight {

/// Call it at least every few seconds in long work: in each layer of a pass, for each file that is read. It
/// is cheap. It only acts on the thread that set the function to call.
void heartbeat();

/// Sets what heartbeat() calls on this thread from now on; an empty function turns it off.
void set_heartbeat(std::function<void()> called);

}  // namespace foresight
