#include "trainer/base/progress.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <cstdio>
#include <utility>

#include "trainer/base/heartbeat.h"
#include "trainer/base/stage_of_run.h"
#include "trainer/base/terminal.h"
#include "trainer/base/text.h"

namespace foresight {
namespace {

constexpr std::chrono::milliseconds kTerminalPause{100};
constexpr std::chrono::seconds kPlainPause{10};

std::atomic<bool>& quiet_flag() {
  static std::atomic<bool> quiet{false};
  return quiet;
}

// Three significant digits, without an exponent: 0.412, 4.12, 41.2, 412, 4120.
std::string format_rate(double rate) {
  const int digits = rate >= 100 ? 0 : rate >= 10 ? 1 : rate >= 1 ? 2 : 3;
  std::array<char, 64> buffer{};
  std::snprintf(buffer.data(), buffer.size(), "%.*f", digits, rate);
  return buffer.data();
}

}  // namespace

Progress::Progress(std::string title, std::string unit, std::int64_t total, std::int64_t first)
    : title_(std::move(title)),
      unit_(std::move(unit)),
      total_(total),
      first_(first),
      done_(first),
      started_(std::chrono::steady_clock::now()),
      drawn_(started_),
      terminal_(stderr_is_terminal()) {
  if (terminal_) draw("", /*last=*/false);
}

Progress::~Progress() {
  if (!finished_ && terminal_ && !quiet_flag()) end_terminal_line();
}

void Progress::update(std::int64_t done, const std::string& note) {
  done_ = done;
  heartbeat();
  const auto now = std::chrono::steady_clock::now();
  if (now - drawn_ < (terminal_ ? std::chrono::steady_clock::duration(kTerminalPause) : kPlainPause)) return;
  drawn_ = now;
  draw(note, /*last=*/false);
}

void Progress::finish(const std::string& note) {
  if (finished_) return;
  finished_ = true;
  draw(note, /*last=*/true);
}

void Progress::set_quiet(bool quiet) {
  quiet_flag() = quiet;
}

void Progress::draw(const std::string& note, bool last) {
  if (quiet_flag()) return;
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - started_).count();
  std::string line = concat(title_, "  ", done_, "/", total_, " ", unit_);
  if (total_ > 0) line += concat("  ", 100 * done_ / total_, "%");
  // Work of an earlier, resumed run took none of this run's time.
  const std::int64_t done_here = done_ - first_;
  if (done_here > 0 && seconds > 0) {
    const double rate = static_cast<double>(done_here) / seconds;
    line += concat("  ", format_rate(rate), " ", unit_, "/s");
    const double left = static_cast<double>(total_ - done_) / rate;
    if (!last) line += concat("  ", format_duration(left), " left");
    const auto of_run = last ? std::nullopt : seconds_left_of_run(title_, left);
    if (of_run) line += concat(", run ", format_duration(*of_run));
  }
  if (last) line += concat("  took ", format_duration(seconds));
  if (!note.empty()) line += "  " + note;
  if (!terminal_) {
    line += "\n";
    std::fwrite(line.data(), 1, line.size(), stderr);
    std::fflush(stderr);
    return;
  }
  // A line that wraps could not be drawn over.
  const auto columns = static_cast<std::size_t>(std::max(terminal_columns() - 1, 1));
  if (!last && line.size() > columns) line.resize(columns);
  draw_terminal_line(line);
  if (last) end_terminal_line();
}

std::string format_duration(double seconds) {
  // Also catches NaN; a hundred years is "not known".
  if (!(seconds >= 0 && seconds < 3.2e9)) return "?";
  const auto whole = static_cast<std::int64_t>(std::llround(seconds));
  std::array<char, 64> buffer{};
  if (whole >= 3600) {
    std::snprintf(buffer.data(), buffer.size(), "%lldh%02lldm", static_cast<long long>(whole / 3600),
                  static_cast<long long>(whole % 3600 / 60));
  } else if (whole >= 60) {
    std::snprintf(buffer.data(), buffer.size(), "%lldm%02llds", static_cast<long long>(whole / 60),
                  static_cast<long long>(whole % 60));
  } else {
    std::snprintf(buffer.data(), buffer.size(), "%llds", static_cast<long long>(whole));
  }
  return buffer.data();
}

std::string format_bytes(std::uint64_t bytes) {
  constexpr std::array<const char*, 7> kUnits = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  std::size_t unit = 0;
  auto tenths = static_cast<double>(bytes) * 10.0;
  // 1023.95 KiB and more would be rounded to 1024 KiB.
  while (std::round(tenths) >= 10240.0 && unit + 1 < kUnits.size()) {
    tenths /= 1024.0;
    ++unit;
  }
  const auto rounded = static_cast<std::int64_t>(std::llround(tenths));
  if (rounded % 10 == 0) return concat(rounded / 10, " ", kUnits[unit]);
  return concat(rounded / 10, ".", rounded % 10, " ", kUnits[unit]);
}

}  // namespace foresight
