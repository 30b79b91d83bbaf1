#!/usr/bin/env python3
"""Speed of vLLM with and without the plugin, at the same batch and at equal memory, as a Markdown table.

usage: .venv-vllm/bin/python scripts/serving_benchmark.py SCORER [--model FOLDER] [--requests N ...] [--context N ...]
           [--new N] [--repeat N] [--dtype TYPE] [--budget N --window N] [--memory N]

SCORER is an exported scorer that fits the model. FORESIGHT_OPS names libforesight_ops.so unless the package brings it. Nothing else
should run on the machine.

Same batch: all requests at once in a pool that holds them all. Prompt tokens a second of a run for one new token each, and new tokens
a second of the whole batch (the time of 1 + NEW tokens less that of one). Equal memory: both engines have a pool of as many bytes as
vLLM alone needs for an Nth of the requests (--memory, default 4; at least one), and queue what does not fit; new tokens a second
of the whole run, prompts included. Each engine is a process of its own; the shortest of --repeat runs counts.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

from bench_vllm import engine_settings

BLOCK = 32
BYTES = {"bfloat16": 2, "float16": 2, "float32": 4}
ENGINES = ("vLLM", "plugin")


def measure(options, job):
    """Runs in the engine's process: prints one JSON object a line."""
    from vllm import LLM, SamplingParams

    pool = {"kv_cache_memory_bytes": job["pool"]} if job["pool"] else {}
    llm = LLM(
        model=options.model, dtype=options.dtype, max_model_len=max(job["context"]) + options.new + 8, enforce_eager=True, block_size=BLOCK,
        enable_prefix_caching=False, max_num_seqs=max(job["requests"]), max_num_batched_tokens=2048, **pool,
    )  # fmt: skip
    choice = random.Random(1)

    def seconds(requests, context, new):
        taken = []
        for _ in range(options.repeat):
            prompts = [{"prompt_token_ids": [choice.randrange(300, 40000) for _ in range(context)]} for _ in range(requests)]
            started = time.perf_counter()
            llm.generate(prompts, SamplingParams(temperature=0, max_tokens=new, ignore_eos=True), use_tqdm=False)
            taken.append(time.perf_counter() - started)
        return min(taken)

    seconds(1, 200, 4)
    for context in job["context"]:
        for requests in job["requests"]:
            row = {"requests": requests, "context": context, "whole": seconds(requests, context, 1 + options.new)}
            if not job["pool"]:
                row["prefill"] = seconds(requests, context, 1)
            print("RESULT " + json.dumps(row), flush=True)


def run_engine(options, engine, job):
    """{(requests, context): what measure() printed} of an engine in a process of its own."""
    settings = os.environ | engine_settings()
    settings.pop("FORESIGHT_SCORER", None)
    if engine == "plugin":
        settings |= {"FORESIGHT_SCORER": options.scorer, "FORESIGHT_BUDGET": options.budget, "FORESIGHT_WINDOW": options.window}
    command = [sys.executable, *sys.argv, "--in-engine", json.dumps(job)]
    process = subprocess.Popen(command, env=settings, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    found = {}
    for line in process.stdout:
        if line.startswith("RESULT "):
            row = json.loads(line.removeprefix("RESULT "))
            found[row["requests"], row["context"]] = row
            print(f"{engine}, {'equal memory' if job['pool'] else 'same batch'}: {row}", file=sys.stderr, flush=True)
    if process.wait() != 0:
        sys.exit(f"error: the engine ({engine}) ended with {process.returncode}; run with --in-engine '{json.dumps(job)}' to see why")
    return found


def pool_bytes(options, requests, context):
    """What vLLM alone needs for a part of the requests: whole blocks of keys and values, and the one that it never gives away."""
    config = json.loads((Path(options.model) / "config.json").read_text(encoding="utf-8"))
    width = config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"]
    kv_heads = config.get("num_key_value_heads") or config["num_attention_heads"]
    block = 2 * BLOCK * config["num_hidden_layers"] * kv_heads * width * BYTES[options.dtype]
    # As many as the longest request that the engine admits needs.
    blocks = -(-(context + options.new + 8) // BLOCK)
    return (max(1, requests // options.memory) * blocks + 1) * block


def decoding(options, row):
    """New tokens a second of a batch; None where they are lost in the noise of the prefill."""
    spent = row["whole"] - row["prefill"]
    return row["requests"] * options.new / spent if spent > 0 else None


def compared(values, digits=0):
    """Two cells: vLLM's figure, and the plugin's with the ratio of the two."""
    if None in values:
        return "lost in noise | lost in noise"
    return f"{values[0]:,.{digits}f} | {values[1]:,.{digits}f} ({values[1] / values[0]:.2f})"


def table(options, same, equal):
    """The lines of the Markdown table."""
    yield "| requests | context | prefill, tokens/s: vLLM | plugin | decoding, tokens/s: vLLM | plugin | equal memory | new tokens/s: vLLM | plugin |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for context in options.context:
        for requests in options.requests:
            at = (requests, context)
            prefill = [requests * context / same[engine][at]["prefill"] for engine in ENGINES]
            decoded = [decoding(options, same[engine][at]) for engine in ENGINES]
            whole = [requests * (1 + options.new) / equal[engine][at]["whole"] for engine in ENGINES]
            pool = f"{pool_bytes(options, *at) / 1e6:,.1f} MB"
            yield f"| {requests} | {context:,} | {compared(prefill)} | {compared(decoded, 1)} | {pool} | {compared(whole, 1)} |"


def arguments():
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scorer")
    parser.add_argument("--model", default="models/SmolLM2-135M-Instruct")
    parser.add_argument("--requests", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--context", type=int, nargs="+", default=[1000, 6000])
    parser.add_argument("--new", type=int, default=64)
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--dtype", default="bfloat16", choices=BYTES)
    parser.add_argument("--budget", default="")
    parser.add_argument("--window", default="")
    parser.add_argument("--memory", type=int, default=4)
    parser.add_argument("--in-engine", default="", help=argparse.SUPPRESS)
    return parser.parse_args()


def main():
    """Runs the engines one after the other, and prints the table of all."""
    options = arguments()
    if options.in_engine:
        measure(options, json.loads(options.in_engine))
        return
    job = {"requests": options.requests, "context": options.context, "pool": 0}
    same = {engine: run_engine(options, engine, job) for engine in ENGINES}
    equal = {engine: {} for engine in ENGINES}
    for context in options.context:
        for requests in options.requests:
            job = {"requests": [requests], "context": [context], "pool": pool_bytes(options, requests, context)}
            for engine in ENGINES:
                equal[engine] |= run_engine(options, engine, job)
    print("\n".join(table(options, same, equal)))


if __name__ == "__main__":
    main()
