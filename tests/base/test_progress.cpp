#include "trainer/base/progress.h"

#include <algorithm>
#include <chrono>
#include <limits>
#include <map>
#include <regex>
#include <string>
#include <thread>
#include <vector>

#include "tests/base/child.h"
#include "tests/catch.h"
#include "trainer/base/heartbeat.h"
#include "trainer/base/stage_of_run.h"
#include "trainer/base/text.h"

namespace foresight {
namespace {

using Catch::Contains;

const std::map<std::string, std::string> kTerminal = {{"TERM", "xterm"}};

TEST_CASE("progress: durations read like a clock") {
  CHECK(format_duration(0) == "0s");
  CHECK(format_duration(12.4) == "12s");
  CHECK(format_duration(59.6) == "1m00s");
  CHECK(format_duration(200) == "3m20s");
  CHECK(format_duration(3599.7) == "1h00m");
  CHECK(format_duration(3720) == "1h02m");
  CHECK(format_duration(360000) == "100h00m");
  CHECK(format_duration(-1) == "?");
  CHECK(format_duration(std::numeric_limits<double>::quiet_NaN()) == "?");
  CHECK(format_duration(std::numeric_limits<double>::infinity()) == "?");
}

TEST_CASE("progress: bytes have binary units and at most one decimal") {
  CHECK(format_bytes(0) == "0 B");
  CHECK(format_bytes(1023) == "1023 B");
  CHECK(format_bytes(1024) == "1 KiB");
  CHECK(format_bytes(12 * 1024) == "12 KiB");
  CHECK(format_bytes(1024 * 1024 - 1) == "1 MiB");
  CHECK(format_bytes(3ULL << 29) == "1.5 GiB");
  CHECK(format_bytes(std::numeric_limits<std::uint64_t>::max()) == "16 EiB");
}

TEST_CASE("progress: without a terminal only the end of quick work is printed") {
  const ChildResult result = run_child([] {
    Progress bar("oracle", "traces", 1000);
    for (int i = 1; i <= 1000; ++i) bar.update(i);
    bar.finish("loss 1.68");
    bar.finish("again");
  });
  const std::regex line(R"(oracle  1000/1000 traces  100%  [0-9.]+ traces/s  took [0-9a-z]+  loss 1\.68\n)");
  CHECK(std::regex_match(result.stderr_text, line));
}

TEST_CASE("progress: a terminal sees one line redrawn") {
  const std::string text = run_child(
                               [] {
                                 Progress bar("oracle", "traces", 24);
                                 std::this_thread::sleep_for(std::chrono::milliseconds(150));
                                 bar.update(7, "note");
                                 bar.finish();
                               },
                               kTerminal, 120)
                               .stderr_text;
  CHECK_THAT(text, Contains("\roracle  0/24 traces  0%\x1b[K"));
  CHECK(
      std::regex_search(text, std::regex(R"(\roracle  7/24 traces  29%  [0-9.]+ traces/s  \w+ left  note)")));
  CHECK(std::count(text.begin(), text.end(), '\n') == 1);
  CHECK(text.back() == '\n');
}

TEST_CASE("progress: the time left for the whole run follows that of the bar") {
  const auto line_of = [](const char* title, const StageOfRun& stage) {
    const std::string text = run_child(
                                 [&] {
                                   set_stage_of_run(stage);
                                   Progress bar(title, "tokens", 1000000000);
                                   std::this_thread::sleep_for(std::chrono::milliseconds(150));
                                   bar.update(999999999);
                                   set_stage_of_run(std::nullopt);
                                   std::this_thread::sleep_for(std::chrono::milliseconds(150));
                                   bar.update(999999999);
                                 },
                                 kTerminal, 160)
                                 .stderr_text;
    CHECK(std::regex_search(text, std::regex(R"(0s left\x1b)")));  // of the bar alone, in the end
    return text;
  };
  // The time expected for the stage counts only for bars of a part of it.
  CHECK_THAT(line_of("oracle", {"oracle", 7200, 3600}), Contains("0s left, run 1h00m"));
  CHECK_THAT(line_of("replay", {"supervised", 7230, 3600}), Contains("0s left, run 3h00m"));
}

TEST_CASE("progress: a bar that is not finished ends its line") {
  const std::string text = run_child([] { const Progress bar("x", "steps", 5); }, kTerminal, 80).stderr_text;
  CHECK_THAT(text, Catch::EndsWith("\n"));
  CHECK(run_child([] { const Progress bar("x", "steps", 5); }).stderr_text.empty());
}

TEST_CASE("progress: a drawn line is never wider than the terminal") {
  const std::string text = run_child(
                               [] {
                                 Progress bar("a title of some length", "rollouts", 1000000);
                                 std::this_thread::sleep_for(std::chrono::milliseconds(150));
                                 bar.update(5, std::string(200, 'n'));
                               },
                               kTerminal, 30)
                               .stderr_text;
  const std::size_t start = text.rfind('\r', text.rfind("\x1b[K"));
  REQUIRE(start != std::string::npos);
  CHECK(text.rfind("\x1b[K") - start - 1 == 29);
}

TEST_CASE("progress: a resumed run's rate leaves out what was done before") {
  const std::string text = run_child([] {
                             Progress bar("supervised", "steps", 1000, 400);
                             bar.finish();
                           }).stderr_text;
  CHECK_THAT(text, !Contains("steps/s"));
  CHECK_THAT(text, Contains("supervised  400/1000 steps  40%"));
}

TEST_CASE("progress: work of unknown size shows no percentage") {
  const std::string text = run_child([] {
                             Progress bar("read", "rows", 0);
                             bar.finish();
                           }).stderr_text;
  CHECK_THAT(text, Contains("read  0/0 rows") && !Contains("%"));
}

TEST_CASE("progress: quiet bars print nothing") {
  const auto body = [] {
    Progress::set_quiet(true);
    Progress bar("x", "steps", 5);
    bar.update(3);
    bar.finish();
  };
  CHECK(run_child(body).stderr_text.empty());
  CHECK(run_child(body, kTerminal, 80).stderr_text.empty());
}

TEST_CASE("text: concat and join stream their parts") {
  CHECK(concat("a", 1, ' ', 2.5) == "a1 2.5");
  CHECK(join(std::vector<int>{1, 2, 3}, ", ") == "1, 2, 3");
  CHECK(join(std::vector<std::string>{}, ", ").empty());
}

TEST_CASE("progress: every update beats, quiet or not, on the thread that listens") {
  int beats = 0;
  set_heartbeat([&] { ++beats; });
  Progress progress("work", "items", 10);
  progress.update(1);
  progress.update(2);
  CHECK(beats == 2);
  std::thread([] { heartbeat(); }).join();
  CHECK(beats == 2);
  set_heartbeat({});
  progress.update(3);
  CHECK(beats == 2);
}

}  // namespace
}  // namespace foresight
