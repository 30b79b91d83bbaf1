"""Starts of the program under the shim: each in a process of its own, or forked from a server that has loaded it."""

from __future__ import annotations

import os
import select
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Ended:
    """The end of a start of the program; status as subprocess gives it, None: it took too long."""

    status: int | None
    log: str

    def last_lines(self) -> str:
        return "\n".join("      " + line for line in self.log.splitlines()[-6:])


@dataclass(frozen=True)
class Start:
    """`foresight run` in a trial's folder; the shim writes the calls of its run to `report`."""

    place: Path
    config: Path
    report: str
    call: int = 0  # that is disturbed; 0: none
    fault: str = ""

    def arguments(self) -> list[str]:
        return ["run", "--config", str(self.config)]

    def environment(self) -> dict[str, str]:
        return {
            "FORESIGHT_FAULT_FOLDER": str(self.place / "run"),
            "FORESIGHT_FAULT_REPORT": str(self.place / self.report),
            "FORESIGHT_FAULT_CALL": str(self.call),
            "FORESIGHT_FAULT_KIND": self.fault,
        }


class Launcher:
    """Runs each start in a process of its own, as a user does."""

    def __init__(self, program: Path, shim: Path, timeout_s: float) -> None:
        self.program, self.shim, self.timeout_s = program, shim, timeout_s

    def run(self, start: Start) -> Ended:
        environment = os.environ | start.environment() | {"LD_PRELOAD": str(self.shim)}
        log = start.place / f"{start.report}.log"
        with log.open("wb") as stderr:
            try:
                done = subprocess.run(
                    [self.program, *start.arguments()], cwd=start.place, env=environment, stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL, stderr=stderr, timeout=self.timeout_s, check=False)
                status: int | None = done.returncode
            except subprocess.TimeoutExpired:
                status = None
        return Ended(status, log.read_text(errors="replace"))

    def close(self) -> None:
        pass


class ForkServer(Launcher):
    """Forks each start from a process that has loaded the program's libraries (fork_server.cpp)."""

    def __init__(self, program: Path, shim: Path, timeout_s: float) -> None:
        super().__init__(program, shim, timeout_s)
        environment = os.environ | {"LD_PRELOAD": str(shim), "FORESIGHT_FORK_SERVER": "1"}
        self.server = subprocess.Popen(
            [program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, bufsize=0)

    def _answer(self) -> int:
        assert self.server.stdout
        line = self.server.stdout.readline()
        if not line:
            raise RuntimeError("the fork server ended")
        return int(line)

    def run(self, start: Start) -> Ended:
        assert self.server.stdin and self.server.stdout
        log = start.place / f"{start.report}.log"
        settings = [f"{name}={value}" for name, value in start.environment().items()]
        request = [str(start.place), str(log), *settings, "--", *start.arguments(), ""]
        self.server.stdin.write(b"".join(text.encode() + b"\0" for text in request))
        process = self._answer()
        in_time = bool(select.select([self.server.stdout], [], [], self.timeout_s)[0])
        if not in_time:
            os.kill(process, signal.SIGKILL)
        status = os.waitstatus_to_exitcode(self._answer())
        return Ended(status if in_time else None, log.read_text(errors="replace"))

    def close(self) -> None:
        assert self.server.stdin
        self.server.stdin.close()
        self.server.wait()
