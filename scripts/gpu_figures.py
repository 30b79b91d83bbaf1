#!/usr/bin/env python3
"""Prints the time and memory of a run of scripts/gpu_check.sh, from its metrics.

usage: scripts/gpu_figures.py FOLDER --peak-tflops N   (FOLDER: model/, run/, bench.json, transformers.json and, of a GPU, memory)
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path


def parameters_per_token(shape: dict) -> int:
    """The weights that each token is multiplied by: all but the embedding's rows, the output layer included."""
    hidden, inner, d = shape["hidden_size"], shape["intermediate_size"], shape["head_dim"]
    attention = hidden * d * (2 * shape["num_attention_heads"] + 2 * shape["num_key_value_heads"])
    return shape["num_hidden_layers"] * (attention + 3 * hidden * inner) + hidden * shape["vocab_size"]


def figures(oracle: list[dict], grpo: list[dict], shape: dict, peak_tflops: float) -> list[tuple[str, float, float]]:
    """(what, tokens/s, share of the peak); only products with weights are counted, two operations per weight and token. The first
    trace and the first step warm the device up and do not count where there are others."""
    work = 2 * parameters_per_token(shape)
    traces = oracle[1:] or oracle
    steps = [row for row in grpo if "tokens_per_second" in row]
    steps = steps[1:] or steps
    tokens = sum(row["num_tokens"] for row in steps)
    rates = {
        "oracle": sum(row["tokens"] for row in traces) / sum(row["seconds"] for row in traces),
        "rollouts": tokens / sum(row["num_tokens"] / row["tokens_per_second"] for row in steps),
        "whole GRPO step": tokens / sum(row["step_time"] for row in steps),
    }
    return [(name, rate, rate * work / (peak_tflops * 1e12)) for name, rate in rates.items()]


def passes(bench: dict, transformers: dict) -> list[tuple[str, float]]:
    """(what, tokens/s) of the bare products and of full passes with losses, by length, with transformers' beside."""
    found = []
    for row in bench["benchmarks"]:
        name, length = row["name"].split("/")[:2]
        what = {"forward_products": "bare products", "forward_full_pass": "full pass"}.get(name)
        if what is None:
            continue
        found.append((f"{what}, {length}", row["tokens_per_second"]))
        beside = transformers.get(f"forward_full_pass/{length}")
        if what == "full pass" and beside is not None:
            found.append((f"transformers, {length}", beside))
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--peak-tflops", type=float, required=True)
    options = parser.parse_args()

    def rows(name: str) -> list[dict]:
        return [json.loads(line) for line in (options.folder / "run" / name).read_text().splitlines()]

    def document(name: str) -> dict:
        return json.loads((options.folder / name).read_text())

    shape = document("model/config.json")
    print(f"{'':<22}{'tokens/s':>12}{'share of peak':>16}")
    for name, rate, share in figures(rows("oracle/metrics.jsonl"), rows("grpo/metrics.jsonl"), shape, options.peak_tflops):
        print(f"{name:<22}{rate:>12.0f}{100 * share:>14.1f} %")
    for name, rate in passes(document("bench.json"), document("transformers.json")):
        print(f"{name:<22}{rate:>12.0f}")
    memory = options.folder / "memory"
    if memory.exists():
        print(f"device memory at most {max(map(int, memory.read_text().split()))} MiB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
