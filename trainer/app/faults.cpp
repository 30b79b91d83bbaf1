#include "trainer/app/faults.h"

#include <c10/util/Exception.h>

#include <new>
#include <string>
#include <system_error>

#include "trainer/base/text.h"

namespace foresight {
namespace {

constexpr std::size_t kMostBytes = 300;
constexpr const char* kWhatToLower =
    "lower evaluation.rows_per_pass, grpo.rollouts_per_pass, traces.batch or data.trace_tokens";

/// The message on one line, without the list of calls that torch adds.
std::string text_of(const c10::Error& error) {
  return one_line(error.what_without_backtrace(), kMostBytes);
}

/// torch's CPU allocator throws torch's general error, and each CUDA library has words of its own.
bool tells_of_memory(const std::string& text) {
  for (const char* words : {"can't allocate memory", "not enough memory", "out of memory", "ALLOC_FAILED"}) {
    if (text.find(words) != std::string::npos) return true;
  }
  return false;
}

Error out_of_memory(const std::string& cause) {
  return {ErrorKind::kResource, concat("out of memory", cause.empty() ? "" : " (", cause,
                                       cause.empty() ? "" : ")", ": ", kWhatToLower)};
}

Error internal(const std::string& text) {
  return {ErrorKind::kInternal, "internal fault: " + text};
}

}  // namespace

Error fault_of(const std::exception& exception) {
  if (const auto* fault = dynamic_cast<const Error*>(&exception)) return *fault;
  if (dynamic_cast<const std::bad_alloc*>(&exception) != nullptr) return out_of_memory("");
  if (const auto* error = dynamic_cast<const c10::Error*>(&exception)) {
    const std::string text = text_of(*error);
    if (dynamic_cast<const c10::OutOfMemoryError*>(error) != nullptr || tells_of_memory(text))
      return out_of_memory(text);
    if (dynamic_cast<const c10::AcceleratorError*>(error) != nullptr) {
      return {
          ErrorKind::kResource,
          concat(
              "the device failed: ", text,
              ": check the device (nvidia-smi, the system log), and run the same command again to resume")};
    }
    return internal(text);
  }
  const std::string text = one_line(exception.what(), kMostBytes);
  if (const auto* error = dynamic_cast<const std::system_error*>(&exception)) {
    if (error->code() == std::errc::not_enough_memory) return out_of_memory(text);
    if (error->code() == std::errc::resource_unavailable_try_again) {
      return {ErrorKind::kResource, concat("the system gives no more threads or processes (", text,
                                           "): raise the limit (ulimit -u), or lower runtime.threads")};
    }
  }
  if (tells_of_memory(text)) return out_of_memory(text);
  return internal(text);
}

}  // namespace foresight
