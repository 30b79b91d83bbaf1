#!/usr/bin/env python3
"""Runs of every stage on several ranks, started by mpirun: the same bytes on any number of ranks, joint ends, resumes.

The folder of a case that fails is kept. Needs mpirun (openmpi-bin).
"""

from __future__ import annotations

import argparse
import json
import re
import signal
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "faults"))

from calls import read_report
from job import Job
from run_state import differences, outcome
from starts import Start

ROOT = HERE.parent.parent
CONFIG = HERE / "ranks.yaml"
END_S = 60  # a job that somebody left must be over by then
ERROR = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d error (.*)$", re.MULTILINE)
PEER, RESOURCE, CONFIG_FAULT, INTERRUPTED = 6, 4, 2, 75  # trainer/base/error.h
options = argparse.Namespace()


def rows(place: Path, stage: str) -> list[dict]:
    file = place / "run" / stage / "metrics.jsonl"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def shimmed(place: Path, call: int = 0, fault: str = "", below: str = "run") -> dict[str, str]:
    """The environment of a rank whose file calls below a path are counted in place/calls, and one of them disturbed."""
    start = Start(place, CONFIG, "calls", call, fault).environment()
    return start | {"FORESIGHT_FAULT_FOLDER": str(place / below), "LD_PRELOAD": str(options.shim)}


class Ranks(unittest.TestCase):
    folder: Path
    expected: dict[str, str]

    @classmethod
    def setUpClass(cls) -> None:
        cls.folder = Path(tempfile.mkdtemp(prefix="foresight_ranks_")).resolve()
        subprocess.run([options.program, "--quiet", "make-tiny-model", cls.folder / "model"], check=True)
        alone = cls.folder / "alone"
        alone.mkdir()
        subprocess.run([options.program, "--quiet", "run", "--config", CONFIG], cwd=alone, check=True, stdout=subprocess.DEVNULL)
        cls.expected = outcome(alone / "run")

    @classmethod
    def tearDownClass(cls) -> None:
        subprocess.run(["rm", "-rf", cls.folder], check=False)

    def place(self, name: str) -> Path:
        place = self.folder / name
        place.mkdir()
        return place

    def job(self, place: Path, ranks: int, *overrides: str, command: str = "run", **more) -> Job:
        return Job(options.program, place, ranks, [command, "--config", str(CONFIG), *overrides], **more)

    def finish(self, place: Path, ranks: int, *overrides: str, name: str = "last") -> None:
        """The next start resumes and ends with the bytes of the run that was never disturbed."""
        with self.job(place, ranks, *overrides, name=name) as job:
            self.assertEqual(job.wait(300), 0, job.log())
        self.assertEqual(differences(place / "run", self.expected), [], job.log())

    def ended_by(self, job: Job, seconds: float = END_S) -> int:
        status = job.wait(seconds)
        self.assertIsNotNone(status, "the job did not end:\n" + job.log())
        self.assertNotEqual(status, 0, job.log())
        return status

    def test_same_bytes_on_any_number_of_ranks(self) -> None:
        for ranks in (2, 4):
            with self.subTest(ranks=ranks):
                self.finish(self.place(f"same-{ranks}"), ranks)

    def test_a_scorer_on_serving_features_has_the_same_bytes_on_any_number_of_ranks(self) -> None:
        overrides = ("scorer.features=serving", "supervised.steps=10", "grpo.steps=4")
        one, three = self.place("serving-1"), self.place("serving-3")
        for place, ranks in ((one, 1), (three, 3)):
            with self.job(place, ranks, *overrides) as job:
                self.assertEqual(job.wait(300), 0, job.log())
        expected = outcome(one / "run")
        self.assertEqual(differences(three / "run", expected), [])
        self.assertNotEqual(expected["exports/grpo.safetensors"], self.expected["exports/grpo.safetensors"])

    def test_each_stage_alone_and_a_checkpoint_of_four_ranks_goes_on_with_two_and_one(self) -> None:
        place = self.place("stages")
        for ranks, command in ((4, "traces"), (2, "oracle")):
            with self.job(place, ranks, command=command, name=command) as job:
                self.assertEqual(job.wait(300), 0, job.log())
        with self.job(place, 4, command="supervised", name="stopped") as job:
            job.wait_for(lambda: len(rows(place, "supervised")) > 10, "step 10")
            job.process.send_signal(signal.SIGUSR1)
            self.assertEqual(self.ended_by(job), INTERRUPTED, job.log())
        stopped = len(rows(place, "supervised"))
        self.assertLess(stopped, 40)
        with self.job(place, 2, command="supervised", name="supervised") as job:
            self.assertEqual(job.wait(300), 0, job.log())
            self.assertIn(f"at step {stopped} of 40", job.log())
        with self.job(place, 4, command="grpo", name="grpo") as job:
            job.wait_for(lambda: len(rows(place, "grpo")) > 4, "step 4")
            job.send(3, signal.SIGKILL)
            self.ended_by(job)
        self.finish(place, 1)

    def test_any_order_of_summation_agrees_to_rounding(self) -> None:
        # Without RL, whose samples would differ from the first near-tie on.
        place = self.place("any-order")
        with self.job(place, 3, "runtime.deterministic=false", "grpo.steps=0", "evaluation.policies=[full, supervised]") as job:
            self.assertEqual(job.wait(300), 0, job.log())
        expected = [row for row in rows(self.folder / "alone", "supervised")]
        for row, other in zip(expected, rows(place, "supervised"), strict=True):
            self.assertLess(abs(row["loss"] - other["loss"]), 1e-5 * abs(row["loss"]), row)

    def test_a_killed_rank_ends_the_job_and_it_resumes_exactly(self) -> None:
        # At the start of each stage, and in a step; rank 0 and others.
        moments = {
            "traces-start": (3, lambda job, place: "batches have been generated" in job.log()),
            "oracle-start": (2, lambda job, place: "traces have been recorded" in job.log()),
            "oracle-within": (1, lambda job, place: any((place / "run/oracle").glob("*.h5*"))),
            "replay": (3, lambda job, place: "traces have been replayed" in job.log()),
            "supervised-start": (1, lambda job, place: "supervised: starting" in job.log()),
            "supervised-step": (0, lambda job, place: len(rows(place, "supervised")) > 12),
            "grpo-start": (3, lambda job, place: "grpo: starting at" in job.log()),
            "grpo-step": (2, lambda job, place: len(rows(place, "grpo")) > 5),
            "evaluate-start": (1, lambda job, place: "export: " in job.log()),
        }
        for name, (rank, seen) in moments.items():
            with self.subTest(name=name):
                place = self.place(name)
                with self.job(place, 4, name="killed") as job:
                    job.wait_for(lambda: seen(job, place), name)
                    job.send(rank, signal.SIGKILL)
                    self.ended_by(job)
                self.finish(place, 2)

    def test_a_rank_killed_during_a_save(self) -> None:
        # Only calls below the save are counted, because which rank makes a shared folder is a race.
        saves = {"supervised/checkpoints": 0, "grpo/checkpoints": 0, "evaluation.json.foresight.partial": 0, "oracle": 2}
        for save, rank in saves.items():
            below, name = f"run/{save}", save.replace("/", "-")
            place = self.place(f"calls-{name}")
            with self.job(place, 4, environment={rank: shimmed(place, below=below)}) as job:
                self.assertEqual(job.wait(300), 0, job.log())
            own = [call for call in read_report(place / "calls", place) if call.kind in ("fsync", "rename")]
            call = own[len(own) // 2]
            with self.subTest(rank=rank, call=call):
                place = self.place(f"save-{name}")
                with self.job(place, 4, environment={rank: shimmed(place, call.number, "kill", below)}, name="killed") as job:
                    self.ended_by(job)
                met = [call for call in read_report(place / "calls", place) if call.disturbed]
                self.assertEqual([(each.kind, each.path) for each in met], [(call.kind, call.path)], job.log())
                self.finish(place, 2)

    def test_a_fault_of_one_rank_is_told_once_with_rank_and_host(self) -> None:
        place = self.place("full-disk")
        with self.job(place, 4, environment={2: shimmed(place, 3, "enospc")}, name="fault") as job:
            self.assertEqual(self.ended_by(job), RESOURCE, job.log())
        lines = ERROR.findall(job.log())
        self.assertEqual(len(lines), 1, job.log())
        self.assertRegex(lines[0], r"^rank 2 on \S+: .*no space left")
        self.finish(place, 3)

    def test_a_fault_of_all_ranks_is_told_once(self) -> None:
        place = self.place("config-fault")
        with self.job(place, 4, "no_such.key=1") as job:
            self.assertEqual(self.ended_by(job), CONFIG_FAULT, job.log())
        self.assertEqual(len(ERROR.findall(job.log())), 1, job.log())

    def test_a_rank_that_hangs_is_named_within_the_limit(self) -> None:
        for hanging in (2, 0):
            with self.subTest(rank=hanging):
                place = self.place(f"hang-{hanging}")
                with self.job(place, 3, name="hangs") as job:
                    job.wait_for(lambda: len(rows(place, "supervised")) > 5, "step 5")
                    job.send(hanging, signal.SIGSTOP)
                    self.assertEqual(self.ended_by(job, 30), PEER, job.log())
                lines = ERROR.findall(job.log())
                self.assertEqual(len(lines), 1, job.log())
                self.assertRegex(lines[0], rf"^rank \d on \S+: rank {hanging} on \S+ has been silent")
                self.finish(place, 4)

    def test_other_commands_run_once(self) -> None:
        place = self.place("validate")
        with self.job(place, 3, command="validate") as job:
            self.assertEqual(job.wait(60), 0, job.log())
        with self.job(place, 1, command="validate", name="one") as one:
            self.assertEqual(one.wait(60), 0, one.log())
        self.assertEqual(len(job.log().splitlines()), len(one.log().splitlines()), job.log())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--program", type=Path, default=ROOT / "build/foresight")
    parser.add_argument("--shim", type=Path, default=ROOT / "build/tests/fault_shim.so")
    parser.add_argument("tests", nargs="*", help="names of tests, for example Ranks.test_other_commands_run_once")
    options = parser.parse_args()
    options.program, options.shim = options.program.resolve(), options.shim.resolve()
    unittest.main(argv=[sys.argv[0], *options.tests], verbosity=2)
