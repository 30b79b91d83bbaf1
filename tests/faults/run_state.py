"""The content of a run's folder without times, its complete states, and its leftovers."""

from __future__ import annotations

import hashlib
import json
import re
import struct
from dataclasses import dataclass
from pathlib import Path

TIMINGS = ("step_time", "tokens_per_second")
STAGES = ("supervised", "grpo")
EVENT_FILE = re.compile(r"events\.out\.tfevents\.\d+\.foresight")
LEFTOVER = re.compile(r"(\.partial$)|(^\.trash-)|(^\.replaced-)")
TRAINING_COST = re.compile(r'<section id="training-cost">.*?</section>', re.DOTALL)


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _metrics(content: bytes) -> str:
    rows = [json.loads(line) for line in content.decode().splitlines()]
    return json.dumps([{key: value for key, value in row.items() if key not in TIMINGS} for row in rows])


def _manifest(content: bytes) -> str:
    """The length of metrics.jsonl depends on the digits of its timings; offset_faults() checks it."""
    manifest = json.loads(content)
    del manifest["facts"]["metrics_offset"], manifest["digest"]
    return json.dumps(manifest, sort_keys=True)


def _evaluation(content: bytes) -> str:
    evaluation = json.loads(content)
    evaluation.pop("training", None)
    return json.dumps(evaluation)


def _varint(message: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[place]
        value, shift, place = value | (byte & 127) << shift, shift + 7, place + 1
        if byte < 128:
            return value, place


def _fields(message: bytes) -> list[tuple[int, int | bytes]]:
    """(number, value) of a protobuf message's fields; numbers of fixed size as their bytes."""
    fields, place = [], 0
    while place < len(message):
        key, place = _varint(message, place)
        length = {1: 8, 5: 4}.get(key & 7, 0)
        if key & 7 == 0:
            value, place = _varint(message, place)
            fields.append((key >> 3, value))
            continue
        if key & 7 == 2:
            length, place = _varint(message, place)
        fields.append((key >> 3, message[place : place + length]))
        place += length
    return fields


def _events(content: bytes) -> str:
    """The records of an event file (trainer/training/event_file.h) without wall_time and timings."""
    events, place = [], 0
    while place < len(content):
        (length,) = struct.unpack_from("<Q", content, place)
        if place + length + 16 > len(content):
            return f"torn at byte {place}"
        scalars = []
        for number, value in _fields(content[place + 12 : place + 12 + length]):
            if number == 5:  # the summary: values, each a tag and a number
                pairs = [dict(_fields(pair)) for _, pair in _fields(value)]
                scalars += [(pair[1].decode(), pair[2].hex()) for pair in pairs if pair[1].decode() not in TIMINGS]
            elif number != 1:
                scalars.append((number, str(value)))
        events.append(scalars)
        place += length + 16
    return json.dumps(events)


def outcome(run: Path) -> dict[str, str]:
    """Every file and folder of a run with its content, or the content's digest."""
    found = {}
    for path in sorted(run.rglob("*")):
        name = path.relative_to(run).as_posix()
        if path.is_dir():
            found[name + "/"] = ""
        elif name == "oracle/metrics.jsonl":
            found[name] = ""  # the cost of each trace; a trace's row may be lost with the process that recorded it
        elif path.name == "evaluation.json":
            found[name] = _evaluation(path.read_bytes())
        elif EVENT_FILE.fullmatch(path.name):  # numbered by how often it was restarted; all but the last are empty
            name = (path.parent / "events").relative_to(run).as_posix()
            found[name] = found.get(name, "") + (_events(path.read_bytes()) if path.stat().st_size else "")
        elif path.name == "metrics.jsonl":
            found[name] = _metrics(path.read_bytes())
        elif path.name == "manifest.json":
            found[name] = _manifest(path.read_bytes())
        elif path.name == "report.html":
            found[name] = digest(TRAINING_COST.sub("", path.read_text()).encode())
        elif path.name != ".lock":
            found[name] = digest(path.read_bytes())
    return found


def differences(run: Path, expected: dict[str, str]) -> list[str]:
    """How a finished run differs from the undisturbed one."""
    found = outcome(run)
    names = sorted(found.keys() | expected.keys())
    faults = [
        f"{name}: {'missing' if name not in found else 'left over' if name not in expected else 'other content'}"
        for name in names
        if found.get(name) != expected.get(name)
    ]
    faults += [f"{path.relative_to(run)}: left over" for path in sorted(run.rglob("*")) if LEFTOVER.search(path.name)]
    return faults + [fault for stage in STAGES for fault in offset_faults(run / stage)]


def complete_checkpoint(folder: Path) -> dict | None:
    """The facts of a checkpoint whose files are those that its manifest lists, byte for byte."""
    try:
        manifest = json.loads((folder / "manifest.json").read_bytes())
        files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()} - {"manifest.json"}
        whole = files == manifest["files"].keys() and all(
            digest((folder / name).read_bytes()) == facts["sha256"] for name, facts in manifest["files"].items()
        )
    except (OSError, ValueError, KeyError):
        return None
    return manifest["facts"] if whole else None


def offset_faults(stage: Path) -> list[str]:
    """Checkpoints whose metrics_offset is not right after the row of their step."""
    faults = []
    for folder in sorted(stage.glob("checkpoints/step-*")):
        facts = complete_checkpoint(folder)
        if facts is None:
            faults.append(f"{folder.name} of {stage.name}: damaged")
            continue
        metrics = stage / "metrics.jsonl"
        content = metrics.read_bytes() if metrics.exists() else b""
        rows = content[: facts["metrics_offset"]].splitlines(keepends=True)
        if not rows or not rows[-1].endswith(b"\n") or json.loads(rows[-1]).get("step") != facts["step"]:
            faults.append(f"{folder.name} of {stage.name}: metrics_offset {facts['metrics_offset']} is not behind its row")
    return faults


@dataclass(frozen=True)
class Survey:
    """The complete states in a run's folder, found without the program."""

    newest: dict[str, tuple[int, int, str]]  # stage -> step, steps, folder name
    batches: int | None  # of traces; None: all are in one file already
    recorded: int  # oracle files
    evaluated: bool

    @staticmethod
    def of(run: Path) -> Survey:
        newest = {}
        for stage in STAGES:
            for folder in sorted((run / stage / "checkpoints").glob("step-??????")):
                facts = complete_checkpoint(folder)
                if facts is not None:
                    newest[stage] = (facts["step"], facts["steps"], folder.name)
        batches = None if (run / "traces.jsonl").exists() else len(list((run / "traces").glob("*/batch-*.jsonl")))
        recorded = len(list((run / "oracle").glob("*.h5")))
        return Survey(newest, batches, recorded, (run / "evaluation.json").exists())

    def unsaid(self, log: str) -> list[str]:
        """Lines about these states that are missing in the log of the next start."""
        wanted = [f"oracle: {self.recorded} traces have been recorded"]
        if self.batches is not None:
            wanted.append(f"traces: {self.batches} batches have been generated")
        for stage in STAGES:
            step, steps, name = self.newest.get(stage, (-1, 0, ""))
            folder = f"run/{stage}/checkpoints/{name}"
            if step < 0:
                wanted.append(f"{stage}: starting at step 0 of ")
            elif step < steps:
                wanted.append(f"{stage}: resuming from {folder} at step {step} of {steps}")
            else:
                wanted.append(f"{stage}: finished before at step {step} ({folder})")
        if self.evaluated:
            wanted.append("evaluate: the results are already in run/evaluation.json")
        return [f"the next start did not say '{text}'" for text in wanted if text not in log]
