// Everything here runs in child processes, because the logger chooses colour when it is first used.
#include "trainer/base/log.h"

#include <thread>
#include <vector>

#include "tests/base/child.h"
#include "tests/catch.h"
#include "trainer/base/progress.h"

namespace foresight {
namespace {

using Catch::Contains;

void log_all() {
  log_debug("debug line");
  log_info("info line");
  log_warning("warning line");
  log_error("error line");
}

TEST_CASE("log: info and above are shown on stderr by default") {
  const std::string text = run_child(log_all).stderr_text;
  CHECK_THAT(text, !Contains("debug line"));
  CHECK_THAT(text, Contains("info info line\n"));
  CHECK_THAT(text, Contains("warning warning line\n"));
  CHECK_THAT(text, Contains("error error line\n"));
}

TEST_CASE("log: the level decides what is shown") {
  const auto shown = [](LogLevel level) {
    return run_child([level] {
             set_log_level(level);
             log_all();
           })
        .stderr_text;
  };
  CHECK_THAT(shown(LogLevel::kDebug), Contains("debug line") && Contains("error line"));
  CHECK_THAT(shown(LogLevel::kInfo), !Contains("debug line") && Contains("info line"));
  CHECK_THAT(shown(LogLevel::kWarning), !Contains("info line") && Contains("warning line"));
  CHECK_THAT(shown(LogLevel::kError), !Contains("warning line") && Contains("error line"));
  CHECK(shown(LogLevel::kOff).empty());
}

TEST_CASE("log: braces and percent signs are not interpreted") {
  CHECK_THAT(run_child([] { log_info("{} {0} %s %v"); }).stderr_text, Contains("{} {0} %s %v\n"));
}

TEST_CASE("log: colour appears only on a terminal and without NO_COLOR") {
  const auto body = [] { log_error("text"); };
  const std::string escape = "\x1b[";
  CHECK_THAT(run_child(body, {{"TERM", "xterm"}, {"NO_COLOR", ""}}, 80).stderr_text, Contains(escape));
  CHECK_THAT(run_child(body, {{"TERM", "xterm"}, {"NO_COLOR", "1"}}, 80).stderr_text, !Contains(escape));
  CHECK_THAT(run_child(body, {{"TERM", "dumb"}, {"COLORTERM", ""}, {"NO_COLOR", ""}}, 80).stderr_text,
             !Contains(escape));
  CHECK_THAT(run_child(body, {{"TERM", "xterm"}, {"NO_COLOR", ""}}).stderr_text, !Contains(escape));
}

TEST_CASE("log: lines of several threads are not mixed") {
  const std::string text = run_child([] {
                             std::vector<std::thread> threads;
                             for (int i = 0; i < 4; ++i) {
                               threads.emplace_back([] {
                                 for (int j = 0; j < 100; ++j) log_info("a whole line");
                               });
                             }
                             for (std::thread& thread : threads) thread.join();
                           }).stderr_text;
  int lines = 0;
  for (std::size_t at = text.find("info a whole line\n"); at != std::string::npos;
       at = text.find("info a whole line\n", at + 1)) {
    ++lines;
  }
  CHECK(lines == 400);
}

TEST_CASE("log: a line erases the progress bar that is drawn") {
  const std::string text = run_child(
                               [] {
                                 const Progress bar("oracle", "traces", 10);
                                 log_info("between");
                               },
                               {{"TERM", "xterm"}, {"NO_COLOR", "1"}}, 80)
                               .stderr_text;
  const std::size_t bar = text.find("oracle  0/10 traces");
  const std::size_t erased = text.find("\r\x1b[K", bar + 1);
  REQUIRE(bar != std::string::npos);
  REQUIRE(erased != std::string::npos);
  CHECK(text.find("between") > erased);
}

}  // namespace
}  // namespace foresight
