#!/usr/bin/env python3
"""Speed of vLLM with and without the plugin: prefill and decoding, at the same batch and pool of blocks.

usage: .venv-vllm/bin/python scripts/serving_benchmark.py SCORER [--model FOLDER] [--requests N ...] [--context N ...]
           [--new N] [--dtype TYPE] [--budget N --window N]

SCORER is an exported scorer that fits the model. FORESIGHT_OPS names libforesight_ops.so. Prints a line for each engine, number of requests and
context: prompt tokens a second, then new tokens a second of the whole batch (the time of one token less that of all). Nothing else
should run on the machine. Each engine is a process of its own.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import time


def measure(options):
    """Runs in the engine's process: prints one JSON object a line."""
    from vllm import LLM, SamplingParams

    longest = max(options.context) + options.new + 8
    llm = LLM(
        model=options.model, dtype=options.dtype, max_model_len=longest, enforce_eager=True, block_size=32,
        enable_prefix_caching=False, max_num_seqs=max(options.requests), max_num_batched_tokens=2048,
    )  # fmt: skip
    choice = random.Random(1)

    def seconds(requests, context, new):
        prompts = [{"prompt_token_ids": [choice.randrange(300, 40000) for _ in range(context)]} for _ in range(requests)]
        started = time.perf_counter()
        llm.generate(prompts, SamplingParams(temperature=0, max_tokens=new, ignore_eos=True), use_tqdm=False)
        return time.perf_counter() - started

    seconds(1, 200, 4)
    for context in options.context:
        for requests in options.requests:
            prefill, whole = seconds(requests, context, 1), seconds(requests, context, 1 + options.new)
            row = {"requests": requests, "context": context, "prefill": requests * context / prefill}
            decoding = requests * options.new / (whole - prefill) if whole > prefill else None  # lost in the noise of the prefill
            print("RESULT " + json.dumps(row | {"decoding": decoding}), flush=True)


def main():
    """Starts an engine without and one with the plugin, and prints what they measured."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scorer")
    parser.add_argument("--model", default="models/SmolLM2-135M-Instruct")
    parser.add_argument("--requests", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--context", type=int, nargs="+", default=[1000, 6000])
    parser.add_argument("--new", type=int, default=64)
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--budget", default="")
    parser.add_argument("--window", default="")
    parser.add_argument("--in-engine", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.in_engine:
        measure(options)
        return
    for name in ("vLLM", "with the plugin"):
        settings = os.environ | {"VLLM_ENABLE_V1_MULTIPROCESSING": "0", "HF_HUB_OFFLINE": "1"}
        settings.setdefault("VLLM_CPU_KVCACHE_SPACE", "6")
        settings.pop("FORESIGHT_SCORER", None)
        if name != "vLLM":
            settings |= {"FORESIGHT_SCORER": options.scorer, "FORESIGHT_BUDGET": options.budget, "FORESIGHT_WINDOW": options.window}
        command = [sys.executable, *sys.argv, "--in-engine"]
        process = subprocess.Popen(command, env=settings, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        for line in process.stdout:
            if line.startswith("RESULT "):
                row = json.loads(line.removeprefix("RESULT "))
                decoding = f"{row['decoding']:7.1f} tokens/s" if row["decoding"] else "lost in noise: give a larger --new"
                speeds = f"prefill {row['prefill']:8.0f} tokens/s, decoding {decoding}"
                print(f"{name:16} {row['requests']:3} requests of {row['context']:5} tokens: {speeds}", flush=True)
        if process.wait() != 0:
            sys.exit(f"error: the engine ({name}) ended with {process.returncode}; run with --in-engine to see why")


if __name__ == "__main__":
    main()
