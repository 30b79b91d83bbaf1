#!/usr/bin/env python3
"""Measures with transformers what foresight_bench measures, as JSON with the same names. scripts/benchmark.py runs both.

usage: scripts/bench_transformers.py MODEL [--device cpu|cuda] [--dtype float32|bfloat16] [--tokens N ...]
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path


def timed(work, at_least_s: float = 2.0) -> float:
    """Seconds of one call, the best of as many calls as fit; the first call warms up and does not count."""
    work()
    best, started = float("inf"), time.perf_counter()
    while time.perf_counter() - started < at_least_s:
        before = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - before)
    return best


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--tokens", type=int, nargs="+", default=[1024, 2048, 4096])
    options = parser.parse_args()
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(options.model, dtype=getattr(torch, options.dtype)).to(options.device).eval()
    vocabulary = model.config.vocab_size
    figures = {"threads": torch.get_num_threads()}

    def synchronized(work):
        def call():
            work()
            if options.device != "cpu":
                torch.cuda.synchronize()

        return call

    def tokens(rows: int, length: int):
        torch.manual_seed(length)
        return torch.randint(0, vocabulary, (rows, length)).to(options.device)

    def loss_and_entropy(text):
        """The loss of every token and the entropy of its prediction, as an oracle needs them, a few rows at a time."""
        hidden = model.model(text).last_hidden_state[0]
        for first in range(0, len(hidden) - 1, 128):
            logits = torch.log_softmax(model.lm_head(hidden[first : first + 128]).float(), -1)
            targets = text[0, first + 1 : first + 129]
            logits[: len(targets)].gather(1, targets[:, None])
            (logits.exp() * logits).sum(-1)

    with torch.inference_mode():
        for length in options.tokens:
            text = tokens(1, length)
            figures[f"forward_full_pass/{length}"] = length / timed(synchronized(lambda: loss_and_entropy(text)))
        for rows, name in ((1, "tokens_per_second"), (8, "batch_tokens_per_second")):
            text = tokens(rows, 1024)

            def generate(new_tokens: int) -> float:
                before = time.perf_counter()
                synchronized(lambda: model.generate(text, max_new_tokens=new_tokens, min_new_tokens=new_tokens, do_sample=False,
                                                    pad_token_id=0))()
                return time.perf_counter() - before

            generate(2)
            # The difference of both times leaves out the prompt's.
            figures[f"decode_full/1024/{name}"] = rows * 32 / (generate(33) - generate(1))
    json.dump(figures, sys.stdout, indent=1)
    print()
    return 0


if __name__ == "__main__":
    sys.exit(main())
