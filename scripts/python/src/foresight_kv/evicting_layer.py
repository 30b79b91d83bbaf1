"""A cache layer for transformers that evicts a window of entries whenever budget + window are live.

Symbols: R rows, K KV heads, g query heads per KV head, T new tokens, n live entries, d head dimension.
"""

import torch
from transformers.cache_utils import DynamicLayer

from .errors import ForesightError
from .scorer import EvictionView

DECAY_PER_WINDOW = 0.9


def attention_probabilities(queries, keys, scaling, cap=None, sinks=None):
    """Softmax of queries [R, K, g, T, d] over keys [R, K, n, d], causal in the last T keys: [R, K, g, T, n] float32.

    cap: scores x become cap tanh(x / cap), as in Gemma 2. sinks: [K g]; e^sink of the head stands in the denominator, as in
    gpt-oss.
    """
    rows, heads, group, tokens, width = queries.shape
    entries = keys.shape[2]
    flat = queries.float().reshape(rows * heads, group * tokens, width)
    scores = torch.bmm(flat, keys.float().reshape(rows * heads, entries, width).transpose(1, 2)) * scaling
    if cap is not None:
        scores = cap * torch.tanh(scores / cap)
    scores = scores.view(rows, heads, group, tokens, entries)
    if tokens > 1:
        future = torch.ones(tokens, tokens, dtype=torch.bool, device=keys.device).triu(1)
        scores[..., entries - tokens :].masked_fill_(future, float("-inf"))
    if sinks is not None:
        beside = sinks.float().view(1, heads, group, 1, 1).expand(rows, heads, group, tokens, 1)
        scores = torch.cat([scores, beside], dim=-1)
    return torch.softmax(scores, dim=-1)[..., :entries]


class EvictingLayer(DynamicLayer):
    """Keys and values of one layer, swinging between `budget` and `budget + window` entries for each KV head.

    Towards transformers it is as long as the text: get_seq_length() counts all tokens seen, so that positions continue as if
    nothing had been evicted, and get_mask_sizes() says where the live entries stand. After each forward pass observe()
    must get the queries.
    """

    def __init__(self, budget, window, choose, protect_sinks=0, protect_prompt=False):
        """budget, window: tokens. choose: EvictionView -> [R, K, W] indices of the entries that go, below `budget`.

        protect_sinks: first tokens that never go; protect_prompt: nor those of the first forward pass, or, where a caller
        reads a prompt in parts, those that it set as `prompt`. At most budget - window entries are protected.
        """
        super().__init__()
        self.budget, self.window, self.choose = budget, window, choose
        self.protect_sinks, self.protect_prompt = protect_sinks, protect_prompt
        self._forget()

    def _forget(self):
        self.seen = 0  # tokens of the text so far
        self.live = 0  # entries whose attention was observed
        self.observed = 0  # tokens whose attention was observed
        self.prompt = 0  # tokens of the prompt
        self.positions = None  # [R, K, live] int64: place in the text
        self.window_attention = None  # [R, K, g, W, B + W] float32 of an incomplete window
        self.window_sum = self.cumulative = self.decayed = None  # [R, K, g, live] float32
        self.rotation = None  # of the newest observed token: EvictionView.rotation

    @classmethod
    def adopt(cls, layer, budget, window, choose, protect_sinks=0, protect_prompt=False):
        """An evicting layer with the keys and values of a DynamicLayer, none of them observed yet."""
        adopted = cls(budget, window, choose, protect_sinks, protect_prompt)
        adopted.update(layer.keys, layer.values)
        return adopted

    # What transformers calls ------------------------------------------------------------------------------------------

    def update(self, key_states, value_states, cache_kwargs=None):
        """Appends keys and values [R, K, T, d]; returns all live ones, [R, K, n + T, d]."""
        if self.seen != self.observed:
            raise ForesightError(
                f"eviction: {self.seen - self.observed} tokens of this cache went through the model outside "
                "`with press(model)`: their attention was not recorded; start with a new cache"
            )
        self.seen += key_states.shape[-2]
        return super().update(key_states, value_states, cache_kwargs)

    def get_seq_length(self):
        """Tokens of the text so far, evicted ones included."""
        return self.seen

    def get_mask_sizes(self, cache_position):
        """(entries during the next pass, position that the first of them counts as)."""
        entries = self.keys.shape[-2] if self.is_initialized else 0
        return entries + cache_position.shape[0], self.seen - entries

    def reset(self):
        """Back to an empty cache."""
        self.keys = self.values = None
        self.is_initialized = False
        self._forget()

    def crop(self, max_length):
        """Raises ForesightError where tokens would have to be taken back: what they evicted is gone."""
        wanted = max_length if max_length >= 0 else self.seen + max_length
        if wanted < self.seen:
            raise ForesightError(
                f"eviction: a cache of {self.seen} tokens cannot be cut back to {wanted}; generate without assisted or "
                "speculative decoding"
            )

    def reorder_cache(self, beam_idx):
        """Takes the rows beam_idx [R], for beam search."""
        self._rows(lambda tensor: tensor.index_select(0, beam_idx.to(tensor.device)))

    def batch_repeat_interleave(self, repeats):
        """Every row `repeats` times."""
        self._rows(lambda tensor: tensor.repeat_interleave(repeats, dim=0))

    def batch_select_indices(self, indices):
        """Only the rows `indices`."""
        self._rows(lambda tensor: tensor[indices, ...])

    def _rows(self, change):
        for name in ("keys", "values", "positions", "window_attention", "window_sum", "cumulative", "decayed"):
            if getattr(self, name) is not None:
                setattr(self, name, change(getattr(self, name)))

    # What the press calls ---------------------------------------------------------------------------------------------

    def room(self):
        """Tokens that fit before the current window is complete; the first `budget` tokens count as one window."""
        return self.budget - self.seen if self.seen < self.budget else self.budget + self.window - self.live

    def observe(self, queries, scaling, cap=None, sinks=None, rotation=None):
        """Takes in the attention of the newest T tokens, whose keys update() has appended, and evicts where a window ends.

        queries: [R, K, g, T, d] after RoPE; scaling, cap and sinks: see attention_probabilities(); rotation: cosine and sine, each
        [R or 1, T, r / 2] float32, by which RoPE turned the first r dimensions, where it did. Returns how many of the T tokens lay
        behind an eviction inside this pass: they attended to entries that were due to be gone. Raises ForesightError where T is
        not what update() appended.
        """
        tokens, pending = queries.shape[3], self.seen - self.observed
        if tokens != pending or self.keys.shape[2] != self.live + tokens:
            raise ForesightError(
                f"eviction: {tokens} queries for {pending} new tokens, {self.keys.shape[2]} entries where {self.live} + {tokens} "
                "were expected: the cache was changed by others; start with a new cache"
            )
        self.prompt = self.prompt or tokens
        new_keys, new_values = self.keys[:, :, self.live :], self.values[:, :, self.live :]
        self.keys, self.values = self.keys[:, :, : self.live], self.values[:, :, : self.live]
        late = first = 0
        while first < tokens:
            # The first `budget` tokens count as one window.
            end = self.budget if self.observed < self.budget else self.budget + self.window
            count = min(end - self.live, tokens - first)
            part = slice(first, first + count)
            softmax = scaling, cap, sinks
            self._take(queries[:, :, :, part], new_keys[:, :, part], new_values[:, :, part], softmax)
            first += count
            self.rotation = rotation and tuple(turned[:, first - 1] for turned in rotation)
            if self.live == end and self._close_window():
                late = late or tokens - first
        return late

    def _take(self, queries, keys, values, softmax):
        rows, heads, group, count, _ = queries.shape
        places = torch.arange(self.observed, self.observed + count, device=keys.device).expand(rows, heads, count)
        fresh = torch.zeros(rows, heads, group, count, device=keys.device)
        if self.positions is None:
            self.positions = places
            self.window_sum, self.cumulative, self.decayed = fresh, fresh, fresh
        else:
            self.positions = torch.cat([self.positions, places], dim=2)
            grown = (torch.cat([tensor, fresh], dim=3) for tensor in (self.window_sum, self.cumulative, self.decayed))
            self.window_sum, self.cumulative, self.decayed = grown
        self.keys, self.values = torch.cat([self.keys, keys], dim=2), torch.cat([self.values, values], dim=2)
        probabilities = attention_probabilities(queries, self.keys, *softmax)
        self.window_sum = self.window_sum + probabilities.sum(3)
        self.live, self.observed = self.live + count, self.observed + count
        if self.observed <= self.budget:
            return  # of the first window only the sums are needed
        if self.window_attention is None:
            self.window_attention = probabilities.new_zeros(rows, heads, group, self.window, self.budget + self.window)
        row = self.live - self.budget - count
        self.window_attention[..., row : row + count, : self.live] = probabilities

    def _close_window(self):
        """Adds the window's sums to the accumulators; evicts unless it was the first window. Returns whether it evicted."""
        self.cumulative = self.cumulative + self.window_sum
        self.decayed = DECAY_PER_WINDOW * self.decayed + self.window_sum
        if self.live > self.budget:
            self._evict()
        self.window_sum = torch.zeros_like(self.window_sum)
        evicted, self.window_attention = self.window_attention is not None, None
        return evicted

    def _evict(self):
        statistics = (self.window_attention, self.window_sum, self.cumulative, self.decayed)
        protected = self.protect_sinks if not self.protect_prompt else max(self.protect_sinks, self.prompt)
        protected = min(protected, self.budget - self.window)
        sizes = (self.budget, self.window, protected)
        evicted = self.choose(EvictionView(self.keys, self.values, self.positions, *statistics, *sizes, self.rotation))
        keep = torch.ones(self.positions.shape, dtype=torch.bool, device=self.keys.device).scatter(2, evicted, False)
        rows, heads, _ = keep.shape
        kept = keep.nonzero()[:, 2].view(rows, heads, self.budget)  # ascending within a head
        vectors = kept.unsqueeze(-1).expand(-1, -1, -1, self.keys.shape[3])
        self.keys, self.values = self.keys.gather(2, vectors), self.values.gather(2, vectors)
        self.positions = self.positions.gather(2, kept)
        by_group = kept.unsqueeze(2).expand(-1, -1, self.cumulative.shape[2], -1)
        gathered = (tensor.gather(3, by_group) for tensor in (self.window_sum, self.cumulative, self.decayed))
        self.window_sum, self.cumulative, self.decayed = gathered
        self.live = self.budget
