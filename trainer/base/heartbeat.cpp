#include "trainer/base/heartbeat.h"

#include <utility>

namespace foresight {
namespace {

std::function<void()>& listener() {
  static thread_local std::function<void()> called;
  return called;
}

}  // namespace

void heartbeat() {
  if (listener()) listener()();
}

void set_heartbeat(std::function<void()> called) {
  listener() = std::move(called);
}

}  // namespace foresight
