"""Scores and evicted sets of R-KV's published code for tests/eviction/test_rules_against_rkv.cpp.

Writes rkv.safetensors beside itself. Made with github.com/Zefan-Cai/R-KV (Apache-2.0) at commit
d15c9767e67c2bd9807128fecc35223fa2484a69, torch 2.11.0, float32 on a CPU:

    python tests/reference/rules/make_rkv_fixture.py CHECKOUT

rkv/compression/r1_kv.py and rkv/utils.py run unchanged; the package around them is not imported, since at this commit it names files
that it does not have. R1KV(budget=B, window_size=W, kernel_size=7, mix_lambda=...).update_kv selects; its scores are those that it
hands to topk. It takes one row at a time.

The published code merges the query heads of a group by the maximum of their raw logits, our rule by that of their log-probabilities,
which are the logits less a number for each head and query. So that both are the same, the queries are scaled until this number, the
logsumexp over the entries that a query sees, is equal in all heads of a group. For one query head per KV head nothing needs scaling.

Tensors: `keys` [R, K, N, d]; `window_attention` [R, K, g, W, N] of the scaled queries; `group.scores` [R, K, B] (published: HIGH =
keep) and `group.evicted` [R, K, W] int64, ascending, with mix_lambda 0.1, the paper's; `group_007.*` with 0.07, the code's default;
`single.*` with 0.1 and the first query head of each group alone.
"""
import importlib.util
import pathlib
import sys
import types

import torch
from safetensors.torch import save_file

import structured
from structured import BUDGET, GROUP, ROWS, WINDOW


def load_published(checkout):
    """The class R1KV of a checkout."""
    def load(name, path):
        spec = importlib.util.spec_from_file_location(name, path)
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
        return module

    utils = load("published_utils", checkout / "rkv/utils.py")
    package = types.ModuleType("published")
    package.cal_similarity, package.compute_attention_scores = utils.cal_similarity, utils.compute_attention_scores
    sys.modules["published"] = package
    return load("published.r1_kv", checkout / "rkv/compression/r1_kv.py").R1KV


def run(r1kv, keys, queries, mix_lambda):
    """Scores [R, K, B] and evicted [R, K, W]; `keys` [R, K, N, d], `queries` [R, K, g, N, d]."""
    scores, gone = [], []
    rule = r1kv(budget=BUDGET, window_size=WINDOW, kernel_size=7, mix_lambda=mix_lambda)
    published_topk = torch.Tensor.topk

    def recording_topk(tensor, *arguments, **options):
        scores.append(tensor.clone())
        return published_topk(tensor, *arguments, **options)

    for row in range(keys.shape[0]):
        torch.Tensor.topk = recording_topk
        try:
            _, kept = rule.update_kv(keys[row:row + 1], queries[row:row + 1, :, :, -WINDOW:].flatten(1, 2),
                                     structured.index_values().expand_as(keys[row:row + 1]))
        finally:
            torch.Tensor.topk = published_topk
        gone.append(structured.evicted(kept[:, :, :BUDGET]))
    assert len(scores) == keys.shape[0]
    return torch.cat(scores), torch.cat(gone)


def equalise(keys, queries):
    """Queries scaled so that the logsumexp of their logits is the same in all heads of a group."""
    exact = structured.logits(keys, queries).double()
    visible = exact.isfinite()
    target = torch.logsumexp(exact, dim=-1, keepdim=True).amax(dim=2, keepdim=True)
    target = torch.maximum(target, visible.sum(-1, keepdim=True).double().log() + 0.5)
    low, high = torch.zeros_like(target).expand(-1, -1, GROUP, -1, -1), torch.full_like(target, 64.0)
    for _ in range(80):  # bisection: convex in the scale, and below the target at 0
        middle = (low + high) / 2
        above = torch.logsumexp(exact * middle, dim=-1, keepdim=True) > target
        low, high = torch.where(above, low, middle), torch.where(above, middle, high)
    return (queries.double() * high).float()


def main():
    r1kv = load_published(pathlib.Path(sys.argv[1]))

    def all_rules(keys, queries):
        return {"group": run(r1kv, keys, queries, 0.1), "group_007": run(r1kv, keys, queries, 0.07),
                "single": run(r1kv, keys, queries[:, :, :1], 0.1)}

    def scaled(keys, queries):
        newest = equalise(keys, queries[:, :, :, -WINDOW:])
        return torch.cat([queries[:, :, :, :-WINDOW], newest], dim=3)

    keys, queries = structured.draw_layer(
        lambda *head: [scores for scores, _ in all_rules(*head).values()], prepare=scaled)
    newest = queries[:, :, :, -WINDOW:]
    spread = torch.logsumexp(structured.logits(keys, newest), dim=-1).std(dim=2)
    assert keys.shape[0] == ROWS and float(spread.max()) < 1e-5
    tensors = {"keys": keys, "window_attention": structured.attention(keys, newest)}
    for name, (scores, gone) in all_rules(keys, queries).items():
        tensors[f"{name}.scores"], tensors[f"{name}.evicted"] = scores, gone
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()},
              pathlib.Path(__file__).parent / "rkv.safetensors")


if __name__ == "__main__":
    main()
