#!/usr/bin/env python3
"""The table of scripts/memory_by_length.sh, from the JSON that foresight_bench wrote for each length."""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path

STAGES = ("oracle", "supervised", "grpo", "evaluate")
LAYERS_OF_THE_MODEL = 36
ROLLOUTS = 8


def counters_by_length(folder: Path) -> dict[int, dict[str, float]]:
    found = {}
    for file in folder.glob("*.json"):
        for row in json.loads(file.read_text())["benchmarks"]:
            match = re.match(r"memory_of_(?:oracle|stages)/(\d+)/", row["name"])
            if match:
                found.setdefault(int(match[1]), {}).update(row)
    return dict(sorted(found.items()))


def table(found: dict[int, dict[str, float]]) -> str:
    lines = ["| stage | " + " | ".join(f"{length} tokens" for length in found) + " | peak of the process | estimated | estimate / peak |",
             "|---" * (len(found) + 4) + "|"]
    for stage in STAGES:
        last = list(found.values())[-1]
        peak, estimate = last[f"{stage}_peak_MiB"], last[f"{stage}_estimate_MiB"]
        beyond = " | ".join(f"{row[f'{stage}_beyond_MiB']:.0f} MiB" for row in found.values())
        lines.append(f"| {stage} | {beyond} | {peak:.0f} MiB | {estimate:.0f} MiB | {estimate / peak:.2f} |")
    return "\n".join(lines)


def extrapolation(found: dict[int, dict[str, float]], layers: int) -> str:
    """An upper bound for the whole model, as if all the measured memory grew with the layers."""
    longest, row = list(found.items())[-1]
    most = row["grpo_beyond_MiB"] * LAYERS_OF_THE_MODEL / layers / ROLLOUTS / 1024
    return (f"GRPO at {longest} tokens, were all of it to grow with the layers: {most:.2f} GiB a rollout with "
            f"{LAYERS_OF_THE_MODEL} layers")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--layers", type=int, default=2, help="layers of the model that was measured")
    options = parser.parse_args()
    found = counters_by_length(options.folder)
    print(table(found))
    print(extrapolation(found, options.layers))


if __name__ == "__main__":
    main()
