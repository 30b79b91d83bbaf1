// The kind of error that a call throws.
#pragma once

#include "trainer/base/error.h"

namespace foresight {

/// kInterrupted, which no mathematics throws, where the call returns.
template <class Call>
ErrorKind kind_of(const Call& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.kind();
  }
  return ErrorKind::kInterrupted;
}

}  // namespace foresight
