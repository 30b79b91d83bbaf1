// Long work shows that it goes on.
#pragma once

#include <functional>

namespace foresight {

/// To be called again and again in long work, at least every few seconds: in each layer of a pass, for each
/// file that is read. Cheap. Does nothing on other threads than the one that set what is called.
void heartbeat();

/// What heartbeat() calls from now on, on this thread; an empty function ends it.
void set_heartbeat(std::function<void()> called);

}  // namespace foresight
