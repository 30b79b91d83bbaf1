// The message of a call that refuses its input.
#pragma once

#include <string>

#include "tests/catch.h"
#include "trainer/base/error.h"

namespace foresight {

/// The message of the Error(kInput) that `call` throws.
template <class Call>
std::string input_error(Call&& call) {
  try {
    call();
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::kInput);
    CHECK(std::string(error.what()).find('\n') == std::string::npos);
    return error.what();
  }
  FAIL("nothing was thrown");
  return "";
}

}  // namespace foresight
