"""The entries that VaSE's published code keeps, for tests/eviction/test_rules_against_vase.cpp.

Writes vase.safetensors beside itself. Made with github.com/terarachang/VaSE (MIT) at commit
bfa2692112c45da13e637b3eca03ee6516f9e0bb, transformers 5.2.0 (its base classes only), torch 2.11.0, float32 on a CPU:

    python tests/reference/rules/make_vase_fixture.py CHECKOUT

eval/reasoning_tasks/modified/transformers/cache_utils.py runs unchanged: EvictLayer with mode range_sink_sample_attn, smooth, and
n_large a quarter of the budget, as its scripts have it. It samples with torch.multinomial. Here that call is replaced by its definition (the K largest of weight / exponential, as torch itself does) with the noise that the fixture holds, so that the kept entries can be compared, and not only their distribution.

`formula` is the rule once more, written from the paper (arXiv 2606.03928): value range max - min, sinks first, the rest drawn without
replacement by the mean attention of the window's queries. The script ends with an error unless both keep the same entries.

Tensors: `keys`, `values` [R, K, N, d]; `window_attention` [R, K, g, W, N]; `positions` [R, K, N]; `noise` [R, K, B] uniform;
`vase.weights` [R, K, B], the weights passed to torch.multinomial; `vase.evicted` [R, K, W] int64, ascending; `many.*` the same with n_large 40.
"""
import importlib.util
import math
import pathlib
import sys

import torch
import torch.nn.functional as F
from safetensors.torch import save_file

import structured
from structured import BUDGET, GROUP, HEAD_DIM, KV_HEADS, LIVE, ROWS, WINDOW

SINKS, KERNEL = 4, 5
LARGE = {"vase": BUDGET // 4, "many": 40}


def load_published(checkout):
    """The class EvictLayer of a checkout."""
    path = checkout / "eval/reasoning_tasks/modified/transformers/cache_utils.py"
    spec = importlib.util.spec_from_file_location("published_cache", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.EvictLayer


def race(weights, noise, count):
    """The `count` largest of weights / exponential: what torch.multinomial without replacement draws."""
    return (weights / -torch.log(noise)).topk(count, dim=-1).indices


def run_published(layer_class, keys, values, queries, noise, large):
    """Weights [R, K, B] and evicted [R, K, W]; `queries` [R, K, g, W, d]."""
    layer = layer_class(layer_idx=1, token_budget=BUDGET, residual_length=WINDOW, eviction_mode="range_sink_sample_attn",
                        rkv_lambda=0.5, smooth=True, verbose=False, n_large=large)
    layer.prepare(keys.transpose(1, 2), values.transpose(1, 2))
    layer.k_cache[:, :LIVE], layer.v_cache[:, :LIVE] = keys.transpose(1, 2), values.transpose(1, 2)
    layer.queries = queries.flatten(1, 2)
    layer.cache_seqlens += LIVE
    given, published = [], torch.multinomial

    def recorded(weights, count, replacement):
        assert not replacement
        given.append(weights.view(ROWS, KV_HEADS, BUDGET).clone())
        return race(weights, noise.view_as(weights), count)

    torch.multinomial = recorded
    try:
        layer._run_eviction(LIVE)
    finally:
        torch.multinomial = published
    kept = layer.k_cache[:, :BUDGET].transpose(1, 2)  # [R, K, B, d], each a key of the input
    same = (kept.unsqueeze(3) == keys.unsqueeze(2)).all(-1)  # [R, K, B, N]
    assert bool((same.sum(-1) == 1).all())
    return given[0], structured.evicted(same.float().argmax(-1, keepdim=True).float())


def formula(keys, values, queries, noise, large):
    """Evicted [R, K, W] by the paper's formula."""
    gone = torch.empty(ROWS, KV_HEADS, WINDOW, dtype=torch.int64)
    for row in range(ROWS):
        for head in range(KV_HEADS):
            spread = [float("inf") if entry < SINKS else float(values[row, head, entry].max() - values[row, head, entry].min())
                      for entry in range(BUDGET)]
            kept = sorted(range(BUDGET), key=lambda entry: -spread[entry])[:large]
            scores = torch.zeros(BUDGET)
            for query_head in range(GROUP):
                logits = queries[row, head, query_head] @ keys[row, head, :BUDGET].T / math.sqrt(HEAD_DIM)
                mean = torch.softmax(logits, dim=-1).mean(0)
                padded = F.pad(mean, (KERNEL // 2, KERNEL // 2))
                scores += torch.stack([padded[i:i + KERNEL].sum() / KERNEL for i in range(BUDGET)]) / GROUP
            free = [entry for entry in range(BUDGET) if entry not in kept]
            arrival = {entry: float(-math.log(noise[row, head, entry]) / scores[entry]) for entry in free}
            kept += sorted(free, key=arrival.get)[:BUDGET - WINDOW - large]
            gone[row, head] = torch.tensor(sorted(set(range(BUDGET)) - set(kept)))
    return gone


def main():
    layer_class = load_published(pathlib.Path(sys.argv[1]))
    heads = [structured.draw_head(seed) for seed in range(2000, 2000 + ROWS * KV_HEADS)]
    keys, queries = (torch.stack([head[part][0, 0] for head in heads]).unflatten(0, (ROWS, KV_HEADS)) for part in (0, 1))
    queries = queries[:, :, :, -WINDOW:].contiguous()
    generator = torch.Generator().manual_seed(77)
    values = torch.randn(ROWS, KV_HEADS, LIVE, HEAD_DIM, generator=generator)
    values[:, :, 7::9] *= 4.0
    values[:, :, :SINKS] *= 0.1  # as in models: the values of sinks are small
    noise = torch.rand(ROWS, KV_HEADS, BUDGET, generator=generator).clamp_min(1e-6)
    tensors = {"keys": keys, "values": values, "window_attention": structured.attention(keys, queries), "noise": noise,
               "positions": torch.arange(LIVE).expand(ROWS, KV_HEADS, LIVE)}
    for name, large in LARGE.items():
        weights, gone = run_published(layer_class, keys, values, queries, noise, large)
        assert torch.equal(gone, formula(keys, values, queries, noise, large))
        tensors[f"{name}.weights"], tensors[f"{name}.evicted"] = weights, gone
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, pathlib.Path(__file__).parent / "vase.safetensors")
    print(torch.__version__)


if __name__ == "__main__":
    main()
