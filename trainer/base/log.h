// Logging to stderr. spdlog lives behind this header only (its fmt clashes with torch's).
#pragma once

#include <string>

namespace foresight {

enum class LogLevel { kDebug, kInfo, kWarning, kError, kOff };

/// Sets the least level that is shown; thread-safe. Colour only on a terminal and without NO_COLOR.
void set_log_level(LogLevel level);

/// Sets a prefix of warnings and errors that says which of several processes wrote them. Thread-safe only
/// before other threads log.
void set_log_speaker(const std::string& speaker);

void log_debug(const std::string& message);
void log_info(const std::string& message);
void log_warning(const std::string& message);
void log_error(const std::string& message);

}  // namespace foresight
