#!/usr/bin/env python3
"""The program at the edges of the system: streams, signals, limits, locks, cores, libraries in unusual places."""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import re
import resource
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

from run_state import differences, outcome

CONFIG = HERE.parent / "ranks/ranks.yaml"
ERROR = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d error (.*)$", re.MULTILINE)
INPUT, RESOURCE, INTERRUPTED = 3, 4, 75  # trainer/base/error.h
WAITING = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")
options = argparse.Namespace()


def clean_environment(**more: str) -> dict[str, str]:
    """This process's environment without OpenMP's variables, and with `more`."""
    return {name: value for name, value in os.environ.items() if name not in (*WAITING, "OMP_NUM_THREADS")} | more


class Edges(unittest.TestCase):
    folder: Path

    @classmethod
    def setUpClass(cls) -> None:
        cls.folder = Path(tempfile.mkdtemp(prefix="foresight_edges_")).resolve()
        subprocess.run([options.program, "--quiet", "make-tiny-model", cls.folder / "model"], check=True)
        cls.alone = cls.folder / "alone"
        cls.alone.mkdir()
        subprocess.run([options.program, "--quiet", "run", "--config", CONFIG], cwd=cls.alone, check=True, stdout=subprocess.DEVNULL)
        cls.expected = outcome(cls.alone / "run")

    @classmethod
    def tearDownClass(cls) -> None:
        shutil.rmtree(cls.folder, ignore_errors=True)

    def place(self, name: str) -> Path:
        place = self.folder / name
        place.mkdir()
        return place

    def call(self, *arguments: object, place: Path | None = None, **more) -> subprocess.CompletedProcess[str]:
        """The finished process, with stderr as text; stdout too, unless `more` redirects it."""
        more = {"stdout": subprocess.PIPE, "env": clean_environment()} | more
        return subprocess.run([options.program, *map(str, arguments)], cwd=place or self.alone, stderr=subprocess.PIPE, text=True,
                              timeout=300, check=False, **more)

    def refused(self, done: subprocess.CompletedProcess[str], status: int, words: str) -> None:
        """Expects one error line that contains `words`, and this exit code."""
        self.assertEqual(done.returncode, status, done.stderr)
        lines = ERROR.findall(done.stderr)
        self.assertEqual(len(lines), 1, done.stderr)
        self.assertRegex(lines[0], words)

    # Streams ----------------------------------------------------------------------------------------------------------

    def printing_commands(self) -> list[list[object]]:
        config = ["--config", CONFIG]
        return [
            ["--version"], ["--help"], ["grpo", "--help"], ["config", "docs"], ["config", "show", *config], ["completion", "bash"],
            ["config", "init", "edge", "--out", self.folder / f"edge-{time.monotonic_ns()}.yaml"],
            ["runs", self.alone], ["runs", self.alone, "--json"], ["compare", "run", "run"], ["compare", "run", "run", "--json"],
            ["compare", "run", "run", "--html", self.folder / "page.html"], ["report", "--runs", self.alone],
            ["inspect", "run/oracle/train-000000.h5"], ["inspect", "../model/model.safetensors"],
            ["validate", *config], ["validate", "--json", *config], ["evaluate", *config], ["evaluate", "--json", *config],
            ["report", *config], ["export", *config, "--policy", "grpo"], ["run", *config], ["run", "--json", *config],
            ["generate", *config, "--raw", "--prompt", "abc", "generation.max_new_tokens=4", "generation.policy=full"],
        ]

    def test_output_to_a_full_disk_is_an_error_of_every_command(self) -> None:
        for command in self.printing_commands():
            with self.subTest(command=command), open("/dev/full", "w") as full:
                self.refused(self.call(*command, stdout=full), RESOURCE, "cannot write the result to stdout: No space left")

    def test_a_closed_stdout_is_an_error(self) -> None:
        for command in (["--version"], ["config", "docs"], ["config", "show", "--config", CONFIG]):
            with self.subTest(command=command):
                done = self.call(*command, stdout=None, preexec_fn=lambda: os.close(1))
                self.refused(done, RESOURCE, "cannot write the result to stdout")

    def test_a_reader_that_has_gone_is_an_error_and_no_signal(self) -> None:
        reading, writing = os.pipe()
        os.close(reading)
        self.refused(self.call("config", "docs", stdout=writing), RESOURCE, "cannot write the result to stdout: Broken pipe")
        os.close(writing)

    def test_a_log_that_nobody_reads_any_more_ends_no_run(self) -> None:
        place = self.place("log")
        reading, writing = os.pipe()
        os.close(reading)
        done = subprocess.run([options.program, "run", "--config", CONFIG], cwd=place, stdout=subprocess.DEVNULL, stderr=writing,
                              timeout=300, check=False)
        os.close(writing)
        self.assertEqual(done.returncode, 0)
        self.assertEqual(differences(place / "run", self.expected), [])

    # Signals and limits -----------------------------------------------------------------------------------------------

    def test_signals_that_ask_for_an_end_save_and_the_next_start_goes_on(self) -> None:
        for number in (signal.SIGHUP, signal.SIGXCPU, signal.SIGUSR1, signal.SIGUSR2, signal.SIGTERM):
            with self.subTest(signal=number.name):
                place = self.place(number.name)
                rows = place / "run/supervised/metrics.jsonl"
                with subprocess.Popen([options.program, "run", "--config", CONFIG], cwd=place, stdout=subprocess.DEVNULL,
                                      stderr=subprocess.PIPE, text=True) as running:
                    end = time.monotonic() + 120
                    while not rows.exists() or rows.read_text().count("\n") < 6:
                        self.assertIsNone(running.poll(), "it ended before")
                        self.assertLess(time.monotonic(), end)
                        time.sleep(0.002)
                    running.send_signal(number)
                    log = running.communicate(timeout=120)[1]
                self.assertEqual(running.returncode, INTERRUPTED, log)
                last = self.call("run", "--config", CONFIG, place=place)
                self.assertEqual(last.returncode, 0, last.stderr)
                self.assertEqual(differences(place / "run", self.expected), [], last.stderr)

    def test_a_hangup_that_was_ignored_stays_ignored(self) -> None:
        place = self.place("nohup")
        with subprocess.Popen([options.program, "--quiet", "run", "--config", CONFIG], cwd=place, stdout=subprocess.DEVNULL,
                              preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN)) as running:
            while not (place / "run/oracle").exists():
                self.assertIsNone(running.poll())
                time.sleep(0.002)
            running.send_signal(signal.SIGHUP)
            self.assertEqual(running.wait(300), 0)

    def test_a_limit_of_file_sizes_is_an_error_that_names_the_file(self) -> None:
        place = self.place("limit")
        done = self.call("run", "--config", CONFIG, place=place,
                         preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000)))
        self.refused(done, RESOURCE, str(place.name) + "|run/")

    def test_memory_that_runs_out_inside_torch_is_a_lack_of_memory(self) -> None:
        model = self.folder / "long_model"
        shutil.copytree(self.folder / "model", model)
        shape = json.loads((model / "config.json").read_text())
        (model / "config.json").write_text(json.dumps(shape | {"max_position_embeddings": 10_000_000}))
        command = ["generate", "--config", CONFIG, "--raw", "--prompt", "a", f"model.path={model}", "generation.policy=full"]
        # The least limit of addresses, to 64 MiB, with which two tokens work; a million need more than that.
        fits, limit = 1 << 17, 1 << 6
        while fits - limit > 64:
            middle = (fits + limit) // 2
            done = self.call(*command, "generation.max_new_tokens=2", preexec_fn=lambda most=middle: self.limit_addresses(most))
            fits, limit = (middle, limit) if done.returncode == 0 else (fits, middle)
        done = self.call(*command, "generation.max_new_tokens=1000000", preexec_fn=lambda: self.limit_addresses(fits + 64))
        self.refused(done, RESOURCE, "^out of memory .*lower ")

    @staticmethod
    def limit_addresses(mebibytes: int) -> None:
        resource.setrlimit(resource.RLIMIT_AS, (mebibytes << 20, mebibytes << 20))

    # Locks ------------------------------------------------------------------------------------------------------------

    def test_a_file_system_without_locks_is_warned_about_and_used(self) -> None:
        for number in (37, 38, 95):
            with self.subTest(errno=number):
                place = self.place(f"locks-{number}")
                done = self.call("run", "--config", CONFIG, place=place, stdout=subprocess.DEVNULL,
                                 env=clean_environment(LD_PRELOAD=str(options.shim), FORESIGHT_FLOCK_ERRNO=str(number)))
                self.assertEqual(done.returncode, 0, done.stderr)
                self.assertEqual(done.stderr.count("this file system has no locks"), 1, done.stderr)
                self.assertEqual(differences(place / "run", self.expected), [], done.stderr)

    def test_a_lock_of_somebody_else_on_an_oracle_file_is_not_minded(self) -> None:
        file = self.alone / "run/oracle/train-000000.h5"
        with file.open("rb") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            done = self.call("inspect", file)
        self.assertEqual(done.returncode, 0, done.stderr)

    # Cores ------------------------------------------------------------------------------------------------------------

    def test_all_cores_are_those_that_the_process_may_use(self) -> None:
        cores = sorted(os.sched_getaffinity(0))
        for own in (cores[:1], cores):
            done = self.call("validate", "--config", CONFIG, "runtime.threads=0", preexec_fn=lambda: os.sched_setaffinity(0, own))
            self.assertIn(f", {len(own)} threads\n", done.stderr)
        done = self.call("validate", "--config", CONFIG, "runtime.threads=0", env=clean_environment(OMP_NUM_THREADS="3"))
        self.assertIn(", 3 threads\n", done.stderr)

    def test_threads_wait_with_a_bound_unless_the_user_said_how(self) -> None:
        def environment_of(**more: str) -> dict[str, str]:
            fifo = self.folder / f"fifo-{time.monotonic_ns()}"  # the program waits where it opens its config
            os.mkfifo(fifo)
            with subprocess.Popen([options.program, "config", "show", "--config", fifo], env=clean_environment(**more),
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as running:
                with fifo.open("w"):
                    lines = Path(f"/proc/{running.pid}/environ").read_text().split("\0")
                    command = Path(f"/proc/{running.pid}/comm").read_text().strip()
            self.assertEqual(command, "foresight")
            return {name: value for name, _, value in (line.partition("=") for line in lines) if name in WAITING}

        self.assertEqual(environment_of(), {"GOMP_SPINCOUNT": "5000"})
        self.assertEqual(environment_of(OMP_WAIT_POLICY="active"), {"OMP_WAIT_POLICY": "active"})
        self.assertEqual(environment_of(GOMP_SPINCOUNT="7"), {"GOMP_SPINCOUNT": "7"})

    # Libraries --------------------------------------------------------------------------------------------------------

    def test_libraries_come_from_where_the_program_was_built_alone(self) -> None:
        facts = subprocess.run(["readelf", "--dynamic", options.program], capture_output=True, text=True, check=True).stdout
        names = re.findall(r"Shared library: \[(.*)\]", facts)
        paths = re.findall(r"Library r(?:un)?path: \[(.*)\]", facts)
        for folder in ":".join(paths).split(":"):
            self.assertTrue(folder.startswith(("/", "$ORIGIN")), f"searched for libraries: {paths}")
        traps = self.place("libraries")
        for name in names:
            if not name.startswith(("libc.so", "libm.so", "ld-")):
                (traps / name).write_text("no library")
        self.assertEqual(self.call("--version", place=traps).returncode, 0)
        ours = [name for name in names if name.startswith(("libc10", "libtorch", "libgomp"))]
        others = self.place("other_torch")
        for name in ours:
            (others / name).write_text("no library")
        self.assertGreater(len(ours), 1)
        done = self.call("--version", env=clean_environment(LD_LIBRARY_PATH=str(others)))
        self.assertEqual(done.returncode, 0, done.stderr)

    # Files of others --------------------------------------------------------------------------------------------------

    def test_an_oracle_file_that_crashes_hdf5_is_refused(self) -> None:
        for name, how in (("forged_segmentation_fault", "Segmentation fault"), ("forged_division", "Floating point exception")):
            file = ROOT / f"tests/reference/oracle/{name}.h5"
            self.refused(self.call("inspect", file), INPUT, rf"{name}\.h5: reading it crashed \({how}\)")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--program", type=Path, default=ROOT / "build/foresight")
    parser.add_argument("--shim", type=Path, default=ROOT / "build/tests/no_flock_shim.so")
    parser.add_argument("tests", nargs="*", help="names of tests, for example Edges.test_a_closed_stdout_is_an_error")
    options = parser.parse_args()
    options.program, options.shim = options.program.resolve(), options.shim.resolve()
    unittest.main(argv=[sys.argv[0], *options.tests], verbosity=2)
