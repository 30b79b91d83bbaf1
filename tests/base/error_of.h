// The fault that a call reports.
#pragma once

#include <string>

#include "tests/catch.h"
#include "trainer/base/error.h"

namespace foresight {

/// The message of the Error that `action` throws, after a check of its kind; empty when it throws none.
template <class Action>
std::string error_of(ErrorKind kind, Action action) {
  try {
    action();
  } catch (const Error& error) {
    CHECK(static_cast<int>(error.kind()) == static_cast<int>(kind));
    CHECK(std::string(error.what()).find('\n') == std::string::npos);
    return error.what();
  }
  return "";
}

}  // namespace foresight
