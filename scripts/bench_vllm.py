#!/usr/bin/env python3
"""Measures with vLLM what foresight_bench measures, as JSON with the same names. scripts/benchmark.py --peer vllm runs both.

usage: .venv-vllm/bin/python scripts/bench_vllm.py MODEL [--dtype float32|bfloat16] [--prompt N ...] [--context N ...] [--new N]

Prompts are read with one new token each, so vLLM computes the logits of their last tokens alone. Decoding is timed while all rows
decode: from the step that gives the last row its first token to the one that gives a row its last. Nothing else should run meanwhile.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import time

ROWS = (1, 8)


def engine_settings() -> dict[str, str]:
    """The environment of an engine that runs in the process that asks, so that its steps can be timed, and fetches nothing."""
    space = os.environ.get("VLLM_CPU_KVCACHE_SPACE", "6")
    return {"VLLM_ENABLE_V1_MULTIPROCESSING": "0", "HF_HUB_OFFLINE": "1", "VLLM_CPU_KVCACHE_SPACE": space}


class Engine:
    """vLLM in this process, without its cache of prefixes."""

    def __init__(self, model: str, dtype: str, positions: int) -> None:
        os.environ.update(engine_settings())
        from vllm import LLM

        self._engine = LLM(model=model, dtype=dtype, max_model_len=positions, enforce_eager=True, enable_prefix_caching=False,
                           max_num_seqs=max(ROWS)).llm_engine
        self._choice = random.Random(1)
        self._requests = 0

    def run(self, rows: int, context: int, new: int) -> tuple[float, float]:
        """Seconds until each of `rows` random prompts has its first token; tokens/s from then until the first row has `new`."""
        from vllm import SamplingParams

        made = {}
        for _ in range(rows):
            self._requests += 1
            made[str(self._requests)] = 0
            prompt = {"prompt_token_ids": [self._choice.randrange(300, 40000) for _ in range(context)]}
            self._engine.add_request(str(self._requests), prompt, SamplingParams(temperature=0, max_tokens=new, ignore_eos=True))
        started = time.perf_counter()
        marks: list[tuple[float, int]] = []  # when, and how many tokens there were, after each step in which all rows decode
        finished = False
        while self._engine.has_unfinished_requests():
            for answer in self._engine.step():
                # vLLM adds a suffix to the ids that it is given.
                made[answer.request_id.split("-")[0]] = len(answer.outputs[0].token_ids)
            if min(made.values()) > 0 and not finished:
                marks.append((time.perf_counter(), sum(made.values())))
            finished = max(made.values()) == new
        (first, before), (last, after) = marks[0], marks[-1]
        return first - started, (after - before) / (last - first) if last > first else 0.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("model")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--prompt", type=int, nargs="+", default=[1024, 2048, 4096])
    parser.add_argument("--context", type=int, nargs="+", default=[1024, 7936])
    parser.add_argument("--new", type=int, default=65)
    options = parser.parse_args()
    answers = os.dup(1)
    os.dup2(2, 1)  # vLLM logs to stdout: what goes there is the figures alone
    engine = Engine(options.model, options.dtype, max(1024, *options.prompt, *options.context) + options.new + 8)
    engine.run(1, 256, 4)
    figures = {}
    for length in options.prompt:
        figures[f"forward_full_pass/{length}"] = length / min(engine.run(1, length, 1)[0] for _ in range(3))
    figures["prompts_together/1024"] = 4 * 1024 / min(engine.run(4, 1024, 1)[0] for _ in range(3))
    for context in options.context:
        for rows, name in zip(ROWS, ("tokens_per_second", "batch_tokens_per_second"), strict=True):
            figures[f"decode_full/{context}/{name}"] = engine.run(rows, context, options.new)[1]
    os.write(answers, (json.dumps(figures, indent=1) + "\n").encode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
