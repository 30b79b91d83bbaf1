#!/usr/bin/env python3
"""Writes, with TensorBoard's own code, the event file with which tests/training/test_event_file.cpp compares ours.

usage: make.py    (writes rows.jsonl and events.tfevents beside itself; needs the package tensorboard, 2.21.0 was used)

rows.jsonl: {"wall_time": ..., "row": {...}}, a line for each row. events.tfevents: the same rows as records, after the
two records at the start of a file. The scalars of each row are written by hand below.
"""

import json
from pathlib import Path

from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

HERE = Path(__file__).resolve().parent
START = 1795600000.25  # wall_time of the first two records

# (wall_time, row, its scalars as TensorBoard should have them)
ROWS = [
    (1795600001.5, {"step": 0, "eval_loss_rise": 0.0625}, [("eval_loss_rise", 0.0625)]),
    (
        1795600002.125,
        {"step": 1, "loss": 0.1, "grad_norm": None, "evictions": 12, "learning_rate": 1e-2, "step_time": 0.625},
        [("loss", 0.1), ("evictions", 12.0), ("learning_rate", 1e-2), ("step_time", 0.625)],
    ),
    (
        1795600003.0,
        {"step": 127, "zero": 0, "name": "text", "flag": True, "heads": {"first": -1.5, "rest": [2, 3.25]}, "far": 1e300},
        [("zero", 0.0), ("heads/first", -1.5), ("heads/rest/0", 2.0), ("heads/rest/1", 3.25)],
    ),
    (1795600004.75, {"step": 128, "n" * 200: 3e38, "tiny": 1e-45, "größe": -0.0}, [("n" * 200, 3e38), ("tiny", 1e-45), ("größe", -0.0)]),
    (1795600005.0, {"step": 300000000000, "big": 9007199254740993}, [("big", 9007199254740993.0)]),
    (1795600006.0, {"step": 300000000001, "nothing": None}, []),
]


def record(wall_time, step, scalars):
    values = [Summary.Value(tag=tag, simple_value=value) for tag, value in scalars]
    return Event(wall_time=wall_time, step=step, summary=Summary(value=values) if values else None)


def main():
    events = [
        Event(wall_time=START, file_version="brain.Event:2"),
        Event(wall_time=START, session_log=SessionLog(status=SessionLog.START)),
        *(record(wall_time, row["step"], scalars) for wall_time, row, scalars in ROWS),
    ]
    with (HERE / "events.tfevents").open("wb") as file:
        writer = RecordWriter(file)
        for event in events:
            writer.write(event.SerializeToString())
    lines = [json.dumps({"wall_time": wall_time, "row": row}) + "\n" for wall_time, row, _ in ROWS]
    (HERE / "rows.jsonl").write_text("".join(lines))


if __name__ == "__main__":
    main()
