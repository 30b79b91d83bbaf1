"""A job of several ranks as a user starts it (mpirun), watched from outside."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

ENVIRONMENT = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}  # CI's containers


@dataclass
class Job:
    """`foresight COMMAND` on some ranks, in the folder `place`; its stderr and stdout go to place/NAME.log."""

    program: Path
    place: Path
    ranks: int
    command: list[str]
    # rank -> environment variables of this rank only
    environment: dict[int, dict[str, str]] = field(default_factory=dict)
    name: str = "job"

    def __enter__(self) -> Job:
        self.log_file = (self.place / f"{self.name}.log").open("wb")
        line = ["mpirun", "--oversubscribe", "--bind-to", "none"]
        for rank in range(self.ranks):
            if rank:
                line.append(":")
            line += ["-np", "1"]
            for name, value in self.environment.get(rank, {}).items():
                line += ["-x", f"{name}={value}"]
            line += [str(self.program), *self.command]
        self.process = subprocess.Popen(
            line, cwd=self.place, env=os.environ | ENVIRONMENT, stdin=subprocess.DEVNULL, stdout=self.log_file, stderr=subprocess.STDOUT)
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        self.log_file.close()

    def log(self) -> str:
        return (self.place / f"{self.name}.log").read_text(errors="replace")

    def wait(self, seconds: float) -> int | None:
        """The exit status of mpirun; None: it was still there after `seconds`."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def process_of(self, rank: int) -> int:
        """The process number of a rank."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        for child in children:
            variables = Path(f"/proc/{child}/environ").read_bytes().split(b"\0")
            if f"OMPI_COMM_WORLD_RANK={rank}".encode() in variables:
                return int(child)
        raise AssertionError(f"rank {rank} is not there:\n{self.log()}")

    def send(self, rank: int, what: signal.Signals) -> None:
        os.kill(self.process_of(rank), what)

    def wait_for(self, seen, what: str, seconds: float = 60) -> None:
        """Waits until seen() is true; fails when the job ends before."""
        end = time.monotonic() + seconds
        while not seen():
            if self.process.poll() is not None or time.monotonic() > end:
                raise AssertionError(f"{what} was not seen; the job ended with {self.process.poll()}:\n{self.log()}")
            time.sleep(0.002)
