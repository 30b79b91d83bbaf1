"""One vLLM engine in a process of its own, as the plugin reads its settings once: python engine.py JOB.json RESULT.json

job: {"options": of vllm.LLM, "prompts": [[token id, ...], ...], "max_tokens": n, "mode": "generate" | "steps" | "churn"}
result of "generate": "tokens" [prompt][n], "margins" [prompt][n] (of the two likeliest tokens' log probabilities), "evictions"
    {"prompt": {"layer": [step][KV head][W positions]}}, "metrics" {name: value}
result of "steps": "held" (the most blocks held at once), "free_before" and "free_after" (blocks)
result of "churn": as "generate", with tokens of what was not aborted, and as "steps"; "preemptions"
"""

import json
import os
import random
import sys

os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")
os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
os.environ["HF_HUB_OFFLINE"] = "1"

import prometheus_client
import torch
from vllm import LLM, SamplingParams


class Evictions:
    """Follows which positions each KV head holds, from what the plugin's listener is told."""

    def __init__(self, llm, budget, window):
        self.runner = llm.llm_engine.model_executor.driver_worker.worker.model_runner
        self.budget, self.window = budget, window
        self.positions, self.evicted = {}, {}

    def __call__(self, layer, rows, kept):
        for row, stays in zip(rows, kept.long(), strict=True):
            request, heads = self.runner.input_batch.req_ids[row], len(stays)
            held, steps = self.positions.get((request, layer)), self.evicted.setdefault(request, {}).setdefault(layer, [])
            first = self.budget + self.window * len(steps)
            old = torch.arange(self.budget).expand(heads, -1) if held is None else held
            live = torch.cat([old, torch.arange(first, first + self.window).expand(heads, -1)], dim=1)
            left = live.gather(1, stays)
            steps.append([sorted({*was} - {*now}) for was, now in zip(live.tolist(), left.tolist(), strict=True)])
            self.positions[request, layer] = left


def pool_of(llm):
    return llm.llm_engine.engine_core.engine_core.scheduler.kv_cache_manager.block_pool


def generate(llm, job):
    """All prompts at once."""
    listener = None
    if os.environ.get("FORESIGHT_SCORER"):
        from foresight_kv.vllm import backend, settings

        found = settings.settings()
        listener = Evictions(llm, found.budget, found.window)
        backend.eviction_listeners.append(listener)
    sampling = SamplingParams(temperature=0, max_tokens=job["max_tokens"], ignore_eos=True, logprobs=2)
    outputs = llm.generate([{"prompt_token_ids": ids} for ids in job["prompts"]], sampling)
    margins = []
    for output in outputs:
        best = [sorted((value.logprob for value in step.values()), reverse=True) for step in output.outputs[0].logprobs]
        margins.append([values[0] - values[1] for values in best])
    requests = [output.request_id for output in outputs]
    evicted = {} if listener is None else {name.split("-")[0]: layers for name, layers in listener.evicted.items()}
    return {
        "tokens": [list(output.outputs[0].token_ids) for output in outputs],
        "margins": margins,
        "evictions": {str(index): evicted.get(name.split("-")[0], {}) for index, name in enumerate(requests)},
    }


def steps(llm, job):
    """All prompts at once, looking at the pool after each forward pass; with "churn" some are aborted on the way."""
    engine, pool, choice = llm.llm_engine, pool_of(llm), random.Random(job.get("seed", 1))
    free, most, tokens, preempted = pool.get_num_free_blocks(), 0, {}, 0
    sampling = SamplingParams(temperature=0, max_tokens=job["max_tokens"], ignore_eos=True)
    for index, ids in enumerate(job["prompts"]):
        engine.add_request(str(index), {"prompt_token_ids": ids}, sampling)
    waiting = {str(index) for index in range(len(job["prompts"]))}
    scheduler = engine.engine_core.engine_core.scheduler
    while engine.has_unfinished_requests():
        for output in engine.step():
            if output.finished:
                tokens[output.request_id.split("-")[0]] = list(output.outputs[0].token_ids)
                waiting.discard(output.request_id.split("-")[0])
        most = max(most, free - pool.get_num_free_blocks())
        preempted = max(preempted, sum(request.num_preemptions for request in scheduler.requests.values()))
        if job["mode"] == "churn" and waiting and choice.random() < 0.05:
            gone = choice.choice(sorted(waiting))
            engine.abort_request([gone])
            waiting.discard(gone)
    return {"held": most, "free_before": free, "free_after": pool.get_num_free_blocks(), "tokens": tokens, "preemptions": preempted}


def main():
    """Reads the job, runs it, writes the result."""
    with open(sys.argv[1]) as file:
        job = json.load(file)
    llm = LLM(enforce_eager=True, enable_prefix_caching=False, **job["options"])
    result = generate(llm, job) if job["mode"] == "generate" else steps(llm, job)
    samples = (sample for metric in prometheus_client.REGISTRY.collect() for sample in metric.samples)
    result["metrics"] = {sample.name: sample.value for sample in samples if sample.name.startswith("foresight_")}
    with open(sys.argv[2], "w") as file:
        json.dump(result, file)


if __name__ == "__main__":
    main()
