#include "trainer/base/log.h"

#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include <cstdlib>
#include <memory>

#include "trainer/base/terminal.h"

namespace foresight {
namespace {

// https://no-color.org: present and not empty, whatever its value.
bool colour_refused() {
  const char* value = std::getenv("NO_COLOR");
  return value != nullptr && *value != '\0';
}

spdlog::logger& logger() {
  static const std::unique_ptr<spdlog::logger> instance = [] {
    const auto mode = colour_refused() ? spdlog::color_mode::never : spdlog::color_mode::automatic;
    auto made = std::make_unique<spdlog::logger>("foresight",
                                                 std::make_shared<spdlog::sinks::stderr_color_sink_mt>(mode));
    made->set_pattern("%Y-%m-%d %H:%M:%S %^%l%$ %v");
    made->set_level(spdlog::level::info);
    made->flush_on(spdlog::level::trace);
    return made;
  }();
  return *instance;
}

std::string& speaker_prefix() {
  static std::string prefix;
  return prefix;
}

void write(spdlog::level::level_enum level, const std::string& message) {
  if (!logger().should_log(level)) return;
  erase_terminal_line();
  logger().log(level, spdlog::string_view_t(message));
}

}  // namespace

void set_log_level(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return logger().set_level(spdlog::level::debug);
    case LogLevel::kInfo:
      return logger().set_level(spdlog::level::info);
    case LogLevel::kWarning:
      return logger().set_level(spdlog::level::warn);
    case LogLevel::kError:
      return logger().set_level(spdlog::level::err);
    case LogLevel::kOff:
      return logger().set_level(spdlog::level::off);
  }
}

void set_log_speaker(const std::string& speaker) {
  speaker_prefix() = speaker.empty() ? "" : speaker + ": ";
}

void log_debug(const std::string& message) {
  write(spdlog::level::debug, message);
}
void log_info(const std::string& message) {
  write(spdlog::level::info, message);
}
void log_warning(const std::string& message) {
  write(spdlog::level::warn, speaker_prefix() + message);
}
void log_error(const std::string& message) {
  write(spdlog::level::err, speaker_prefix() + message);
}

}  // namespace foresight
