"""Reading files of others where a crash does no harm."""

import os
import signal
import warnings

from .errors import ForesightError

MEMORY_BYTES = 1 << 30


def require_survival(path, read):
    """Calls `read` in a forked process with limits of time and memory; what it returns or raises does not matter.

    Raises ForesightError naming `path` where that process crashes or meets a limit: libhdf5 does on files that were made
    for it. Nothing is tried where processes cannot be forked.
    """
    if not hasattr(os, "fork"):
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # other threads: the child reads the file and nothing else
        child = os.fork()
    if child == 0:
        try:
            _set_limits(os.path.getsize(path))
            read()
        except BaseException:  # noqa: BLE001: the caller meets it too, where it can be raised
            pass
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    if not os.WIFSIGNALED(status):
        return
    number = os.WTERMSIG(status)
    how = "took too much of the processor's time" if number == signal.SIGKILL else f"crashed ({signal.strsignal(number)})"
    raise ForesightError(f"{path}: reading it {how}: the file is damaged or malicious; do not use it, record the trace again")


def _set_limits(file_bytes):
    import resource  # not everywhere where there is no fork

    for number in (signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGABRT):
        signal.signal(number, signal.SIG_DFL)  # pytest's and faulthandler's would print
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    seconds = 60 + (file_bytes >> 23)
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    with open("/proc/self/statm", encoding="ascii") as pages:
        held = int(pages.read().split()[0]) * resource.getpagesize()
    most = held + MEMORY_BYTES + 16 * file_bytes
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
