#!/usr/bin/env python3
"""Jobs on several hosts: the bytes of one rank, hosts that are killed, cut off or frozen, and jobs that resume.

The hosts are network namespaces of this machine (network.py). Exit code 77: they cannot be made here.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(HERE.parent / "faults"))

from network import Host, Network, missing
from run_state import differences, outcome

CONFIG = HERE.parent / "ranks/ranks.yaml"
SKIPPED = 77
# runtime.silence_limit_s of the config (5), as long again for ranks that hear of it from rank 0, and room for a busy machine.
END_S = 40
SILENT = r"error rank \d on host\d: rank {rank} on {host} has been silent"
# Makes mpirun check idle links, which it otherwise does only after five minutes (docs/scaling.md).
KEEPALIVE = {"oob_tcp_keepalive_time": 2, "oob_tcp_keepalive_intvl": 1, "oob_tcp_keepalive_probes": 2}
options = argparse.Namespace()


class Job:
    """`foresight run` with a rank on each of `hosts`, started from the first."""

    def __init__(self, network: Network, hosts: list[Host], place: Path, *overrides: str, name: str = "job", mca: dict[str, int] | None = None) -> None:
        self.hosts, self.place, self.log_file = hosts, place, place / f"{name}.log"
        settings = {"plm_rsh_agent": network.agent(), "btl": "tcp,self", "btl_tcp_if_include": "eth0", "oob_tcp_if_include": "eth0"} | (mca or {})
        line = ["mpirun", "--allow-run-as-root", "--bind-to", "none", "--host", ",".join(host.address for host in hosts)]
        line += ["-np", str(len(hosts)), "--wdir", str(place)]
        for key, value in settings.items():
            line += ["--mca", key, str(value)]
        with self.log_file.open("wb") as log:
            self.process = subprocess.Popen(
                hosts[0].command(*line, options.program, "run", "--config", CONFIG, *overrides),
                cwd=place, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)

    def log(self) -> str:
        return self.log_file.read_text(errors="replace")

    def wait_for_step(self, step: int) -> None:
        rows, end = self.place / "run/supervised/metrics.jsonl", time.monotonic() + 120
        while not rows.exists() or rows.read_text().count("\n") < step:
            if self.process.poll() is not None or time.monotonic() > end:
                raise AssertionError(f"step {step} was not seen; mpirun ended with {self.process.poll()}:\n{self.log()}")
            time.sleep(0.005)

    def wait(self, seconds: float) -> int | None:
        """mpirun's exit status; None: it still runs."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def wait_for_ranks(self, hosts: list[Host], seconds: float) -> bool:
        """True once no rank is left on these hosts."""
        end = time.monotonic() + seconds
        while any(ranks_of(host) for host in hosts):
            if time.monotonic() > end:
                return False
            time.sleep(0.1)
        return True

    def end(self) -> None:
        """Kills the rest of the job, because mpirun waits for hosts that it cannot reach."""
        self.process.kill()
        self.process.wait()
        for host in self.hosts:
            for process in host.processes():
                if name_of(process) not in ("sshd", "sh"):
                    os.kill(process, signal.SIGKILL)


def name_of(process: int) -> str:
    try:
        return Path(f"/proc/{process}/comm").read_text().strip()
    except OSError:
        return ""  # it has just ended


def ranks_of(host: Host) -> list[int]:
    return [process for process in host.processes() if name_of(process) == options.program.name]


class Hosts(unittest.TestCase):
    folder: Path
    network: Network
    expected: dict[str, str]

    @classmethod
    def setUpClass(cls) -> None:
        cls.folder = Path(tempfile.mkdtemp(prefix="foresight_jobs_")).resolve()
        cls.addClassCleanup(shutil.rmtree, cls.folder, ignore_errors=True)
        subprocess.run([options.program, "--quiet", "make-tiny-model", cls.folder / "model"], check=True)
        alone = cls.folder / "alone"
        alone.mkdir()
        subprocess.run([options.program, "--quiet", "run", "--config", CONFIG], cwd=alone, check=True, stdout=subprocess.DEVNULL)
        cls.expected = outcome(alone / "run")
        cls.network = Network(2 if options.small else 3, with_ssh=not options.small)
        cls.addClassCleanup(cls.network.close)

    def place(self, name: str) -> Path:
        place = self.folder / name
        place.mkdir()
        return place

    def disturbed(self, name: str, **more) -> Job:
        """A job that is in the middle of a stage."""
        job = Job(self.network, self.network.hosts, self.place(name), name="disturbed", **more)
        self.addCleanup(job.end)
        job.wait_for_step(6)
        return job

    def finish(self, place: Path, hosts: list[Host]) -> None:
        """The next start resumes and ends with the bytes of one rank."""
        job = Job(self.network, hosts, place, name="last")
        self.addCleanup(job.end)
        self.assertEqual(job.wait(300), 0, job.log())
        self.assertEqual(differences(place / "run", self.expected), [], job.log())

    def large_only(self) -> None:
        if options.small:
            self.skipTest("not in the small set")

    def test_same_bytes_on_any_number_of_hosts(self) -> None:
        for count in range(2, len(self.network.hosts) + 1):
            with self.subTest(hosts=count):
                self.finish(self.place(f"same-{count}"), self.network.hosts[:count])

    def test_a_killed_host_ends_the_job_and_it_goes_on(self) -> None:
        job, victim = self.disturbed("killed"), self.network.hosts[1]
        victim.send(signal.SIGKILL)
        self.assertNotIn(job.wait(END_S), (None, 0), job.log())
        self.assertIn(victim.address, job.log())
        self.assertTrue(job.wait_for_ranks(self.network.hosts, END_S), job.log())
        self.network.start(victim)
        self.finish(job.place, self.network.hosts)

    def test_a_host_of_mpirun_that_is_killed_ends_the_job_and_it_goes_on_elsewhere(self) -> None:
        self.large_only()
        job = self.disturbed("first-killed")
        self.network.hosts[0].send(signal.SIGKILL)
        self.assertTrue(job.wait_for_ranks(self.network.hosts, END_S), job.log())
        self.finish(job.place, self.network.hosts[1:])
        self.network.start(self.network.hosts[0])

    def test_a_link_that_is_cut_ends_the_ranks_on_both_sides_and_the_job_goes_on(self) -> None:
        self.large_only()
        for index in (1, 0):
            with self.subTest(host=index):
                job, victim = self.disturbed(f"cut-{index}"), self.network.hosts[index]
                victim.set_link("down")
                self.addCleanup(victim.set_link, "up")
                self.assertTrue(job.wait_for_ranks(self.network.hosts, END_S), job.log())
                # Rank 0 is on host 0, and hears neither of the others when that host is cut off.
                self.assertRegex(job.log(), SILENT.format(rank=r"1|rank 2", host=r"host\d"))
                victim.set_link("up")
                job.end()
                self.finish(job.place, self.network.hosts)

    def test_mpirun_ends_by_itself_where_it_looks_after_its_links(self) -> None:
        self.large_only()
        job, victim = self.disturbed("looked-after", mca=KEEPALIVE), self.network.hosts[1]
        victim.set_link("down")
        self.addCleanup(victim.set_link, "up")
        self.assertNotIn(job.wait(END_S), (None, 0), job.log())
        self.assertIn(victim.address, job.log())
        self.assertTrue(job.wait_for_ranks(self.network.hosts, END_S), job.log())
        victim.set_link("up")
        job.end()
        self.finish(job.place, self.network.hosts)

    def test_a_host_that_freezes_is_named_and_the_job_goes_on_without_it(self) -> None:
        self.large_only()
        for index in (1, 0):
            with self.subTest(host=index):
                job, victim = self.disturbed(f"frozen-{index}"), self.network.hosts[index]
                others = [host for host in self.network.hosts if host is not victim]
                victim.send(signal.SIGSTOP)
                self.assertTrue(job.wait_for_ranks(others, END_S), job.log())
                # Output of other hosts comes through mpirun: later, if mpirun's host is frozen.
                if index != 0:
                    self.assertRegex(job.log(), SILENT.format(rank=index, host=victim.name))
                    self.finish(job.place, others)
                victim.send(signal.SIGCONT)
                self.assertTrue(job.wait_for_ranks([victim], END_S), job.log())
                if index == 0:
                    self.assertRegex(job.log(), SILENT.format(rank=index, host=victim.name))
                    job.end()
                    self.finish(job.place, others)
                job.end()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--program", type=Path, default=ROOT / "build/foresight")
    parser.add_argument("--small", action="store_true", help="two hosts without SSH servers, and what takes seconds")
    parser.add_argument("tests", nargs="*", help="names of tests, for example Hosts.test_same_bytes_on_any_number_of_hosts")
    options = parser.parse_args()
    options.program = options.program.resolve()
    reason = missing(with_ssh=not options.small)
    if reason:
        print(f"NOT RUN: {reason}")
        sys.exit(SKIPPED)
    unittest.main(argv=[sys.argv[0], *options.tests], verbosity=2)
