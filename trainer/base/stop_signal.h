// SIGINT, SIGTERM and SIGUSR1 (which mpirun hands on to all ranks) ask a stage to finish its step, save and
// leave.
#pragma once

namespace foresight {

/// Installs the handlers (once, from main). A second SIGINT ends the process at once.
void install_stop_handlers();
/// True once a stop was asked for.
bool stop_requested();
/// For tests and for callers that stop themselves.
void request_stop();
void clear_stop_request();

}  // namespace foresight
