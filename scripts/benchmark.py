#!/usr/bin/env python3
"""Measures the figures of docs/performance.md: runs foresight_bench and its peers one after the other and prints a table of ratios.

usage: scripts/benchmark.py [--build build] [--model FOLDER] [--device cpu|cuda] [--dtype float32|bfloat16] [--only NAME ...]
                            [--peer NAME ...] [--from FILE] [--keep FILE]
  --only NAME   parts by name: forward, decode, oracle, files, supervised, grpo, evaluation, length (default: all)
  --peer NAME   what forward passes and decoding are measured beside: transformers (default), vllm (in the environment of
                scripts/python/setup_vllm.sh, or the one that FORESIGHT_VLLM names)
  --from FILE   print the table of figures kept earlier, without measuring
  --keep FILE   write the figures as JSON too

Nothing else should run meanwhile. All parts take some 25 minutes on two cores. Threads wait as the program's do (GOMP_SPINCOUNT
5000, unless it or OMP_WAIT_POLICY is set), the peers' too.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# Part -> benchmarks of foresight_bench.
PARTS = {
    "forward": "^(forward_|memory_read)", "decode": "^decode_", "oracle": "^oracle_", "files": "^file_",
    "supervised": "^(ranking_|supervised_)", "grpo": "^grpo_", "evaluation": "^evaluate_ten_policies/4", "length": "^evicted_pass_by_length",
}
PEERS = {"transformers": "transformers'", "vllm": "vLLM's"}  # name -> how its figures are called
REPEATED = {"forward", "files", "supervised"}  # three runs, of which the fastest counts
UNIT_SECONDS = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0}
Figures = dict[str, dict[str, float]]
SPIN_COUNT = "5000"  # trainer/app/main/waiting.cpp


def name_of(row: dict) -> str:
    """forward_full_pass/1024/real_time -> forward_full_pass/1024"""
    return "/".join(part for part in row["name"].split("/") if part.isdigit() or "_" in part and part not in ("real_time", "manual_time"))


def python_with_transformers() -> str | Path:
    """FORESIGHT_PYTHON, or the environment that scripts/setup.sh makes, or this interpreter."""
    own = ROOT / ".venv/bin/python"
    return os.environ.get("FORESIGHT_PYTHON") or (own if own.exists() else sys.executable)


def python_of(peer: str) -> str | Path:
    """The interpreter that has the peer."""
    if peer == "transformers":
        return python_with_transformers()
    return Path(os.environ.get("FORESIGHT_VLLM") or ROOT / ".venv-vllm") / "bin/python"


def measure_peer(peer: str, options: argparse.Namespace) -> dict[str, float]:
    """What scripts/bench_<peer>.py prints."""
    print(f"measuring {peer}", file=sys.stderr)
    device = ["--device", options.device] if peer == "transformers" else []
    # Its progress bars go to stderr with its errors, so its stderr is only shown when it fails.
    done = subprocess.run([python_of(peer), ROOT / f"scripts/bench_{peer}.py", options.model, *device, "--dtype", options.dtype],
                          capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{done.stderr}error: {peer} failed: see above")
    return json.loads(done.stdout)


def measure(options: argparse.Namespace) -> Figures:
    figures: Figures = {}
    common = [f"--model={options.model}", f"--device={options.device}", f"--dtype={options.dtype}"]
    for part in options.only:
        print(f"measuring {part}", file=sys.stderr)
        repetitions = f"--benchmark_repetitions={3 if part in REPEATED else 1}"
        done = subprocess.run([options.build / "bench/foresight_bench", f"--benchmark_filter={PARTS[part]}", "--benchmark_format=json",
                               repetitions, *common], stdout=subprocess.PIPE, text=True, check=True)
        rows = [row for row in json.loads(done.stdout)["benchmarks"] if row["run_type"] == "iteration"]
        for row in sorted(rows, key=lambda row: row["real_time"], reverse=True):  # the fastest of each name is kept
            if "error_message" in row:
                sys.exit(f"error: {row['name']}: {row['error_message']}")
            numbers = {key: value for key, value in row.items() if isinstance(value, (int, float))}
            figures[name_of(row)] = numbers | {"seconds": row["real_time"] * UNIT_SECONDS[row["time_unit"]]}
    if {"forward", "decode"} & set(options.only):
        figures |= {peer: measure_peer(peer, options) for peer in options.peer}
    return figures


def linear_fit(points: list[tuple[float, float]]) -> tuple[float, float]:
    """Slope of the least-squares line through `points`, and the largest distance from it as a share of the value."""
    count = len(points)
    mean_x, mean_y = sum(x for x, _ in points) / count, sum(y for _, y in points) / count
    slope = sum((x - mean_x) * (y - mean_y) for x, y in points) / sum((x - mean_x) ** 2 for x, _ in points)
    residual = max(abs(y - (mean_y + slope * (x - mean_x))) / y for x, y in points)
    return slope, residual


def beside(figures: Figures, name: str, mine: float, digits: int = 0) -> str:
    """`mine` beside the figure of every peer that has one of this name."""
    peers = [(title, figures[peer][name]) for peer, title in PEERS.items() if name in figures.get(peer, {})]
    return "".join(f", {mine / theirs:.2f} x {title} {theirs:.{digits}f}" for title, theirs in peers)


def forward_line(figures: Figures, length: int) -> str:
    """A full pass beside the bare products and the peers; vLLM's with the logits that a prefill leaves out, too."""
    ours, head = f"forward_full_pass/{length}", f"forward_head/{length}"
    mine, most = figures[ours]["tokens_per_second"], figures[f"forward_products/{length}"]["tokens_per_second"]
    text = f"{mine:.0f} tokens/s, {mine / most:.2f} of the bare products' {most:.0f}"
    packed = figures.get(f"forward_products_packed/{length}", {}).get("tokens_per_second")
    if packed:
        text += f", {mine / packed:.2f} of the {packed:.0f} of packed weights"
    text += beside(figures, ours, mine)
    prefill = figures.get("vllm", {}).get(ours)
    if prefill and head in figures:
        whole = 1 / (1 / prefill + 1 / figures[head]["tokens_per_second"])
        text += f" ({mine / whole:.2f} x {whole:.0f} with all logits)"
    together = figures.get("vllm", {}).get(f"prompts_together/{length}")
    return text + (f"; four prompts together in vLLM: {together:.0f}" if together else "")


def lines(figures: Figures) -> list[tuple[str, str]]:
    """(name, measured value) of every figure in the results."""
    found: list[tuple[str, str]] = []

    def has(*names: str) -> bool:
        return all(name in figures for name in names)

    for length in (1024, 2048, 4096):
        if has(f"forward_full_pass/{length}", f"forward_products/{length}"):
            found.append((f"forward, loss and entropy, {length} tokens", forward_line(figures, length)))
    if has("memory_read"):
        found.append(("memory, read by all threads", f"{figures['memory_read']['bytes_per_second'] / 1e9:.1f} GB/s"))
    for key, rows in (("tokens_per_second", "1 row"), ("batch_tokens_per_second", "8 rows")):
        for context in (1024, 7936):
            if has(f"decode_full/{context}"):
                mine = figures[f"decode_full/{context}"][key]
                text = f"{mine:.1f} tokens/s" + beside(figures, f"decode_full/{context}/{key}", mine, 1)
                found.append((f"decoding, full KV, {context} tokens, {rows}", text))
        if has("decode_full/7936", "decode_scorer/7936"):
            full, evicting = figures["decode_full/7936"][key], figures["decode_scorer/7936"][key]
            text = f"{evicting:.1f} tokens/s, {evicting / full:.2f} x full KV's {full:.1f}"
            found.append((f"decoding under eviction at 7936 tokens, {rows}", text + beside(figures, f"decode_full/7936/{key}", evicting, 1)))
    by_context = sorted((int(name.split("/")[1]), row) for name, row in figures.items() if name.startswith("decode_scorer/"))
    if by_context:
        times = ", ".join(f"{length}: {1e3 / row['tokens_per_second']:.1f} ms" for length, row in by_context)
        found.append(("time per token under eviction, by context", times))
        found.append(("scoring and compaction, of decoding time", f"{100 * max(row['eviction_share'] for _, row in by_context):.1f} %"))
    for name in sorted((name for name in figures if name.startswith("oracle_record/")), key=lambda name: int(name.split("/")[1])):
        row, length = figures[name], name.split("/")[1]
        allowed = row["result_MiB"] + 3 * row["HWL_MiB"]
        found.append((f"oracle, {length} tokens", f"{row['over_forward']:.2f} x the forward pass; {row['peak_MiB'] - row['forward_peak_MiB']:.0f} MiB "
                      f"beyond its {row['forward_peak_MiB']:.0f} MiB, result + 3 HWL = {allowed:.0f} MiB"))
    for name in sorted((name for name in figures if name.startswith("oracle_plan/")), key=lambda name: int(name.split("/")[1])):
        row, length = figures[name], name.split("/")[1]
        found.append((f"plan of captured tensors, {length} tokens, one layer",
                      f"{row['seconds']:.2f} s, {row['peak_MiB']:.0f} MiB ({row['peak_MiB'] / row['HWL_MiB']:.1f} HWL)"))
    if has("oracle_replan/1024"):
        found.append(("plan for another budget, 1024 tokens, all layers", f"{1e3 * figures['oracle_replan/1024']['seconds']:.0f} ms"))
    for way in ("write", "read"):
        if has(f"file_{way}_plain"):
            plain = figures[f"file_{way}_plain"]["bytes_per_second"]
            for level in (0, 1):
                row = figures[f"file_{way}_oracle/{level}"]
                size = f", size {row['size_ratio']:.2f}" if "size_ratio" in row else ""
                found.append((f"HDF5 {way}, compression {level}", f"{row['bytes_per_second'] / 1e6:.0f} MB/s, "
                              f"{row['bytes_per_second'] / plain:.2f} of a plain file's {plain / 1e6:.0f}{size}"))
    if has("supervised_step"):
        found.append(("supervised step from stored features", f"{figures['supervised_step']['replay_over_step']:.0f} x faster than with its replay"))
    for candidates in (512, 1024):
        if has(f"ranking_loss/{candidates}"):
            mine, pairs = figures[f"ranking_loss/{candidates}"], figures[f"ranking_loss_all_pairs/{candidates}"]
            found.append((f"ranking loss, 30 rows, B = {candidates}", f"{1e3 * mine['seconds']:.1f} ms, {pairs['seconds'] / mine['seconds']:.0f} x faster "
                          f"than all pairs, {mine['peak_MiB']:.1f} MiB instead of {pairs['peak_MiB']:.0f}"))
    if has("grpo_step"):
        row = figures["grpo_step"]
        found.append(("GRPO step, 8 rollouts of 1024 tokens",
                      f"{row['over_forwards']:.2f} x its teacher-forced passes; {row['tokens_per_second']:.0f} tokens/s"))
    for name, row in figures.items():
        if name.startswith("evaluate_ten_policies"):
            found.append((f"ten policies, {name.split('/')[1]} traces", f"{row['over_one']:.2f} x full KV and one policy"))
    if has("evicted_pass_by_length/1024", "forward_products_packed/1024"):
        mine, packed = (figures[name]["tokens_per_second"] for name in ("evicted_pass_by_length/1024", "forward_products_packed/1024"))
        found.append(("pass under eviction, 4 rows of 1024 tokens", f"{mine:.0f} tokens/s, {mine / packed:.2f} of the {packed:.0f} of packed weights"))
    by_length = sorted((int(name.split("/")[1]), row["seconds"]) for name, row in figures.items() if name.startswith("evicted_pass_by_length/"))
    if by_length:
        slope, residual = linear_fit(by_length)
        found.append(("pass under eviction, 4 rows, by length", ", ".join(f"{length}: {seconds:.1f} s" for length, seconds in by_length)
                      + f"; {1e3 * slope:.2f} ms a token, line within {100 * residual:.1f} %"))
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--build", type=Path, default=ROOT / "build")
    parser.add_argument("--model", type=Path, default=ROOT / "models/SmolLM2-135M-Instruct")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--peer", nargs="*", choices=PEERS, default=["transformers"])
    parser.add_argument("--from", dest="kept", type=Path)
    parser.add_argument("--keep", type=Path)
    options = parser.parse_args()
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", SPIN_COUNT)
    figures = json.loads(options.kept.read_text()) if options.kept else measure(options)
    if options.keep:
        options.keep.write_text(json.dumps(figures, indent=1) + "\n")
    print("| what | measured |\n|---|---|")
    for what, measured in lines(figures):
        print(f"| {what} | {measured} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
