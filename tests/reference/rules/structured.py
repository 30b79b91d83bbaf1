"""Random tensors with the structure of a cache, for the scripts beside this one that run published eviction rules on them.

R rows, K KV heads, g query heads per KV head, N = B + W live entries, W newest queries, d head dimension. A head has an entry with much attention (entry 0), keys that share a direction, and near copies among its keys. As in our cache, for all rules: the newest W entries are never candidates, and W of the B older ones are evicted.
"""
import math

import torch

ROWS, KV_HEADS, GROUP, BUDGET, WINDOW, HEAD_DIM = 2, 3, 3, 64, 16, 32
LIVE = BUDGET + WINDOW


def draw_head(seed):
    """Keys [1, 1, N, d] and queries [1, 1, g, N, d] of one KV head."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(shape, generator=generator)

    shared = normal(HEAD_DIM)
    keys = normal(LIVE, HEAD_DIM) + 0.6 * shared
    for copy in range(5, LIVE, 5):
        keys[copy] = keys[copy - 4] + 0.3 * normal(HEAD_DIM)
    queries = normal(GROUP, LIVE, HEAD_DIM) * torch.tensor([0.7, 1.0, 1.5]).view(GROUP, 1, 1) + 0.3 * shared
    keys[0] = 0.5 * keys[0] + queries.mean(dim=(0, 1)) * 4.0
    return keys[None, None], queries[None, None]


def logits(keys, queries):
    """[R, K, g, Q, N] of the newest Q queries, -inf for keys in a query's future."""
    count = queries.shape[3]
    values = torch.matmul(queries, keys.unsqueeze(2).transpose(3, 4)) / math.sqrt(HEAD_DIM)
    entry, query = torch.arange(LIVE), torch.arange(LIVE - count, LIVE).unsqueeze(1)
    return values.masked_fill(entry > query, float("-inf"))


def attention(keys, queries):
    """Softmax of `logits`."""
    return torch.softmax(logits(keys, queries), dim=-1)


def is_separated(keep_scores):
    """Whether in every head the scores of the last evicted and the first kept entry differ by more than rounding."""
    ordered = keep_scores.sort(dim=-1).values
    last_out, first_in = ordered[..., WINDOW - 1], ordered[..., WINDOW]
    return bool((first_in - last_out > 1e-4 * torch.maximum(first_in.abs(), last_out.abs())).all())


def draw_layer(keep_scores_of, prepare=lambda keys, queries: queries):
    """Keys [R, K, N, d] and queries [R, K, g, N, d]. A head is drawn again until none of the scores [1, 1, B] that
    `keep_scores_of`(keys, queries) gives has a tie at the cut, so that the evicted set does not depend on how ties are broken."""
    heads, seed = [], 1000
    while len(heads) < ROWS * KV_HEADS:
        keys, queries = draw_head(seed)
        queries = prepare(keys, queries)
        if all(is_separated(scores) for scores in keep_scores_of(keys, queries)):
            heads.append((keys, queries))
        seed += 1
    print(f"{len(heads)} heads of {seed - 1000} drawn")
    return tuple(torch.stack([head[part][0, 0] for head in heads]).unflatten(0, (ROWS, KV_HEADS)) for part in (0, 1))


def index_values():
    """Values [1, 1, N, 1] with each entry's index: the kept values show which entries an implementation kept."""
    return torch.arange(LIVE, dtype=torch.float32).view(1, 1, LIVE, 1)


def evicted(kept_values):
    """Sorted indices [R, K, W] int64 that are missing in kept values [R, K, B, .] of `index_values`."""
    kept = torch.zeros(*kept_values.shape[:2], LIVE, dtype=torch.bool).scatter(2, kept_values[..., 0].long(), True)
    assert int(kept.sum()) == kept.shape[0] * kept.shape[1] * BUDGET
    return torch.arange(LIVE).expand_as(kept)[~kept].view(*kept.shape[:2], WINDOW)
