#!/usr/bin/env python3
"""Two ranks on two GPUs with NCCL: the steps of one rank on one GPU. Exit status 77 where there are not two GPUs."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

SKIPPED = 77
CONFIG = Path(__file__).resolve().parent.parent / "ranks/ranks.yaml"
ENVIRONMENT = os.environ | {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}


def devices() -> int:
    if shutil.which("nvidia-smi") is None:
        return 0
    listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=False).stdout
    return sum(line.startswith("GPU ") for line in listed.splitlines())


def losses(program: Path, folder: Path, ranks: int) -> list[float]:
    place = folder / str(ranks)
    place.mkdir()
    command = [program, "run", "--config", CONFIG, "runtime.device=cuda", "grpo.steps=2"]
    subprocess.run(["mpirun", "-np", str(ranks), *command], cwd=place, env=ENVIRONMENT, check=True)
    return [json.loads(line)["loss"] for line in (place / "run/supervised/metrics.jsonl").read_text().splitlines()]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--program", type=Path, required=True)
    program = parser.parse_args().program.resolve()
    if devices() < 2:
        print(f"NOT RUN: NCCL between two ranks needs two CUDA devices, {devices()} are here", file=sys.stderr)
        return SKIPPED
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        subprocess.run([program, "--quiet", "make-tiny-model", folder / "model"], check=True)
        one, two = losses(program, folder, 1), losses(program, folder, 2)
    worst = max(abs(a - b) / abs(a) for a, b in zip(one, two, strict=True))
    print(f"{len(one)} steps on 1 and 2 GPUs: the losses differ by at most {worst:.1e} relative")
    return 0 if worst < 1e-5 else 1


if __name__ == "__main__":
    sys.exit(main())
