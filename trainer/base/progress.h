// A progress bar on a terminal, plain lines elsewhere.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace foresight {

/// Progress of one piece of long work: "oracle  7/24 traces  29%  412 tokens/s  1m12s left  loss 1.68".
/// On a terminal one line is redrawn; elsewhere a plain line is printed at most every 10 s, and at the end.
/// Writes to stderr. A resumed run passes the true first step.
class Progress {
 public:
  Progress(std::string title, std::string unit, std::int64_t total, std::int64_t first = 0);
  ~Progress();  ///< ends the line if finish() was not called
  /// Reports that `done` of the total are done; `note` is shown after the rate. It also calls heartbeat().
  void update(std::int64_t done, const std::string& note = "");
  void finish(const std::string& note = "");
  /// Quiet mode for --quiet: nothing is printed by any bar from then on.
  static void set_quiet(bool quiet);

 private:
  void draw(const std::string& note, bool last);
  std::string title_, unit_;
  std::int64_t total_, first_, done_;
  std::chrono::steady_clock::time_point started_, drawn_;
  bool terminal_, finished_ = false;
};

/// "1h02m", "3m20s", "12s".
std::string format_duration(double seconds);
/// "1.5 GiB", "12 KiB".
std::string format_bytes(std::uint64_t bytes);

}  // namespace foresight
