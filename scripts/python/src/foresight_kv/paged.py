"""Eviction in a paged cache: what an engine's forward pass has to do, window by window. No engine is needed for it.

Symbols: R rows (requests), K KV heads, g query heads per KV head, d head dimension, B budget, W window. A request's entries lie
in its blocks in order of age, evicted ones closed up, so that it never needs more than B + W places: all that has to be known of
a request is how many tokens of it were seen.
"""

from dataclasses import dataclass, field

import torch

from .errors import ForesightError
from .operators import STATISTICS, load_operators
from .scorer_file import WITH_CONTEXT


def live_entries(seen, budget, window):
    """Entries that a KV head holds once `seen` tokens went through the model."""
    return seen if seen < budget + window else budget + (seen - budget) % window


@dataclass
class Round:
    """A part of a forward pass in which no row crosses the end of a window. Lists have an element for each of its rows."""

    rows: list = field(default_factory=list)  # in the batch
    start: list = field(default_factory=list)  # the row's first token among all tokens of the batch
    tokens: list = field(default_factory=list)
    before: list = field(default_factory=list)  # live entries without the new ones
    first: list = field(default_factory=list)  # place of the first token in its window
    window: list = field(default_factory=list)  # tokens of that window: B for the first, W for the others
    closing: list = field(default_factory=list)  # places in this list of the rows whose first window ends
    full: list = field(default_factory=list)  # ... and of those that hold B + W entries: an eviction is due


def plan_rounds(seen, new, budget, window):
    """The rounds of a forward pass over rows that have seen[r] tokens behind them and new[r] >= 0 to come."""
    rounds, start = [], 0
    for row, (behind, count) in enumerate(zip(seen, new, strict=True)):
        done = index = 0
        while done < count:
            if index == len(rounds):
                rounds.append(Round())
            part, at = rounds[index], behind + done
            before = live_entries(at, budget, window)
            width = budget if at < budget else window
            place = at if at < budget else before - budget
            tokens = min(width - place, count - done)
            if place + tokens == width:
                (part.closing if at < budget else part.full).append(len(part.rows))
            values = (row, start + done, tokens, before, place, width)
            for name, value in zip(("rows", "start", "tokens", "before", "first", "window"), values, strict=True):
                getattr(part, name).append(value)
            done, index = done + tokens, index + 1
        start += count
    return rounds


def int32(values):
    """A list as an int32 tensor."""
    return torch.tensor(values, dtype=torch.int32)


class RoundTensors:
    """A Round as the operators take it, with the block tables [R of the batch, blocks] int32 of all rows."""

    def __init__(self, part, block_table):
        self.part, self.rows = part, part.rows
        self.waiting = None  # WaitingQueries, once a scorer on serving features needs them
        self.live = int32([before + tokens for before, tokens in zip(part.before, part.tokens, strict=True)])
        self.first, self.window = int32(part.first), int32(part.window)
        starts = [0]
        for tokens in part.tokens:
            starts.append(starts[-1] + tokens)
        self.query_start = int32(starts)
        self.table = block_table[part.rows].contiguous()
        self.closing, self.full = self.table[part.closing], self.table[part.full]
        places = zip(part.start, part.tokens, strict=True)
        self.tokens = torch.tensor([token for start, count in places for token in range(start, start + count)])
        self.whole = bool(torch.equal(self.tokens, torch.arange(len(self.tokens))))
        self.full_rows = [part.rows[index] for index in part.full]
        behind = enumerate(zip(part.before, part.tokens, strict=True))
        self._entries = [(row, before + i) for row, (before, count) in behind for i in range(count)]

    def slots(self, block_size):
        """Where the tokens go, [tokens] int64: block * block_size + place in it."""
        rows, entries = torch.tensor(self._entries).unbind(1)
        return self.table[rows, entries // block_size].long() * block_size + entries % block_size


class Eviction:
    """Takes attention into the statistics of a paged cache and evicts where windows end; knows nothing of requests."""

    @staticmethod
    def of(scorer, budget, window, heads=None):
        """The kind of eviction that a Scorer's features need. Raises ForesightError for those that a paged cache cannot give."""
        if scorer.facts.features in WITH_CONTEXT:
            raise ForesightError(
                f"{scorer.path}: the scorer is on {scorer.facts.features} features, for which a paged cache would have to know the "
                "age of its entries: train with scorer.features=serving, or normalized"
            )
        if scorer.facts.features == "serving":
            from .paged_serving import ServingEviction

            return ServingEviction(scorer, budget, window, heads)
        return Eviction(scorer, budget, window, heads)

    def __init__(self, scorer, budget, window, heads=None):
        """scorer: a Scorer. heads: slice of its KV heads that this process holds (tensor parallel), or None for all."""
        if budget < 1 or window < 1 or budget % window:
            raise ForesightError(f"eviction: budget {budget} must be a multiple of window {window}, both at least 1 token")
        self.operators = load_operators()
        self.budget, self.window = budget, window
        self.released = scorer.facts.features == "released"
        heads = heads or slice(None)
        self.weights = [self._packed(scorer, layer, heads) for layer in scorer.layer_numbers]

    @staticmethod
    def _packed(scorer, layer, heads):
        weight1, bias1, weight2, bias2 = (tensor[heads] for tensor in scorer.folded(layer))
        return weight1.contiguous(), bias1[:, 0].contiguous(), weight2[..., 0].contiguous(), bias2[:, 0, 0].contiguous()

    def observe(self, layer, part, query, keys, values, statistics, scale):
        """To be called once the round's keys and values are written and attended to.

        part: RoundTensors; query [tokens, K g, d] of its tokens; keys, values [blocks, K, block size, d] and statistics
        [blocks, K, block size, 8g] of the layer's whole cache. Returns what stayed, [rows with an eviction, K, B] int32, or None.
        """
        foresight = self.operators
        foresight.observe_paged_(
            query.float().contiguous(), keys, statistics, part.table, part.query_start, part.live, part.first, part.window,
            scale,
        )  # fmt: skip
        if len(part.closing):
            foresight.close_window_paged_(statistics, part.closing, self.budget)
        if not len(part.full):
            return None
        foresight.close_window_paged_(statistics, part.full, self.budget + self.window)
        weights = self.weights[layer]
        scores = foresight.score_paged(keys, values, statistics, part.full, *weights, self.budget, self.released)
        return self._evict(part, scores, (keys, values, statistics))

    def places(self, tokens, group):
        """Entries that a request of so many tokens needs room for; group: g."""
        return min(tokens, self.budget + self.window)

    def _evict(self, part, scores, caches):
        """Closes the full rows up by their candidates' scores [rows, K, B]; returns what stayed."""
        kept = self._with_window(self.operators.keep(scores, self.window, None))
        for cache in caches:
            self.operators.compact_paged_(cache, part.full, kept)
        return kept

    def _with_window(self, kept):
        """[rows, K, B]: the candidates kept, and behind them the window's entries, which stay."""
        newest = torch.arange(self.budget, self.budget + self.window, dtype=torch.int32)
        return torch.cat([kept, newest.expand(*kept.shape[:2], self.window)], dim=2)


def statistics_bytes(block_size, kv_heads, group):
    """Bytes of a block's statistics."""
    return block_size * kv_heads * STATISTICS * group * 4
