"""TensorBoard's own reader against metrics.jsonl: every number of every step, once, however often the run was stopped."""

import json
import math
import os
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT, run, tiny_overrides
from tensorboard.backend.event_processing.event_accumulator import SCALARS, EventAccumulator

EVENT_FILES = "events.out.tfevents.*"


@pytest.fixture(scope="session")
def program(foresight):
    return Path(os.environ.get("FORESIGHT_PROGRAM") or foresight)


@pytest.fixture
def command(program, tiny_model_folder, tmp_path):
    """command(stage, key=value ...) -> the command line; its run lies in tmp_path / "run"."""
    common = [*tiny_overrides(tiny_model_folder, tmp_path / "run"), "runtime.threads=1", "supervised.steps=120",
              "supervised.evaluate_every=40", "supervised.save_every=10", "runtime.tensorboard=true"]  # fmt: skip
    return lambda stage, *more: [program, stage, "--config", "configs/tiny.yaml", *common, *more]


def rows_of(stage):
    return [json.loads(line) for line in (stage / "metrics.jsonl").read_text().splitlines()]


def numbers_in(value, path=""):
    """(path, number) of every number that a float32 can hold."""
    if isinstance(value, (dict, list)):
        for key, member in value.items() if isinstance(value, dict) else enumerate(value):
            yield from numbers_in(member, f"{path}/{key}" if path else str(key))
    elif isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value):
        yield path, value


def expected_scalars(stage):
    """tag -> [(step, float32)] as metrics.jsonl has them."""
    scalars = {}
    for row in rows_of(stage):
        for tag, number in numbers_in({key: value for key, value in row.items() if key != "step"}):
            scalars.setdefault(tag, []).append((row["step"], float(np.float32(number))))
    return scalars


def shown_scalars(accumulator):
    return {tag: [(event.step, event.value) for event in accumulator.Scalars(tag)] for tag in accumulator.Tags()["scalars"]}


def opened(stage):
    return EventAccumulator(str(stage / "tensorboard"), size_guidance={SCALARS: 0}).Reload()


def event_files(stage):
    """Those that hold something."""
    return [path.name for path in (stage / "tensorboard").glob(EVENT_FILES) if path.stat().st_size > 0]


def check(stage):
    """TensorBoard shows what metrics.jsonl holds; returns the rows."""
    expected = expected_scalars(stage)
    accumulator = opened(stage)
    assert shown_scalars(accumulator) == expected
    times = [event.wall_time for event in accumulator.Scalars("step_time")]
    assert times == sorted(times) and abs(times[-1] - time.time()) < 3600
    assert len(event_files(stage)) == 1
    return rows_of(stage)


def interrupt(command, stage, rows, number):
    """Starts the command and sends it a signal once metrics.jsonl has that many rows; returns its exit code."""
    log, metrics, deadline = stage.parent.parent / "log", stage / "metrics.jsonl", time.monotonic() + 240
    with log.open("w") as out, subprocess.Popen([str(part) for part in command], cwd=ROOT, stdout=out, stderr=out) as process:
        while not (metrics.exists() and metrics.read_bytes().count(b"\n") >= rows):
            assert process.poll() is None and time.monotonic() < deadline, log.read_text()[-2000:]
            time.sleep(0.002)
        process.send_signal(number)
        return process.wait(timeout=240)


def test_a_run_that_was_killed_and_stopped_shows_every_step_once(command, tmp_path):
    stage = tmp_path / "run" / "supervised"
    run(*command("oracle"))
    assert interrupt(command("supervised"), stage, 15, signal.SIGKILL) == -signal.SIGKILL
    watching = opened(stage)  # a TensorBoard that goes on reading
    assert watching.Scalars("loss")
    assert interrupt(command("supervised"), stage, 45, signal.SIGTERM) == 75
    stopped = check(stage)
    assert 45 <= len(stopped) < 120
    files = event_files(stage)
    run(*command("supervised"))
    rows = check(stage)
    assert [row["step"] for row in rows] == list(range(1, 121))
    assert event_files(stage) == files  # stopped and saved: the same file goes on
    watching.Reload()
    assert shown_scalars(watching) == expected_scalars(stage)
    # Values that a validation measured stand at their steps alone.
    assert [step for step, _ in expected_scalars(stage)["eval_loss_rise"]] == [40, 80, 120]


def test_the_key_may_be_turned_on_and_off_between_starts(command, tmp_path):
    stage = tmp_path / "run" / "supervised"
    off = "runtime.tensorboard=false"
    run(*command("oracle", off))
    assert interrupt(command("supervised", off), stage, 15, signal.SIGTERM) == 75
    assert not (stage / "tensorboard").exists()
    assert interrupt(command("supervised"), stage, 30, signal.SIGTERM) == 75
    assert check(stage)[0]["step"] == 1
    run(*command("supervised", off))
    assert len(rows_of(stage)) == 120 and len(opened(stage).Scalars("loss")) < 120
    run(*command("supervised"))  # finished before: nothing is trained, and the file is made whole
    assert len(check(stage)) == 120


def test_grpo_shows_its_start_at_step_0(command, tmp_path):
    run(*command("oracle"))
    run(*command("supervised", "supervised.steps=2"))
    run(*command("grpo", "supervised.steps=2", "grpo.steps=2"))
    rows = check(tmp_path / "run" / "grpo")
    assert [row["step"] for row in rows] == [0, 1, 2]
    assert expected_scalars(tmp_path / "run" / "grpo")["eval_loss_rise"][0][0] == 0


def test_without_the_key_there_are_no_event_files(command, tmp_path):
    run(*command("oracle", "runtime.tensorboard=false"))
    run(*command("supervised", "supervised.steps=2", "runtime.tensorboard=false"))
    assert (tmp_path / "run/supervised/metrics.jsonl").exists()
    assert not list((tmp_path / "run").rglob(EVENT_FILES))
