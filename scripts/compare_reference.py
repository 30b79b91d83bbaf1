#!/usr/bin/env python3
"""Compares the times of functions of a clone of the authors' code with foresight_bench. scripts/compare_reference.sh
calls this.

It reads their functions out of their files by name, so that the imports of those files need not be installed, and runs
each in a process of its own, whose memory is measured. Nothing of the clone is copied.
"""

from __future__ import annotations

import argparse
import ast
import json
import math
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

ROOT = Path(__file__).resolve().parent.parent
BUDGET, WINDOW, QUERY_HEADS, KV_HEADS, HEAD_DIMENSION = 1024, 256, 9, 3, 64
TINY_QWEN3 = {"vocab_size": 8192, "hidden_size": 256, "intermediate_size": 1024, "num_hidden_layers": 4, "num_attention_heads": 8,
              "num_key_value_heads": 4, "head_dim": 32, "max_position_embeddings": 4096}


def definitions(file: Path, names: list[str], given: dict) -> SimpleNamespace:
    """Classes, functions and constants of a Python file by name, without running the rest of it."""
    tree = ast.parse(file.read_text())

    def wanted(node: ast.stmt) -> bool:
        if isinstance(node, ast.Assign):
            return isinstance(node.targets[0], ast.Name) and node.targets[0].id in names
        return isinstance(node, (ast.ClassDef, ast.FunctionDef)) and node.name in names

    tree.body = [node for node in tree.body if wanted(node)]
    missing = set(names) - {getattr(node, "name", None) or node.targets[0].id for node in tree.body}
    if missing:
        sys.exit(f"error: {file}: no {', '.join(sorted(missing))}; is this the authors' repository?")
    scope = dict(given)
    exec(compile(tree, str(file), "exec"), scope)
    return SimpleNamespace(**{name: scope[name] for name in names})


def torch_names() -> dict:
    import torch

    return {"torch": torch, "nn": torch.nn, "F": torch.nn.functional, "math": math}


def resident_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def best_seconds(work, repeats: int) -> float:
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return min(times)


# Code that runs in a process of its own and prints one JSON object ----------------------------------------------------

def their_oracle(clone: Path, length: int) -> dict:
    import torch

    theirs = definitions(
        clone / "supervised_training/train.py",
        ["LONG_SEQUENCE_THRESHOLD", "SPLIT_ATTENTION_THRESHOLD", "pad_query_blocks", "collect_eviction_schedule",
         "reduce_attention_scores", "build_oracle_targets"], torch_names())
    torch.manual_seed(1)
    query = torch.randn(1, QUERY_HEADS, length, HEAD_DIMENSION)
    key = torch.randn(1, KV_HEADS, length, HEAD_DIMENSION)
    before = resident_mib()
    with torch.no_grad():
        seconds = best_seconds(lambda: theirs.build_oracle_targets([(query, key)], length, BUDGET, WINDOW, 1, KV_HEADS,
                                                                   QUERY_HEADS // KV_HEADS), 1)
    return {"seconds": seconds, "peak_MiB": resident_mib() - before}


def their_loss(clone: Path, candidates: int) -> dict:
    import torch

    loss_of = definitions(clone / "supervised_training/train.py", ["PairwiseRankHingeLoss"], torch_names()).PairwiseRankHingeLoss(0.01)
    torch.manual_seed(1)
    scores, oracle = torch.randn(30, candidates, requires_grad=True), torch.rand(30, candidates)
    before = resident_mib()
    seconds = best_seconds(lambda: loss_of(scores, oracle).backward(), 3)
    return {"seconds": seconds, "peak_MiB": resident_mib() - before}


def their_layer(clone: Path, budget: int) -> dict:
    """One layer, 10 evictions: their features, scores, loss and backward."""
    import torch

    window = budget // 4
    names = torch_names()
    cache = definitions(clone / "supervised_training/cache.py", ["repeat_kv", "KVCluster"], names)
    judge_of = definitions(clone / "supervised_training/qwen3.py", ["HeadWiseLinear", "SelectionModel"], names).SelectionModel
    loss_of = definitions(clone / "supervised_training/train.py", ["PairwiseRankHingeLoss"], names).PairwiseRankHingeLoss(0.01)
    judge = judge_of(SimpleNamespace(head_dim=HEAD_DIMENSION, num_key_value_heads=KV_HEADS, num_attention_heads=QUERY_HEADS))
    for parameter in judge.parameters():
        torch.nn.init.normal_(parameter, std=0.02)
    torch.manual_seed(1)

    def random(heads: int, length: int):
        return torch.randn(1, heads, length, HEAD_DIMENSION)

    first_query, first_key = random(QUERY_HEADS, budget), random(KV_HEADS, budget)
    key, value, query = random(KV_HEADS, budget + window), random(KV_HEADS, budget + window), random(QUERY_HEADS, window)
    oracle = torch.rand(10 * KV_HEADS, budget)
    drop = torch.argsort(torch.rand(KV_HEADS, budget), dim=-1)[:, :window]

    def work():
        cluster = cache.KVCluster(window, budget, QUERY_HEADS // KV_HEADS)
        cluster.init_kv(first_key, first_query)
        scores = [cluster.update_kv(judge, key, query, value, drop)[3] for _ in range(10)]
        loss_of(torch.cat(scores), oracle).backward()

    return {"seconds": best_seconds(work, 3), "peak_MiB": resident_mib()}


def their_grpo(clone: Path, length: int) -> dict:
    """One sample as their train.py treats it: rollout, reference pass, training pass with its recomputation, backward."""
    sys.path.insert(0, str(clone / "reinforcment_learning"))
    import torch
    import train  # theirs
    from loss import GRPOLoss
    from transformers.models.qwen3.configuration_qwen3 import Qwen3Config

    train.get_chunk_config = lambda _: (64, 256)
    config = Qwen3Config(**TINY_QWEN3, attn_implementation="eager")
    model = train.Qwen3ForCausalLM(config)
    for name, parameter in model.named_parameters():
        parameter.requires_grad = "judge_model" in name
    model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    objective = GRPOLoss(clip_eps=0.2, kl_weight=0.05)
    torch.manual_seed(1)
    sample = torch.randint(0, config.vocab_size, (1, length))

    def scores_of(output, like):
        return train.extract_attention_cache(output.attentions)[1].reshape(like.shape[0], like.shape[1], 1, like.shape[3], -1)

    def work():
        with torch.no_grad():
            input_ids, indices, scores, _, _ = train.rollout(model, sample, 1)
            reference = scores_of(model(input_ids=input_ids, use_cache=True, output_attentions=True, cache_drop=indices,
                                        output_logits=False, reference=True), indices)
        model.train()
        current = scores_of(model(input_ids=input_ids, use_cache=True, output_attentions=True, cache_drop=indices,
                                  output_logits=False), indices)
        advantages = torch.ones(1, 1, 1)
        total = 0.0
        for layer in range(config.num_hidden_layers):
            old, new, start = (train.sequence_log_probs_from_logits(each[layer], indices[layer])[0]
                               for each in (scores, current, reference))
            total = total + objective(log_probs=new, log_probs_past=old, log_probs_init=start, advantages=advantages,
                                      indices=indices[layer])[0]
        total.backward()

    work()
    return {"seconds": best_seconds(work, 3), "peak_MiB": resident_mib()}


PARTS = {"oracle": their_oracle, "loss": their_loss, "layer": their_layer, "grpo": their_grpo}


# The comparison ----------------------------------------------------------------------------------------------------

def theirs(clone: Path, part: str, size: int) -> dict:
    python = ROOT / ".venv-reference/bin/python" if part == "grpo" else sys.executable
    done = subprocess.run([python, __file__, str(clone), "--run", part, str(size)], stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"error: the authors' code failed in part '{part}' at size {size}; its message is above")
    return json.loads(done.stdout.splitlines()[-1])


def ours(build: Path, name: str, *options: str) -> dict:
    done = subprocess.run([build / "bench/foresight_bench", f"--benchmark_filter=^{name}(/|$)", "--benchmark_format=json", *options],
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True)
    row = json.loads(done.stdout)["benchmarks"][0]
    seconds = row["real_time"] * {"ms": 1e-3, "us": 1e-6, "s": 1.0}[row["time_unit"]]
    return row | {"seconds": seconds}


def write_tiny_qwen3(folder: Path) -> None:
    from transformers import Qwen3Config, Qwen3ForCausalLM

    Qwen3ForCausalLM(Qwen3Config(**TINY_QWEN3, tie_word_embeddings=False)).save_pretrained(folder)


def compare(clone: Path, build: Path, parts: list[str]) -> None:
    print(f"threads of both: {os.environ.get('OMP_NUM_THREADS', 'all')}", flush=True)
    print(f"{'':<34}{'authors':>12}{'foresight':>12}{'ratio':>8}   memory: authors, foresight, ratio", flush=True)

    def show(what: str, their: dict, our: dict) -> None:
        line = f"{what:<34}{their['seconds']:>10.3f} s{our['seconds']:>10.4f} s{their['seconds'] / our['seconds']:>7.1f}x"
        if "peak_MiB" in our and their["peak_MiB"] > 0:
            ratio = their["peak_MiB"] / max(our["peak_MiB"], 0.1)
            line += f"   {their['peak_MiB']:.0f} MiB, {our['peak_MiB']:.1f} MiB, {ratio:.0f}x"
        print(line, flush=True)

    if "oracle" in parts:
        for length in (2048, 4096, 8192):
            show(f"oracle, L = {length}", theirs(clone, "oracle", length), ours(build, f"oracle_plan/{length}"))
    if "loss" in parts:
        for candidates in (512, 1024):
            show(f"ranking loss, 30 rows, B = {candidates}", theirs(clone, "loss", candidates), ours(build, f"ranking_loss/{candidates}"))
    if "layer" in parts:
        for budget in (512, 1024):
            their = theirs(clone, "layer", budget) | {"peak_MiB": 0}
            show(f"layer, 10 evictions, B = {budget}", their, ours(build, f"ranking_one_layer/{budget}"))
    if "grpo" in parts:
        with tempfile.TemporaryDirectory() as name:
            write_tiny_qwen3(Path(name))
            their = theirs(clone, "grpo", 1024) | {"peak_MiB": 0}
            our = ours(build, "grpo_step", f"--model={name}")
            show("GRPO, one sample of 1024 tokens", their, our | {"seconds": our["seconds"] / our["rollouts"]})


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("clone", type=Path)
    parser.add_argument("--build", type=Path, default=Path("build"))
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--run", nargs=2, metavar=("PART", "SIZE"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        print(json.dumps(PARTS[options.run[0]](options.clone, int(options.run[1]))))
        return 0
    compare(options.clone, options.build, options.parts)
    return 0


if __name__ == "__main__":
    sys.exit(main())
