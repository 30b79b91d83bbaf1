"""Scores and evicted sets of NVIDIA's kvpress for tests/eviction/test_rules_against_kvpress.cpp.

Writes kvpress.safetensors beside itself. Made with kvpress 0.5.5 (PyPI, Apache-2.0), torch 2.11.0, transformers 5.2.0, float32 on a
CPU. kvpress needs packages that this project does not, so give it an environment of its own:

    python tests/reference/rules/make_fixture.py

kvpress scores what it KEEPS highest, Foresight what it EVICTS highest. A press is called as kvpress's hook calls it,
score(module, hidden_states, keys, values, attentions, kwargs), and its own compress() selects, with compression_ratio W/N so that B
of N entries stay. The module is a stand-in: a config with the numbers of heads, the head dimension and an identity for q_proj, so that
hidden_states are the queries, which with cos 1 and sin 0 no rotation changes. attentions is None except for ObservedAttentionPress, so
that kvpress computes the window's attention itself; the plain softmax that the fixture holds is asserted to equal it.

How each press was called, and how it differs from our rule:
- StreamingLLMPress(n_sink=4), unchanged: selection by cache index (scores 1 and 0). Row 0 is a first eviction, row 1 the next one.
- ObservedAttentionPress: divides an entry's attention by the number of queries that could see it, which H2O does not. `h2o`
  multiplies its score by that number again. It protects no window: the newest W get an infinite score.
- SnapKVPress(window_size=W, kernel_size=1): `snapkv_kernel1`, unchanged. Its pooling is a mean and ours a maximum;
  `snapkv_kernel7` takes torch's max_pool1d over 7 of the scores of kernel 1. `snapkv_average5.scores` are those of its default kernel of
  5, unchanged.
- TOVAPress: averages over all heads of a layer and protects the newest entry only. `tova` calls it once per KV head, on a layer that
  consists of this head, and the newest W get an infinite score. `tova_layer.scores` [R, B] are those of the whole layer, unchanged.
- KeyDiffPress: protects no window: the newest W get an infinite score.
- R-KV: kvpress 0.5.5 has none; see make_rkv_fixture.py.

Tensors: `keys` [R, K, N, d], `positions` [R, K, N] int64 (used by streaming_llm only), `window_attention` [R, K, g, W, N],
`cumulative` [R, K, g, N] = sum over all N queries; `<rule>.scores` [R, K, B] as kvpress scores, `<rule>.evicted` [R, K, W] int64,
ascending. No rule looks at values.
"""
import pathlib
from types import SimpleNamespace

import torch
from kvpress import KeyDiffPress, ObservedAttentionPress, SnapKVPress, StreamingLLMPress, TOVAPress
from safetensors.torch import save_file

import structured
from structured import BUDGET, GROUP, LIVE, WINDOW

RATIO = WINDOW / LIVE


def adapted(press, change):
    """The press with its scores [R, K, N] changed, and selecting by the changed ones."""
    published = press.score
    press.score = lambda *arguments: change(published(*arguments))
    return press


def protect_window(scores):
    """Gives the newest W infinite scores."""
    return torch.cat([scores[..., :BUDGET], torch.full_like(scores[..., BUDGET:], float("inf"))], dim=-1)


def undo_mean(scores):
    """Back from ObservedAttentionPress's mean over the queries that can see an entry to the sum."""
    return protect_window(scores * torch.arange(LIVE, 0, -1))


def pool_maximum(scores):
    """Maximum over 7 candidates around each, the window as it is."""
    return torch.cat([torch.nn.functional.max_pool1d(scores[..., :BUDGET], 7, 1, 3), scores[..., BUDGET:]], dim=-1)


def run(press, keys, queries, attentions=None):
    """Scores [R, K, N] and evicted [R, K, W] of a press; `keys` [R, K, N, d], `queries` [R, K, g, N, d]."""
    rows, kv_heads, _, head_dim = keys.shape
    module = SimpleNamespace(config=SimpleNamespace(num_attention_heads=kv_heads * GROUP, num_key_value_heads=kv_heads),
                             head_dim=head_dim, q_proj=torch.nn.Identity())
    hidden_states = queries.flatten(1, 2).transpose(1, 2).flatten(2)
    embeddings = (torch.ones(rows, LIVE, head_dim), torch.zeros(rows, LIVE, head_dim))
    values = structured.index_values().expand(keys.shape)
    arguments = (module, hidden_states, keys, values, attentions, {"position_embeddings": embeddings})
    if isinstance(press, SnapKVPress):
        own = press.compute_window_attention(module, hidden_states, keys, WINDOW, embeddings)
        plain = structured.attention(keys, queries)[..., -WINDOW:, :BUDGET].flatten(1, 2)
        torch.testing.assert_close(own, plain, rtol=1e-5, atol=1e-7)
    return press.score(*arguments), structured.evicted(press.compress(*arguments)[1])


def tova_per_kv_head(keys, queries):
    """TOVAPress on each KV head as a layer of its own."""
    press = adapted(TOVAPress(compression_ratio=RATIO), protect_window)
    parts = [run(press, keys[:, k:k + 1], queries[:, k:k + 1]) for k in range(keys.shape[1])]
    return tuple(torch.cat(part, dim=1) for part in zip(*parts))


def all_rules(keys, queries):
    """rule -> (scores [R, K, N], evicted [R, K, W])."""
    snapkv = {"compression_ratio": RATIO, "window_size": WINDOW, "kernel_size": 1}
    return {
        "h2o": run(adapted(ObservedAttentionPress(compression_ratio=RATIO), undo_mean), keys, queries,
                   structured.attention(keys, queries).flatten(1, 2)),
        "snapkv_kernel1": run(SnapKVPress(**snapkv), keys, queries),
        "snapkv_kernel7": run(adapted(SnapKVPress(**snapkv), pool_maximum), keys, queries),
        "tova": tova_per_kv_head(keys, queries),
        "keydiff": run(adapted(KeyDiffPress(compression_ratio=RATIO), protect_window), keys, queries),
    }


def streaming_llm(keys, queries):
    """positions [R, K, N], scores, evicted: row 0 of N first tokens, row 1 of what is left of them and the next W."""
    press = StreamingLLMPress(compression_ratio=RATIO, n_sink=4)
    scores, gone = run(press, keys, queries)
    first = torch.arange(LIVE).expand(keys.shape[1], LIVE)
    kept = first[torch.ones_like(first, dtype=torch.bool).scatter(1, gone[0], False)].view(-1, BUDGET)
    second = torch.cat([kept, torch.arange(LIVE, LIVE + WINDOW).expand(keys.shape[1], WINDOW)], dim=1)
    return torch.stack([first, second]), scores, gone


def main():
    keys, queries = structured.draw_layer(
        lambda *head: [scores[..., :BUDGET] for scores, _ in all_rules(*head).values()])
    attention = structured.attention(keys, queries)
    rules = all_rules(keys, queries)
    positions, *rules["streaming_llm"] = streaming_llm(keys, queries)
    tensors = {"keys": keys, "positions": positions, "window_attention": attention[..., -WINDOW:, :],
               "cumulative": attention.sum(dim=3)}
    for name, (scores, gone) in rules.items():
        tensors[f"{name}.scores"], tensors[f"{name}.evicted"] = scores[..., :BUDGET], gone
    average, _ = run(SnapKVPress(compression_ratio=RATIO, window_size=WINDOW), keys, queries)
    tensors["snapkv_average5.scores"] = average[..., :BUDGET]
    layer, _ = run(TOVAPress(compression_ratio=RATIO), keys, queries)
    assert torch.equal(layer, layer[:, :1].expand_as(layer))  # one score for all heads of the layer
    tensors["tova_layer.scores"] = layer[:, 0, :BUDGET]
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()},
              pathlib.Path(__file__).parent / "kvpress.safetensors")


if __name__ == "__main__":
    main()
