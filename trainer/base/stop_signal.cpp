#include "trainer/base/stop_signal.h"

#include <signal.h>  // NOLINT(modernize-deprecated-headers): sigaction is POSIX, <csignal> need not have it

#include <atomic>

namespace foresight {
namespace {

// A signal handler can reach nothing but lock-free atomics of static lifetime.
std::atomic<bool> stop_flag{false};
std::atomic<int> interrupt_count{0};
static_assert(std::atomic<bool>::is_always_lock_free && std::atomic<int>::is_always_lock_free);

extern "C" void foresight_on_stop_signal(int signal_number) {
  stop_flag.store(true);
  if (signal_number == SIGINT && interrupt_count.fetch_add(1) >= 1) {
    // The signal is blocked here and is delivered, with its default action, when the handler returns.
    ::signal(SIGINT, SIG_DFL);
    ::raise(SIGINT);
  }
}

}  // namespace

void install_signal_handlers() {
  struct sigaction action = {};
  action.sa_handler = foresight_on_stop_signal;
  action.sa_flags = SA_RESTART;  // reads and writes in progress continue
  sigemptyset(&action.sa_mask);
  for (const int signal_number : {SIGINT, SIGTERM, SIGHUP, SIGXCPU, SIGUSR1, SIGUSR2}) {
    struct sigaction before = {};
    ::sigaction(signal_number, nullptr, &before);
    if (signal_number == SIGHUP && before.sa_handler == SIG_IGN) continue;  // nohup
    ::sigaction(signal_number, &action, nullptr);  // cannot fail: these signals may be caught
  }
  ::signal(SIGPIPE, SIG_IGN);
  ::signal(SIGXFSZ, SIG_IGN);
}

bool stop_requested() {
  return stop_flag.load();
}

void request_stop() {
  stop_flag.store(true);
}

void clear_stop_request() {
  stop_flag.store(false);
  interrupt_count.store(0);
}

}  // namespace foresight
