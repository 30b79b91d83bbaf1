// What an exception means to the user of the program.
#pragma once

#include <exception>

#include "trainer/base/error.h"

namespace foresight {

/// The fault behind any exception, with exit code and message. An Error stays as it is. Memory that torch,
/// CUDA or the system refuses, and a device that fails, become kResource, and anything else kInternal, a
/// fault of the program. This is called where the exception is caught.
Error fault_of(const std::exception& exception);

}  // namespace foresight
