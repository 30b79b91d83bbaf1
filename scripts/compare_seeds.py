#!/usr/bin/env python3
"""Compares two policies over runs that differ in their seed, paired over the traces that all of them held out.

usage: scripts/compare_seeds.py [--policy grpo] [--to supervised] [--measure low_entropy_loss_rise] RUN...

RUN: the folder of a run (its evaluation.json is read). The difference of a trace is the mean over the runs; the interval is a
bootstrap over traces (10,000 draws with replacement, seed 1). Prints a row for each run and one for all.
"""

import argparse
import json
import random
import sys
from pathlib import Path

DRAWS = 10_000


def differences(evaluation, policy, other, measure):
    """Per trace, `policy` minus `other`, and the two means."""
    both = [evaluation["policies"][name] for name in (policy, other)]
    own, base = (entry[f"trace_{measure}"] for entry in both)
    if len(own) != len(base):
        raise ValueError(f"{policy} has {len(own)} traces, {other} {len(base)}")
    return [a - b for a, b in zip(own, base)], both[0][measure], both[1][measure]


def interval(values, draws=DRAWS):
    """Mean of `values` and the bounds of its 95 % bootstrap interval."""
    stream = random.Random(1)
    means = sorted(sum(stream.choices(values, k=len(values))) / len(values) for _ in range(draws))
    return sum(values) / len(values), means[int(0.025 * draws)], means[int(0.975 * draws) - 1]


def compare(evaluations, policy, other, measure):
    """Rows (name, mean of policy, mean of other, difference, low, high): one for each run, and the mean over all."""
    rows, per_run = [], []
    inputs = {evaluation["inputs"]["traces_sha256"] for evaluation in evaluations.values()}
    if len(inputs) != 1:
        raise ValueError("the runs were evaluated on different traces")
    for name, evaluation in evaluations.items():
        values, own, base = differences(evaluation, policy, other, measure)
        per_run.append(values)
        rows.append((name, own, base, *interval(values)))
    pooled = [sum(values) / len(values) for values in zip(*per_run)]
    count = len(rows)
    rows.append(("all", sum(row[1] for row in rows) / count, sum(row[2] for row in rows) / count, *interval(pooled)))
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--policy", default="grpo")
    parser.add_argument("--to", default="supervised")
    parser.add_argument("--measure", default="low_entropy_loss_rise", choices=["low_entropy_loss_rise", "loss_rise"])
    parser.add_argument("runs", nargs="+", type=Path)
    arguments = parser.parse_args()
    try:
        evaluations = {str(run): json.loads((run / "evaluation.json").read_text()) for run in arguments.runs}
        rows = compare(evaluations, arguments.policy, arguments.to, arguments.measure)
    except (OSError, ValueError, KeyError) as fault:
        sys.exit(f"compare_seeds: {type(fault).__name__}: {fault}")
    print(f"{arguments.measure}, nats: {arguments.policy} against {arguments.to}")
    print(f"{'run':<36} {arguments.policy:>10} {arguments.to:>10} {'difference':>11}   95 % interval")
    for name, own, base, difference, low, high in rows:
        print(f"{name:<36} {own:>10.4f} {base:>10.4f} {difference:>+11.4f}   {low:+.4f} to {high:+.4f}")


if __name__ == "__main__":
    main()
