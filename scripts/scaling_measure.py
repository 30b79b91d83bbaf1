#!/usr/bin/env python3
"""Runs the oracle and a GRPO step on 1, 2 and 4 ranks of this machine, one thread each, and compares with the model of
scripts/scaling_model.py (docs/scaling.md).

usage: scripts/scaling_measure.py [--program build/foresight] [--model models/SmolLM2-135M-Instruct] [--ranks 1 2 4]

The model uses the rates of one rank, the assignment of units, the number of cores, and the sizes of data in memory and
in transfers.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests/ranks"), str(ROOT / "scripts")]

from job import Job
from scaling_model import SHAPES, gradient_bytes

TRACES, TOKENS, TRACES_PER_STEP, GROUP = 8, 1024, 4, 4
CONFIG = f"""
output: run
model: {{path: MODEL}}
data:
  train: [{ROOT}/data/texts/prose_train.jsonl, {ROOT}/data/texts/code_train.jsonl]
  trace_tokens: {TOKENS}
  max_train_traces: {TRACES - 1}
  validation_traces: 1
eviction: {{budget: 128, window: 32}}
supervised: {{steps: 1}}
grpo: {{steps: 1, traces_per_step: {TRACES_PER_STEP}, group_size: {GROUP}, rollouts_per_pass: {GROUP}}}
runtime: {{device: cpu, threads: 1, dtype: float32}}
"""


class Memory(threading.Thread):
    """The peak memory of a rank of a job, in bytes."""

    def __init__(self, job: Job) -> None:
        super().__init__(daemon=True)
        self.job, self.most = job, 0

    def run(self) -> None:
        pid = self.job.process.pid
        while self.job.process.poll() is None:
            try:
                for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
                    for line in Path(f"/proc/{child}/status").read_text().splitlines():
                        if line.startswith("VmHWM:"):
                            self.most = max(self.most, 1024 * int(line.split()[1]))
            except (OSError, ValueError):
                pass
            time.sleep(0.05)


def run(program: Path, place: Path, ranks: int, stage: str) -> tuple[float, int]:
    """Seconds of a stage, start to end, and the peak memory of a rank."""
    started = time.monotonic()
    with Job(program, place, ranks, [stage, "--config", str(place / "scaling.yaml")], name=f"{stage}-{ranks}") as job:
        memory = Memory(job)
        memory.start()
        status = job.wait(3600)
        if status != 0:
            raise SystemExit(f"{stage} on {ranks} ranks ended with {status}:\n{job.log()}")
        memory.join()
    return time.monotonic() - started, memory.most


def last_row(file: Path) -> dict:
    return json.loads(file.read_text().splitlines()[-1])


def measure(program: Path, place: Path, ranks: int) -> dict[str, float]:
    for stage in ("oracle", "grpo"):
        shutil.rmtree(place / "run" / stage, ignore_errors=True)
    found: dict[str, float] = {}
    found["oracle s"], oracle_memory = run(program, place, ranks, "oracle")
    if not (place / "run/supervised/checkpoints").exists() or not list((place / "run/supervised/checkpoints").glob("step-*")):
        run(program, place, ranks, "supervised")
    _, grpo_memory = run(program, place, ranks, "grpo")
    found["GRPO step s"] = last_row(place / "run/grpo/metrics.jsonl")["step_time"]
    found["memory MiB"] = max(oracle_memory, grpo_memory) / 2**20
    return found


def modelled(one: dict[str, float], ranks: int, cores: int) -> dict[str, float]:
    """Computed from the figures of one rank; more ranks than cores share the cores."""
    slowdown = max(1.0, ranks / cores)
    loading = one["loading s"]
    most = -(-TRACES // ranks) / TRACES
    most_units = -(-TRACES_PER_STEP // ranks) / TRACES_PER_STEP
    return {
        "oracle s": loading * slowdown + (one["oracle s"] - loading) * most * slowdown,
        "GRPO step s": one["GRPO step s"] * most_units * slowdown,
        "memory MiB": one["fixed MiB"] + (one["memory MiB"] - one["fixed MiB"]) * most_units,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--program", type=Path, default=ROOT / "build/foresight")
    parser.add_argument("--model", type=Path, default=ROOT / "models/SmolLM2-135M-Instruct")
    parser.add_argument("--ranks", type=int, nargs="+", default=[1, 2, 4])
    options = parser.parse_args()
    cores = len(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        (place / "scaling.yaml").write_text(CONFIG.replace("MODEL", str(options.model.resolve())))
        one = measure(options.program.resolve(), place, 1)
        # A start with everything finished takes only the time of loading.
        one["loading s"], fixed = run(options.program.resolve(), place, 1, "oracle")
        one["fixed MiB"] = fixed / 2**20
        print(f"{cores} cores, one thread a rank; oracle: {TRACES} traces of {TOKENS} tokens, start to end; "
              f"GRPO: {TRACES_PER_STEP} traces x {GROUP} rollouts, one step")
        print("| ranks | oracle: modelled | measured | GRPO step: modelled | measured | memory of a rank: modelled | measured | gradients a rank receives |")
        print("|---|---|---|---|---|---|---|---|")
        for ranks in options.ranks:
            real = one if ranks == 1 else measure(options.program.resolve(), place, ranks)
            said = modelled(one, ranks, cores)
            received = gradient_bytes(SHAPES["SmolLM2-135M"], TRACES_PER_STEP, ranks, True) / 2**20
            print(f"| {ranks} | {said['oracle s']:.1f} s | {real['oracle s']:.1f} s | {said['GRPO step s']:.1f} s | {real['GRPO step s']:.1f} s | "
                  f"{said['memory MiB']:.0f} MiB | {real['memory MiB']:.0f} MiB | {received:.1f} MiB |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
