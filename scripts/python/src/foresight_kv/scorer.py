"""The scorer: a small network per layer and KV head that ranks cache entries for eviction (high = evict).

Symbols: R rows, K KV heads, g query heads per KV head, d head dimension, B budget, W window, N = B + W live entries,
F = 2d + S inputs, S as scorer_file.statistics_of().
"""

from dataclasses import dataclass
from pathlib import Path

import torch

from .errors import ForesightError
from .scorer_file import FEATURES, SERVING_QUERIES, WITH_CONTEXT, ScorerFacts, StoredScorer, read_scorer, statistics_of


@dataclass
class EvictionView:
    """What a scorer sees of one layer when a window is complete. Entries 0 .. budget-1, in order of age, are candidates."""

    keys: torch.Tensor  # [R, K, N, d] after RoPE
    values: torch.Tensor  # [R, K, N, d]
    positions: torch.Tensor  # [R, K, N] int64, ascending; the last is that of the newest token
    window_attention: torch.Tensor  # [R, K, g, W, N] float32: softmax of the window's queries over the live entries
    window_sum: torch.Tensor  # [R, K, g, N]: sum over the window's queries
    cumulative: torch.Tensor  # [R, K, g, N]: sum since the entry was cached, this window included
    decayed: torch.Tensor  # [R, K, g, N]: the same, decayed by 0.9 per window
    budget: int
    window: int
    protected: int = 0  # so many first candidates may not go
    rotation: tuple | None = None  # cosine and sine [R or 1, r / 2] float32 by which RoPE turned the newest token; None: not turned


def candidate_features(view, kind):
    """The scorer's inputs for every candidate, [R, K, B, F] float32.

    Key, value, then for the g query heads in order each of: maximum, minimum and sum over the window's queries, sums over
    its last 16, 8 and 32 queries, cumulative sum, decayed cumulative sum. kind "normalized": log1p(100 x) of these
    statistics. kind "extended": these, then context_statistics(). kind "relative": the same with relative_keys(). kind
    "released": raw, and the three partial sums repeat the whole sum, as the authors' scorers were trained. kind "serving": see
    serving_statistics(). Raises ForesightError for another kind.
    """
    if kind not in FEATURES:
        raise ForesightError(f"scorer features: expected {', '.join(FEATURES)}, got '{kind}'")
    attention = view.window_attention[..., : view.budget]
    keys = relative_keys(view) if kind == "relative" else view.keys[:, :, : view.budget].float()
    entries = (keys, view.values[:, :, : view.budget].float())
    if kind == "serving":
        return torch.cat([*entries, serving_statistics(attention[..., -SERVING_QUERIES:, :]).transpose(2, 3)], dim=-1)
    total = view.window_sum[..., : view.budget]
    partial = [total] * 3
    if kind != "released":
        partial = [attention[..., max(0, view.window - last) :, :].sum(-2) for last in (16, 8, 32)]
    accumulated = (view.cumulative[..., : view.budget], view.decayed[..., : view.budget])
    statistics = torch.cat([attention.amax(-2), attention.amin(-2), total, *partial, *accumulated], dim=2)  # [R, K, 8g, B]
    statistics = statistics.transpose(2, 3)
    if kind != "released":
        statistics = torch.log1p(statistics * 100.0)
    if kind in WITH_CONTEXT:
        statistics = torch.cat([statistics, context_statistics(view).transpose(2, 3)], dim=-1)
    return torch.cat([*entries, statistics], dim=-1)


def relative_keys(view):
    """Keys [R, K, B, d] float32 of the candidates as the newest token sees them: turned back by its own rotation."""
    keys = view.keys[:, :, : view.budget].float()
    if view.rotation is None:
        return keys
    cosine, sine = (part.float()[:, None, None] for part in view.rotation)
    half = cosine.shape[-1]
    first, second, rest = keys[..., :half], keys[..., half : 2 * half], keys[..., 2 * half :]
    return torch.cat([first * cosine + second * sine, second * cosine - first * sine, rest], dim=-1)


def context_statistics(view):
    """What extended features add, [R, K, 3g + 3, B]: attention where it is next to none and what a candidate is among the others.

    For the g query heads log1p(1e6 x) of the window's maximum, of the sum of its last 8 queries, and of the cumulative sum over
    the candidate's age in tokens; then the logarithm of the age, the largest cosine of its key with that of a newer entry, and
    log1p(100 x) of the largest sum, mean over the group, of the seven candidates around it.
    """
    attention = view.window_attention[..., : view.budget]
    age = (view.positions[..., -1:] + 1 - view.positions[..., : view.budget]).float().unsqueeze(2)
    parts = (attention.amax(-2), attention[..., max(0, view.window - 8) :, :].sum(-2), view.cumulative[..., : view.budget] / age)
    keys = torch.nn.functional.normalize(view.keys.float(), dim=-1, eps=1e-6)
    cosines = keys[:, :, : view.budget] @ keys.transpose(2, 3)
    older = torch.ones(cosines.shape[2:], dtype=torch.bool, device=cosines.device).tril()
    likeness = cosines.masked_fill(older, -1.0).amax(-1).unsqueeze(2)
    sums = view.window_sum[..., : view.budget].mean(2)
    around = torch.nn.functional.max_pool1d(sums, 7, stride=1, padding=3).unsqueeze(2)
    fine = [torch.log1p(part * 1e6) for part in parts]
    return torch.cat([*fine, age.log(), likeness, torch.log1p(around * 100.0)], dim=2)


def serving_statistics(attention):
    """What serving features say of attention, [R, K, 8g, N] of the last min(8, W) queries' [R, K, g, q, N], oldest first.

    For the g query heads in order each of: log1p(100 x) of maximum, sum, and sums over the last 4, 2 and 1 queries, then
    maximum, mean and minimum of log1p(1e6 x).
    """
    sums = [attention[..., -last:, :].sum(-2) for last in (SERVING_QUERIES, 4, 2, 1)]
    coarse = torch.log1p(torch.cat([attention.amax(-2), *sums], dim=2) * 100.0)
    fine = torch.log1p(attention * 1e6)
    return torch.cat([coarse, fine.amax(-2), fine.mean(-2), fine.amin(-2)], dim=2)


class Scorer:
    """The scorers of all layers that evict, float32, for inference. A layer is called by the model's number."""

    def __init__(self, stored: StoredScorer):
        """From what read_scorer() returned."""
        self.path: Path = stored.path
        self.facts: ScorerFacts = stored.facts
        self.layers = len(stored.layers)
        self.layer_numbers = list(stored.numbers)  # the model's, of the layers that evict
        self.kv_heads, self.inputs, _ = stored.layers[0]["fc1.weight"].shape
        self._weights = {number: self._fold(stored, place) for place, number in enumerate(self.layer_numbers)}

    @classmethod
    def load(cls, path):
        """Reads a scorer file (see scorer_file.read_scorer for the formats and for what raises ForesightError)."""
        return cls(read_scorer(path))

    @staticmethod
    def _fold(stored, place):
        """(weight1 [K, F, 16], bias1 [K, 1, 16], weight2 [K, 16, 1], bias2 [K, 1, 1]), (x - mean) / deviation included.

        place: among the stored layers.
        """
        weights = stored.layers[place]
        weight, bias = weights["fc1.weight"], weights["fc1.bias"].unsqueeze(1)
        if stored.mean is not None:
            weight = weight / stored.deviation[place].unsqueeze(-1)
            bias = bias - torch.bmm(stored.mean[place].unsqueeze(1), weight)
        return weight, bias, weights["fc2.weight"], weights["fc2.bias"].unsqueeze(1)

    def folded(self, layer):
        """A layer's (weight1 [K, F, 16], bias1 [K, 1, 16], weight2 [K, 16, 1], bias2 [K, 1, 1]), normalisation included."""
        return self._weights[layer]

    def check_model(self, layers, kv_heads, head_dimension, group):
        """Raises ForesightError unless the scorer was made for a model of this shape.

        layers: the numbers of the layers that evict, or how many there are where all do; group: query heads per KV head.
        """
        numbers = list(range(layers)) if isinstance(layers, int) else list(layers)
        inputs = 2 * head_dimension + statistics_of(self.facts.features, group)
        if len(numbers) == self.layers and numbers != self.layer_numbers:
            raise ForesightError(
                f"{self.path}: the scorer is of layers {self.layer_numbers}, in this model layers {numbers} evict: the scorer "
                "belongs to another model"
            )
        expected, found = (len(numbers), kv_heads, inputs), (self.layers, self.kv_heads, self.inputs)
        if expected != found:
            raise ForesightError(
                f"{self.path}: the scorer has {found[0]} layers, {found[1]} KV heads and {found[2]} inputs, this model needs "
                f"{expected[0]}, {expected[1]} and {expected[2]}: the scorer belongs to another model"
            )

    def score(self, layer, features):
        """features [R, K, N, F] of a layer -> scores [R, K, N]. Raises ForesightError for features of another shape."""
        rows, heads, entries, inputs = features.shape
        if (heads, inputs) != (self.kv_heads, self.inputs):
            raise ForesightError(
                f"{self.path}: features of {heads} KV heads and {inputs} inputs, the scorer has {self.kv_heads} and {self.inputs}"
            )
        if self._weights[layer][0].device != features.device:
            self._weights[layer] = tuple(tensor.to(features.device) for tensor in self._weights[layer])
        weight1, bias1, weight2, bias2 = self._weights[layer]
        by_head = features.transpose(0, 1).reshape(heads, rows * entries, inputs)
        hidden = torch.nn.functional.gelu(torch.baddbmm(bias1, by_head, weight1))
        scores = torch.baddbmm(bias2, hidden, weight2)  # [K, R N, 1]
        return scores.view(heads, rows, entries).transpose(0, 1)

    def choose(self, layer, view):
        """The W candidates of highest score in every row and KV head, [R, K, W] indices, ties to the older entry.

        Protected candidates are left out: they are older than all others and stand first.
        """
        scores = self.score(layer, candidate_features(view, self.facts.features))
        scores[..., : view.protected] = float("-inf")
        return torch.sort(scores, dim=-1, descending=True, stable=True).indices[..., : view.window]
