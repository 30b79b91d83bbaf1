#include "trainer/base/stop_signal.h"

#include <signal.h>

#include <stdexcept>

#include "tests/base/child.h"
#include "tests/catch.h"
#include "trainer/base/error.h"

namespace foresight {
namespace {

void expect(bool condition) {
  if (!condition) throw std::runtime_error("unexpected state");
}

TEST_CASE("stop signal: a request stays until it is cleared") {
  clear_stop_request();
  CHECK_FALSE(stop_requested());
  request_stop();
  request_stop();
  CHECK(stop_requested());
  clear_stop_request();
  CHECK_FALSE(stop_requested());
}

TEST_CASE("stop signal: SIGINT, SIGTERM, SIGHUP, SIGXCPU, SIGUSR1 and SIGUSR2 ask for a stop") {
  for (const int signal_number : {SIGINT, SIGTERM, SIGHUP, SIGXCPU, SIGUSR1, SIGUSR2}) {
    const ChildResult result = run_child([signal_number] {
      install_signal_handlers();
      expect(!stop_requested());
      ::raise(signal_number);
      expect(stop_requested());
    });
    CHECK(result.exit_status == 0);
  }
}

TEST_CASE("stop signal: SIGHUP stays ignored if it was, as under nohup") {
  const ChildResult result = run_child([] {
    ::signal(SIGHUP, SIG_IGN);
    install_signal_handlers();
    ::raise(SIGHUP);
    expect(!stop_requested());
  });
  CHECK(result.exit_status == 0);
}

TEST_CASE("stop signal: writes that raise SIGPIPE and SIGXFSZ fail instead of ending the process") {
  const ChildResult result = run_child([] {
    install_signal_handlers();
    ::raise(SIGPIPE);
    ::raise(SIGXFSZ);
    expect(!stop_requested());
  });
  CHECK(result.exit_status == 0);
}

TEST_CASE("stop signal: a second SIGINT ends the process at once") {
  const ChildResult result = run_child([] {
    install_signal_handlers();
    ::raise(SIGINT);
    ::raise(SIGINT);
  });
  CHECK(result.signal_number == SIGINT);
}

TEST_CASE("stop signal: a repeated SIGTERM, or one SIGINT after it, only asks") {
  const ChildResult result = run_child([] {
    install_signal_handlers();
    ::raise(SIGTERM);
    ::raise(SIGTERM);
    ::raise(SIGINT);
    expect(stop_requested());
  });
  CHECK(result.exit_status == 0);
}

TEST_CASE("stop signal: clearing a request forgets the first SIGINT") {
  const ChildResult result = run_child([] {
    install_signal_handlers();
    ::raise(SIGINT);
    clear_stop_request();
    ::raise(SIGINT);
    expect(stop_requested());
  });
  CHECK(result.exit_status == 0);
}

TEST_CASE("error: the kind is the exit code") {
  CHECK(Error(ErrorKind::kConfig, "m").exit_code() == 2);
  CHECK(Error(ErrorKind::kInput, "m").exit_code() == 3);
  CHECK(Error(ErrorKind::kResource, "m").exit_code() == 4);
  CHECK(Error(ErrorKind::kNumeric, "m").exit_code() == 5);
  CHECK(Error(ErrorKind::kInterrupted, "m").exit_code() == 75);
  CHECK(std::string(Error(ErrorKind::kInput, "message").what()) == "message");
}

}  // namespace
}  // namespace foresight
