#!/usr/bin/env python3
"""Writes the run folder for the report's tests. All numbers are INVENTED; none was measured.

usage: make.py    (writes evaluation.json, config.yaml, supervised/ and grpo/metrics.jsonl beside itself)

The numbers follow simple formulas, so that every part of the page has something to show. Some values are hostile on
purpose: markup in token texts and names, a missing measure, a null.
"""

import json
import math
from pathlib import Path

HERE = Path(__file__).resolve().parent
# policy -> invented loss rise at budget 128
RISE = {"full": 0.0, "golden": 0.0012, "supervised": 0.0095, "grpo": 0.0061, "rkv": 0.0243, "snapkv": 0.0312,
        "h2o": 0.0405, "tova": 0.0538, "keydiff": 0.118, "streaming_llm": 0.221, "random": 0.93}
BUDGETS = [32, 64, 128, 256, 512]
LAYERS, HEADS = 30, 3
EVICTIONS = 27
WORDS = ("Question : A baker has 12 trays with 8 buns each . He sells 5 trays before noon . How many buns are left ? \n Answer : "
         "He starts with 12 * 8 = 96 buns . Five trays hold 5 * 8 = 40 buns , so 96 - 40 = 56 buns are left . \n #### 56").split(" ")


def wave(i, period):
    """An invented wobble in [-1, 1]."""
    return math.sin(2 * math.pi * i / period)


def survival(policy, eviction):
    return 0.2 + 0.8 * math.exp(-(RISE[policy] + 0.002) * eviction)


def kept(policy):
    return 1.0 if policy == "full" else 1 - 0.45 * math.tanh(2.2 * math.sqrt(RISE[policy]))


def measures(policy, rise):
    low = 0.8 * rise
    return {"loss": 1.7 + rise, "loss_rise": rise, "loss_ratio": (1.7 + rise) / 1.7, "low_entropy_loss_rise": low,
            "high_entropy_loss_rise": 1.8 * rise, "kl_to_full": 1.1 * rise, "top1_agreement": 1 / (1 + 1.5 * rise),
            "attention_kept": kept(policy), "golden_overlap": 1.0 if policy == "golden" else 0.5 + 0.4 * math.exp(-9 * rise),
            "attention_regret": kept("golden") - kept(policy), "boundary_accuracy": 1.0 if policy == "golden" else 0.45 + 0.3 * math.exp(-20 * rise),
            "churn": 0.12 + 0.15 * math.tanh(4 * rise), "prompt_survival": survival(policy, EVICTIONS), "rise_p95": 3 * rise, "rise_p99": 12 * rise,
            "prompt_survival_any_head": min(1.0, 1.6 * survival(policy, EVICTIONS)), "large_rise_share": 0.02 * math.tanh(rise),
            "worst_percent_share": 0.0 if policy == "full" else 0.7 - 0.3 * math.tanh(rise), "worst_window_rise": 4 * rise,
            "tokens": 11248, "traces": 16}


def difference(policy):
    mean = RISE[policy] - RISE["rkv"]
    interval = {"loss_rise": mean, "low": mean - 0.004, "high": mean + 0.004, "significant": abs(mean) > 0.004}
    better = "lower" if mean < 0 else "higher"
    return {"baseline": "rkv", **interval, "low_entropy": {key: 0.8 * value if key != "significant" else value
                                                           for key, value in interval.items()},
            "sentence": f"invented: its rise is {abs(mean):.4f} nats {better} than that of R-KV <on the same tokens> & traces."}


def policy_block(policy):
    block = measures(policy, RISE[policy])
    block["attention_kept_by_head"] = [
        [min(1.0, kept(policy) + (1 - kept(policy)) * 0.9 * wave(layer + 3 * head, 7 + 2 * head)) for head in range(HEADS)]
        for layer in range(LAYERS)]
    block["by_position"] = [{"end": end, "tokens": 7 * end, "loss_rise": RISE[policy] * math.sqrt(end / 1024)}
                            for end in (256, 512, 768, 1024, 1536, 2048)]
    block["tail"] = [{"share": share, "rise": RISE[policy] * (0.05 / share) ** 0.8} for share in (0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001)]
    if policy != "full":
        block["prompt_live"] = [survival(policy, eviction) for eviction in range(1, EVICTIONS + 1)]
    if policy not in ("full", "golden", "rkv"):
        block["difference"] = difference(policy)
    return block


def evaluation():
    held = [name for name in RISE if name != "full"]
    document = {
        "schema_version": 4, "code_version": "invented-by-make.py", "budget": 128, "window": 32,
        "inputs": {"model": "invented/<model> & co", "dtype": "bfloat16", "seed": 1, "policies": list(RISE)},
        "policies": {name: policy_block(name) for name in RISE},
        "sweep": [{"budget": budget, "window": 32, "first_scored": 545,
                   "policies": {name: measures(name, RISE[name] * (128 / budget) ** 1.2) for name in RISE}} for budget in BUDGETS],
        "generation": {
            "task": "invented sums", "samples": 4,
            "policies": {name: {"accuracy": 0.25 / (1 + 12 * RISE[name]), "answered": 0.9, "mean_tokens": 180 + 300 * RISE[name],
                                "truncation_rate": 0.05, "greedy_truncation_rate": 0.1, "tokens_until_difference": None if name == "full" else 2 / (RISE[name] + 0.01)}
                         for name in ("full", "supervised", "grpo", "rkv", "random")},
            "continued": {"prompts": 8, "max_new_tokens": 256,
                          "policies": {name: {"tokens_until_difference": 240 / (1 + 20 * RISE[name]), "equal_share": 1 / (1 + 40 * RISE[name]),
                                              "truncation_rate": 0.125, "mean_tokens": 201.5, "repetition": 0.02 + 0.1 * RISE[name]}
                                       for name in ("full", "supervised", "grpo", "rkv", "random")}},
            "passkey": {"length": 900, "depths": [0.1, 0.5, 0.9],
                        "policies": {"full": [1.0, 1.0, 1.0], "grpo": [1.0, 0.75, 1.0], "rkv": [0.5, 0.25, 1.0]}}},
        "recall": {
            "facts": 24, "evictions": [3, 15, 39, 57], "full_found": [1.0, 1.0, 0.958, 0.917],
            "policies": {name: {"recall": [None if name == "random" and after == 57 else math.exp(-RISE[name] * after) for after in (3, 15, 39, 57)],
                                "low": [math.exp(-RISE[name] * after) - 0.08 for after in (3, 15, 39, 57)],
                                "high": [math.exp(-RISE[name] * after) + 0.07 for after in (3, 15, 39, 57)],
                                "found": [round(math.exp(-RISE[name] * after), 2) for after in (3, 15, 39, 57)]}
                         for name in ("supervised", "grpo", "rkv", "h2o", "random")}},
        "cost": {"contexts": [512, 1024, 2048, 4096], "threads": 2, "batch": 8, "budget": 128, "window": 32,
                 "policies": {name: {"kv_bytes": [23040 * (context if name == "full" else 160) for context in (512, 1024, 2048, 4096)],
                                     "peak_rss_bytes": [9.1e8, 9.2e8, 9.4e8, 9.9e8 if name == "full" else 9.1e8],
                                     "batch_decode_tokens_per_second": [90, 80, 60, 40] if name == "full" else [110] * 4,
                                     **({"equal_memory_rows": [2, 1, 0, 0],
                                         "equal_memory_decode_tokens_per_second": [45, 28, 0, 0]} if name == "full" else {}),
                                     "prefill_tokens_per_second": [900, 880, 850, 700],
                                     "decode_tokens_per_second": [30 / (1 + context / 2000) if name == "full" else speed
                                                                  for context in (512, 1024, 2048, 4096)],
                                     "milliseconds_per_eviction": 0 if name == "full" else 4.2,
                                     "scoring_share": 0.0 if name == "full" else 0.031}
                              for name, speed in (("full", 0), ("supervised", 27), ("rkv", 25))}},
        "training": {"oracle_seconds_per_trace": 1.4, "hdf5_bytes_per_trace": 1600000, "supervised_seconds_per_step": 0.15,
                     "grpo_seconds_per_step": 12.0},
    }
    tokens = ["<|im_start|>"] + [WORDS[0]] + [word if word == "\n" else " " + word for word in WORDS[1:]] * 3 + ["<b>&\"'</b>"]
    document["token_view"] = {
        "trace": "invented-000000", "tokens": tokens,
        "policies": {name: [1.0 if i > len(tokens) - 32 else (37 * i + 11 * i * order + 5) % 101 / 100 for i in range(len(tokens))] for order, name in enumerate(held)}}
    return document


def supervised_rows():
    for step in range(1, 601):
        row = {"step": step, "loss": 0.1 * math.exp(-step / 130) + 0.004 + 0.001 * wave(step, 9), "grad_norm": 0.02,
               "learning_rate": 1e-3, "oracle_overlap": 0.72 - 0.47 * math.exp(-step / 60) + 0.01 * wave(step, 13), "step_time": 0.15}
        if step % 50 == 0:
            row["eval_loss_rise"] = 0.009 + 0.05 * math.exp(-step / 90)
            row["eval_low_entropy_loss_rise"] = 0.007 + 0.04 * math.exp(-step / 90)
        yield row


def grpo_rows():
    for step in range(1, 81):
        row = {"step": step, "reward": -0.03 + 0.012 * (1 - math.exp(-step / 30)) + 0.003 * wave(step, 5), "reward_std": 0.01,
               "kl": None if step == 1 else 0.0004 * step + 0.001 * (1 + wave(step, 11)), "clip_ratio": 0.02, "frac_reward_zero_std": 0.0,
               "low_entropy_loss_rise": 0.014 - 0.004 * (1 - math.exp(-step / 30)) + 0.002 * wave(step, 6)}
        if step % 10 == 0:
            row["eval_low_entropy_loss_rise"] = 0.0076 - 0.002 * (1 - math.exp(-step / 25))
        yield row


def rounded(value):
    if isinstance(value, float):
        return round(value, 6)
    if isinstance(value, dict):
        return {key: rounded(inner) for key, inner in value.items()}
    return [rounded(inner) for inner in value] if isinstance(value, list) else value


def main():
    (HERE / "evaluation.json").write_text(json.dumps(rounded(evaluation())) + "\n")
    (HERE / "config.yaml").write_text("# invented, for the report's tests\nmodel:\n  path: invented/<model> & co\n")
    for stage, rows in (("supervised", supervised_rows()), ("grpo", grpo_rows())):
        (HERE / stage).mkdir(exist_ok=True)
        (HERE / stage / "metrics.jsonl").write_text("".join(json.dumps(rounded(row)) + "\n" for row in rows))


if __name__ == "__main__":
    main()
