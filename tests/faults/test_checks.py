#!/usr/bin/env python3
"""Tests of the checks of fault_matrix.py: each finds its fault."""

from __future__ import annotations

import json
import random
import sys
import tempfile
import unittest
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(Path(__file__).resolve().parent))

from calls import Call, publish_faults, read_report, unseen_bytes
from fault_matrix import judge_end, twice_trials
from run_state import Survey, complete_checkpoint, differences, digest, outcome
from starts import Ended


def call(kind: str, path: str, second: str = "", result: int = 0, size: int = 0) -> Call:
    return Call(1, kind, result, size, PurePosixPath(path), PurePosixPath(second) if second else None)


PUBLISHED = [
    call("create", "run/a.partial"),
    call("write", "run/a.partial", result=5, size=5),
    call("fsync", "run/a.partial"),
    call("rename", "run/a.partial", "run/a"),
    call("fsync", "run"),
]


class PublishRule(unittest.TestCase):
    def test_followed(self) -> None:
        self.assertEqual(publish_faults(PUBLISHED), [])

    def test_each_sync_is_missed(self) -> None:
        self.assertIn("before its content was synced", publish_faults(PUBLISHED[:2] + PUBLISHED[3:])[0])
        self.assertEqual(publish_faults(PUBLISHED[:4]), ["run/a: its entry in run was never synced"])

    def test_a_folder_needs_its_entries_synced(self) -> None:
        calls = [
            call("mkdir", "run/step.partial"),
            call("create", "run/step.partial/x"),
            call("rename", "run/step.partial", "run/step"),
            call("fsync", "run"),
        ]
        self.assertIn("before its entries were synced", publish_faults(calls)[0])
        self.assertEqual(publish_faults(calls[:2] + [call("fsync", "run/step.partial")] + calls[2:]), [])

    def test_nothing_is_removed_before_the_rename_is_synced(self) -> None:
        removal = call("unlink", "run/old")
        self.assertIn("removed before the rename", publish_faults(PUBLISHED[:4] + [removal] + PUBLISHED[4:])[0])
        self.assertEqual(publish_faults(PUBLISHED + [removal]), [])

    def test_a_failed_call_changes_nothing(self) -> None:
        self.assertEqual(publish_faults(PUBLISHED + [call("write", "run/a", result=-28, size=5)]), [])

    def test_a_file_without_a_name_needs_no_sync(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            report = Path(folder) / "calls"
            lines = [
                f"1\tcreate\t0\t0\t{folder}/run/s.partial\t",
                f"2\tunlink\t0\t0\t{folder}/run/s.partial\t",
                f"3\twrite\t5\t5\t{folder}/run/s.partial (deleted)\t",
            ]
            report.write_text("\n".join(lines) + "\n")
            calls = read_report(report, Path(folder))
        self.assertEqual([call.nameless for call in calls], [False, False, True])
        self.assertEqual(calls[2].path, PurePosixPath("run/s.partial"))
        self.assertEqual(publish_faults(calls), [])
        self.assertEqual(publish_faults(calls[:1]), ["run/s.partial: its entry in run was never synced"])
        self.assertEqual(len(unseen_bytes(calls, {PurePosixPath("run/s.partial"): 5})), 1)

    def test_bytes_past_the_shim(self) -> None:
        self.assertEqual(unseen_bytes(PUBLISHED, {PurePosixPath("run/a"): 5}), [])
        self.assertEqual(len(unseen_bytes(PUBLISHED, {PurePosixPath("run/a"): 6, PurePosixPath("run/b"): 1})), 2)


class RunState(unittest.TestCase):
    def setUp(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.run_folder = Path(self.folder.name)
        self.checkpoint = self.run_folder / "grpo/checkpoints/step-000001"
        self.checkpoint.mkdir(parents=True)
        (self.checkpoint / "scorer").write_bytes(b"weights")
        self.write_metrics(0.25)

    def tearDown(self) -> None:
        self.folder.cleanup()

    def write_metrics(self, step_time: float) -> None:
        row = json.dumps({"step": 1, "loss": 2.0, "step_time": step_time}) + "\n"
        (self.run_folder / "grpo/metrics.jsonl").write_text(row)
        manifest = {
            "facts": {"step": 1, "steps": 2, "metrics_offset": len(row)},
            "files": {"scorer": {"sha256": digest(b"weights")}},
            "digest": str(step_time),
        }
        (self.checkpoint / "manifest.json").write_text(json.dumps(manifest))

    def test_timings_may_differ_and_nothing_else(self) -> None:
        expected = outcome(self.run_folder)
        self.write_metrics(0.125)
        self.assertEqual(differences(self.run_folder, expected), [])
        (self.checkpoint / "scorer").write_bytes(b"weighty")
        found = differences(self.run_folder, expected)
        self.assertIn("grpo/checkpoints/step-000001/scorer: other content", found)
        self.assertIn("step-000001 of grpo: damaged", found)

    def test_event_files_may_be_numbered_anew_and_hold_the_same(self) -> None:
        events = self.run_folder / "grpo/tensorboard"
        events.mkdir()
        content = (ROOT / "tests/reference/events/events.tfevents").read_bytes()
        first, second = (events / f"events.out.tfevents.00000{number}.foresight" for number in (1, 2))
        first.write_bytes(content)
        expected = outcome(self.run_folder)
        self.assertIn('["loss", "cdcccc3d"]', expected["grpo/tensorboard/events"])
        self.assertNotIn("step_time", expected["grpo/tensorboard/events"])
        first.write_bytes(b"")
        second.write_bytes(content)
        self.assertEqual(differences(self.run_folder, expected), [])
        for faulty in (content[:-1], content + content, b"", content.replace(b"loss", b"less")):
            second.write_bytes(faulty)
            self.assertIn("grpo/tensorboard/events: other content", differences(self.run_folder, expected))

    def test_leftovers_and_losses(self) -> None:
        expected = outcome(self.run_folder)
        (self.run_folder / "x.partial").mkdir()
        (self.run_folder / "grpo/metrics.jsonl").unlink()
        (self.run_folder / "grpo/metrics.jsonl").write_text("{}\n")
        found = differences(self.run_folder, expected)
        self.assertIn("x.partial: left over", found)
        self.assertIn("grpo/metrics.jsonl: other content", found)

    def test_what_the_next_start_must_say(self) -> None:
        self.assertEqual(complete_checkpoint(self.checkpoint)["step"], 1)
        survey = Survey.of(self.run_folder)
        log = "traces: 0 batches have been generated\noracle: 0 traces have been recorded\nsupervised: starting at step 0 of 4\n"
        resumed = log + "grpo: resuming from run/grpo/checkpoints/step-000001 at step 1 of 2\n"
        self.assertEqual(survey.unsaid(resumed), [])
        self.assertEqual(len(survey.unsaid(log)), 1)


class Trials(unittest.TestCase):
    def test_double_kills_are_drawn_once_each(self) -> None:
        calls = [Call(number, "write", 1, 1, PurePosixPath(f"run/{number}"), None) for number in range(1, 6)]
        trials = twice_trials(calls, 8, random.Random(1))
        self.assertEqual(len(set(trials)), 8)


class Endings(unittest.TestCase):
    LINE = "2026-01-01 00:00:00 error cannot write run/oracle/a.h5: no space\n"

    def judge(self, status: int | None, log: str, fault: str = "eio") -> list[str]:
        write = call("write", "run/oracle/a.h5.foresight.partial", size=9)
        return judge_end(write, fault, Ended(status, log), [write])

    def test_an_error(self) -> None:
        self.assertEqual(self.judge(4, self.LINE), [])
        self.assertTrue(self.judge(1, self.LINE))
        self.assertTrue(self.judge(-6, self.LINE))
        self.assertTrue(self.judge(None, self.LINE))
        self.assertTrue(self.judge(0, ""))
        self.assertTrue(self.judge(4, self.LINE + self.LINE))
        self.assertTrue(self.judge(4, self.LINE.replace("a.h5", "b.h5")))
        self.assertTrue(self.judge(4, self.LINE + "more\n"))

    def test_a_kill_and_a_short_write(self) -> None:
        self.assertEqual(self.judge(-9, "", "kill"), [])
        self.assertTrue(self.judge(0, "", "kill"))
        self.assertEqual(self.judge(0, "", "short"), [])
        self.assertTrue(self.judge(4, self.LINE, "short"))


if __name__ == "__main__":
    unittest.main()
