"""Eviction in a paged cache by scorers on serving features: nothing is kept with an entry but key and value.

The features are of a window's last min(8, W) queries, and a window may end in a later forward pass than it began. Its queries
wait in the request's own blocks, in places behind the B + W entries: so a request has no state elsewhere that an abort could
leak. One place of a KV head takes two of the queries of its group, one where a key would be and one where a value would be, in
the cache's type. Symbols as in paged.py; q = min(8, W).
"""

import torch

from .paged import Eviction
from .scorer_file import SERVING_QUERIES


def query_places(window, group):
    """Places behind the entries that a window's last queries take: two queries of a head of the group each."""
    return -(-min(SERVING_QUERIES, window) * group // 2)


def request_places(tokens, budget, window, spare):
    """Entries that a request of so many tokens needs room for; spare: query_places(), or 0 without."""
    entries = budget + window
    if spare and tokens > entries - min(SERVING_QUERIES, window):
        return entries + spare
    return min(tokens, entries)


class WaitingQueries:
    """Where the last queries of a round's windows wait; indices for reading and writing them in a layer's cache."""

    def __init__(self, part, block_size, group, budget, window):
        """part: RoundTensors."""
        count = min(SERVING_QUERIES, window)
        self.shape = (count, group)
        self.tokens = ([], [])  # of the round, for the places of keys and of values
        self.heads = ([], [])  # of the group
        self.to = ([], [])  # (row, entry)
        self.back = ([], [])
        start, lengths = 0, part.part.tokens
        for index, (first, before, tokens) in enumerate(zip(part.part.first, part.part.before, lengths, strict=True)):
            for number in range(count * group):
                place, head = window - count + number // group, number % group
                half, entry = number % 2, (index, budget + window + number // 2)
                if before >= budget and first <= place < first + tokens:
                    self.tokens[half].append(start + place - first)
                    self.heads[half].append(head)
                    self.to[half].append(entry)
                if index in part.part.full:
                    self.back[half].append(entry)
            start += tokens
        self.to = [self._slots(entries, part.table, block_size) for entries in self.to]
        self.back = [self._slots(entries, part.table, block_size) for entries in self.back]

    @staticmethod
    def _slots(entries, table, block_size):
        """(blocks, places in them) of (row, entry) pairs."""
        rows, places = torch.tensor(entries, dtype=torch.int64).view(-1, 2).unbind(1)
        return table[rows, places // block_size].long(), places % block_size

    def write(self, query, keys, values):
        """Lets the round's last queries wait. query: [tokens, K, g, d]; keys, values: [blocks, K, block size, d]."""
        for cache, tokens, heads, (blocks, places) in zip((keys, values), self.tokens, self.heads, self.to, strict=True):
            if tokens:
                cache[blocks, :, places] = query[tokens, :, heads].to(cache.dtype)

    def read(self, keys, values):
        """The waiting queries of the rows whose window is full, [rows, K, g, q, d] float32."""
        (count, group), width = self.shape, keys.shape[3]
        halves = [
            cache[blocks, :, places].float() for cache, (blocks, places) in zip((keys, values), self.back, strict=True)
        ]
        numbers = count * group
        rows = len(halves[0]) // -(-numbers // 2)
        both = halves[0].new_empty(rows, numbers, keys.shape[1], width)
        both[:, 0::2], both[:, 1::2] = (half.view(rows, -1, keys.shape[1], width) for half in halves)
        return both.view(rows, count, group, keys.shape[1], width).permute(0, 3, 2, 1, 4).contiguous()


class ServingEviction(Eviction):
    """As Eviction, for scorers on serving features: there are no statistics, and most passes only write and attend."""

    def places(self, tokens, group):
        """As Eviction.places(), with those that the last queries of a window wait in."""
        return request_places(tokens, self.budget, self.window, query_places(self.window, group))

    def observe(self, layer, part, query, keys, values, statistics, scale):
        """As Eviction.observe(); statistics are not looked at."""
        heads = keys.shape[1]
        by_head = query.reshape(query.shape[0], heads, -1, query.shape[2])
        if part.waiting is None:
            part.waiting = WaitingQueries(part, keys.shape[2], by_head.shape[2], self.budget, self.window)
        part.waiting.write(by_head, keys, values)
        if not len(part.full):
            return None
        scores = self.operators.score_serving_paged(
            part.waiting.read(keys, values), keys, values, part.full, *self.weights[layer], self.budget + self.window,
            self.budget, scale,
        )  # fmt: skip
        return self._evict(part, scores, (keys, values))
