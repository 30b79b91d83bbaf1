"""torch.ops.foresight: the scorer's arithmetic as operators, from libforesight_ops.so (trainer/operators; CPU and CUDA).

Symbols: R rows, K KV heads, g query heads per KV head, T new tokens, N entries, C candidates, d head dimension, F = 2d + 8g
inputs. Statistics are float32, 8g an entry: for the g query heads in order the maximum, minimum and sum of the window's
attention, its sums over the last 16, 8 and 32 queries, the cumulative and the decayed sum, all raw.

    window_statistics(query [R, K, g, T, d], key [R, K, N, d], scale) -> [R, K, N, 8g]
        of a window whose T queries are the newest T of N entries; the two sums over windows are zero.
    score(key, value [R, K, C, d], statistics [R, K, C, 8g], weight1 [K, F, 16], bias1 [K, 16], weight2 [K, 16], bias2 [K],
          released) -> [R, K, C], high = evict. released: features as the authors' scorers take them.
    score_serving(query [R, K, g, q, d], key, value [R, K, N, d], weights as above, count, scale) -> [R, K, count]
        of the first entries, for scorers on serving features: from the attention of a window's last q <= 8 queries, which are
        the newest q of N entries, oldest first. No statistics are kept for them.
    keep(scores [R, K, C], evict, protect [R, K, C] bool or None) -> [R, K, C - evict] int32
        what stays when the `evict` entries of highest score go, ascending; of equal scores the older goes.
    compact_(cache [R, K, N, any], kept [R, K, M]): entries kept[..., m] move to the places m.

Of a paged cache [blocks, K, block size, width] with any strides, block_table [R, blocks a row] int32:

    observe_paged_(query [tokens, K g, d], key_cache, statistics, block_table, query_start [R + 1], live [R], first [R],
                   window [R], scale)
        adds the attention of each row's newest tokens, which are queries first .. of a window of `window`; live counts entries,
        the new ones included. Index tensors are int32.
    close_window_paged_(statistics, block_table, live): the window's sums go into the two sums over windows.
    score_paged(key_cache, value_cache, statistics, block_table, weights as above, count, released) -> [R, K, count]
    score_serving_paged(query, key_cache, value_cache, block_table, weights as above, live, count, scale) -> [R, K, count]
        as score_serving; every row has `live` entries.
    compact_paged_(cache, block_table, kept)

Queries and weights are float32; keys, values and caches float32, float16 or bfloat16. A wrong argument is a RuntimeError that
names it. On CUDA the operators are made of torch's own, and index tensors (those of int32) may lie on the CPU; what they compute is
tested on tensors of the CPU, and they have not run on a GPU. On other devices they are not implemented, and torch says so.
"""

import os
from pathlib import Path

import torch

from .errors import ForesightError

LIBRARY = "libforesight_ops.so"
STATISTICS = 8


def library_path():
    """Where the library lies: FORESIGHT_OPS, or beside this file (an installed package)."""
    named = os.environ.get("FORESIGHT_OPS")
    return Path(named) if named else Path(__file__).with_name(LIBRARY)


def load_operators():
    """Loads the library once; returns torch.ops.foresight. Raises ForesightError where it is missing or cannot be loaded."""
    if not _loaded():
        path = library_path()
        if not path.is_file():
            raise ForesightError(
                f"{path}: the operators' library is not there; build it (target foresight_ops) and set FORESIGHT_OPS to its path"
            )
        try:
            torch.ops.load_library(path)
        except OSError as fault:
            raise ForesightError(f"{path}: cannot be loaded ({fault}); build it for this machine, with torch >= 2.10") from None
        _register_fakes()
    return torch.ops.foresight


def _loaded():
    return hasattr(torch.ops.foresight, "compact_paged_")


def _register_fakes():
    """What the operators return when only shapes are asked for (torch.compile, torch.export)."""
    register = torch.library.register_fake

    @register("foresight::window_statistics")
    def _(query, key, scale):
        return query.new_empty(*key.shape[:3], STATISTICS * query.shape[2])

    @register("foresight::score")
    def _(key, value, statistics, weight1, bias1, weight2, bias2, released):
        return weight1.new_empty(key.shape[:3])

    @register("foresight::keep")
    def _(scores, evict, protect):
        return scores.new_empty(*scores.shape[:2], scores.shape[2] - evict, dtype=torch.int32)

    @register("foresight::score_paged")
    def _(key_cache, value_cache, statistics, block_table, weight1, bias1, weight2, bias2, count, released):
        return weight1.new_empty(block_table.shape[0], key_cache.shape[1], count)

    @register("foresight::score_serving")
    def _(query, key, value, weight1, bias1, weight2, bias2, count, scale):
        return weight1.new_empty(*key.shape[:2], count)

    @register("foresight::score_serving_paged")
    def _(query, key_cache, value_cache, block_table, weight1, bias1, weight2, bias2, live, count, scale):
        return weight1.new_empty(block_table.shape[0], key_cache.shape[1], count)

    @register("foresight::compact_")
    def _(cache, kept):
        return None

    @register("foresight::observe_paged_")
    def _(query, key_cache, statistics, block_table, query_start, live, first, window, scale):
        return None

    @register("foresight::close_window_paged_")
    def _(statistics, block_table, live):
        return None

    @register("foresight::compact_paged_")
    def _(cache, block_table, kept):
        return None
