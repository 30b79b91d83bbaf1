#!/usr/bin/env python3
"""Time, memory and bytes of a run on many ranks, by arithmetic (docs/scaling.md): tables for Qwen3-4B and 8B.

usage: scripts/scaling_model.py [--tokens 32768] [--traces 512] [--budget 1024] [--window 256] [--peak-tflops 989] [--share 0.02]

It counts products with weights and attention (two operations for a multiplication and an addition), and bytes in memory
and in transfers. `--share`: the part of the device's peak that is reached, by default what scripts/gpu_check.sh
measured (docs/scaling.md).
"""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Shape:
    """The shape in a published config.json."""

    name: str
    hidden: int
    layers: int
    query_heads: int
    kv_heads: int
    head_dimension: int
    intermediate: int
    vocabulary: int
    tied: bool

    def weights(self) -> int:
        width = self.head_dimension * (2 * self.query_heads + 2 * self.kv_heads)
        layer = self.hidden * width + 3 * self.hidden * self.intermediate
        return self.layers * layer + self.hidden * self.vocabulary * (1 if self.tied else 2)

    def weights_per_token(self) -> int:
        """The weights that a token is multiplied by: all but the rows of the embedding, the output layer included."""
        return self.weights() - (0 if self.tied else self.hidden * self.vocabulary)

    def features(self) -> int:
        """Inputs of the scorer for an entry."""
        return 2 * self.head_dimension + 8 * self.query_heads // self.kv_heads

    def scorer_weights(self) -> int:
        return self.layers * self.kv_heads * (self.features() * 16 + 16 + 16 + 1)


SHAPES = {
    "Qwen3-4B": Shape("Qwen3-4B", 2560, 36, 32, 8, 128, 9728, 151936, tied=True),
    "Qwen3-8B": Shape("Qwen3-8B", 4096, 36, 32, 8, 128, 12288, 151936, tied=False),
    "SmolLM2-135M": Shape("SmolLM2-135M", 576, 30, 9, 3, 64, 1536, 49152, tied=True),
}


@dataclass(frozen=True)
class Job:
    """The settings that the arithmetic needs."""

    tokens: int  # of a trace
    traces: int
    budget: int
    window: int
    group_size: int = 8
    traces_per_step: int = 8
    rollouts_per_pass: int = 8
    evictions_per_trace: int = 8

    def steps(self) -> int:
        """Evictions of a trace."""
        return max(0, (self.tokens - self.budget - 1) // self.window)


def oracle_operations(shape: Shape, job: Job) -> float:
    """One trace under the full cache: weights, then scores and values over half of the square."""
    attention = 2 * 2 * shape.layers * shape.query_heads * shape.head_dimension * job.tokens**2 / 2
    return 2 * shape.weights_per_token() * job.tokens + attention


def evicted_operations(shape: Shape, job: Job) -> float:
    """One row of one trace under eviction: the prefix is shared and not counted."""
    tokens = job.tokens - job.budget
    attention = 2 * 2 * shape.layers * shape.query_heads * shape.head_dimension * (job.budget + job.window) * tokens
    return 2 * shape.weights_per_token() * tokens + attention


def shares(units: int, ranks: int) -> int:
    """The number of equal units on the rank that has most of them."""
    return math.ceil(units / ranks)


def rollout_units(job: Job) -> int:
    """Units of a GRPO step (rl/rollout_units.cpp), for traces of one length."""
    if job.rollouts_per_pass >= job.group_size:
        return math.ceil(job.traces_per_step / (job.rollouts_per_pass // job.group_size))
    return job.traces_per_step * math.ceil(job.group_size / job.rollouts_per_pass)


def device_bytes(shape: Shape, job: Job) -> dict[str, float]:
    """The memory of a rank on its device: weights in bfloat16 and the embedding in float32, caches in bfloat16, and two
    gradients of the scorer for each rollout of a pass (rl/eligibility_traces.h). Work on a window comes on top
    (`foresight validate` counts it)."""
    weights = 2 * shape.weights() + 4 * shape.hidden * shape.vocabulary
    entry = 2 * shape.head_dimension * 2 * shape.layers * shape.kv_heads
    rows = min(job.rollouts_per_pass, job.group_size * job.traces_per_step)
    return {
        "weights": weights,
        "full cache": entry * job.tokens,
        "caches of rollouts": entry * (job.budget + job.window) * rows,
        "gradients of rollouts": 2 * rows * 4 * shape.scorer_weights(),
    }


def oracle_file_bytes(shape: Shape, job: Job) -> float:
    """The recorded attention of a trace: half of a matrix of windows by tokens, float16."""
    return 2 * shape.layers * shape.kv_heads * job.tokens**2 / job.window / 2


def cached_file_bytes(shape: Shape, job: Job) -> float:
    """The cached states of a trace with all of its evictions: every key and value once, statistics in float16, positions
    and the oracle's values in four bytes."""
    entries = 2 * job.tokens * 2 * shape.head_dimension
    statistics = 2 * 8 * shape.query_heads // shape.kv_heads
    return shape.layers * shape.kv_heads * (entries + job.steps() * job.budget * (statistics + 8))


def draws_bytes(shape: Shape, job: Job) -> float:
    """The host memory of one rollout that is replayed: its sampled actions, two bytes each."""
    return 2 * job.steps() * shape.layers * shape.kv_heads * job.window


def gradient_bytes(shape: Shape, units: int, ranks: int, fixed_order: bool) -> float:
    """The bytes that a rank receives for one update: every unit's gradient, or a ring's two passes over one."""
    own = 4 * shape.scorer_weights()
    if ranks == 1:
        return 0
    if not fixed_order:
        return 2 * own * (ranks - 1) / ranks
    return own * (units - shares(units, ranks))


def table(shape: Shape, job: Job, peak: float) -> list[str]:
    """One row for each number of ranks."""
    rows = [
        "| GPUs | oracle | all traces replayed once | GRPO step | its draws if replayed, host of a rank | gradients, fixed order | any order |",
        "|---|---|---|---|---|---|---|",
    ]
    units = rollout_units(job)
    for ranks in (8, 16, 32, 64, 128, 512):
        oracle = shares(job.traces, ranks) * oracle_operations(shape, job) / peak
        replay = shares(job.traces, ranks) * evicted_operations(shape, job) / peak
        own_rows = min(job.group_size * job.traces_per_step, shares(units, ranks) * job.rollouts_per_pass)
        step = own_rows * evicted_operations(shape, job) / peak
        rows.append(
            f"| {ranks} | {oracle / 60:.1f} min | {replay / 60:.1f} min | {step:.0f} s | {own_rows * draws_bytes(shape, job) / 2**20:.0f} MiB | "
            f"{gradient_bytes(shape, units, ranks, True) / 2**20:.0f} MiB | {gradient_bytes(shape, units, ranks, False) / 2**20:.0f} MiB |")
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--tokens", type=int, default=32768)
    parser.add_argument("--traces", type=int, default=512)
    parser.add_argument("--budget", type=int, default=1024)
    parser.add_argument("--window", type=int, default=256)
    parser.add_argument("--traces-per-step", type=int, default=32)
    parser.add_argument("--peak-tflops", type=float, default=989)
    parser.add_argument("--share", type=float, default=0.02)
    options = parser.parse_args()
    job = Job(options.tokens, options.traces, options.budget, options.window, traces_per_step=options.traces_per_step)
    for name in ("Qwen3-4B", "Qwen3-8B"):
        shape = SHAPES[name]
        held = device_bytes(shape, job)
        print(f"\n{name}: {shape.weights() / 1e9:.2f} G weights, scorer {4 * shape.scorer_weights() / 2**20:.1f} MiB; on each device "
              + ", ".join(f"{what} {size / 2**30:.1f} GiB" for what, size in held.items())
              + f"; a trace's oracle file {oracle_file_bytes(shape, job) / 2**30:.1f} GiB, its cached states {cached_file_bytes(shape, job) / 2**30:.1f} GiB (none when streamed)\n")
        print("\n".join(table(shape, job, options.share * options.peak_tflops * 1e12)))


if __name__ == "__main__":
    main()
