// What signals do to the program. SIGINT, SIGTERM, SIGHUP, SIGXCPU, SIGUSR1 and SIGUSR2 ask a stage to finish
// its step, save and exit (mpirun forwards the last two to all ranks). SIGPIPE and SIGXFSZ are ignored: the
// write that causes them fails with an error message.
#pragma once

namespace foresight {

/// Installs the handlers (once, from main). A second SIGINT ends the process at once. SIGHUP stays ignored if
/// it was ignored before (nohup).
void install_signal_handlers();
/// True once a stop was asked for.
bool stop_requested();
/// For tests and for callers that stop themselves.
void request_stop();
void clear_stop_request();

}  // namespace foresight
