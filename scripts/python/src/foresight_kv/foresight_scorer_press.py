# SPDX-License-Identifier: Apache-2.0
"""A press for kvpress without a state of its own, for scorers on serving features: what kvpress' other presses can wrap."""

import inspect
from dataclasses import dataclass, field

import torch
from kvpress.presses.scorer_press import ScorerPress
from kvpress.utils import get_prerope_key_states
from torch import nn

from foresight_kv.errors import ForesightError
from foresight_kv.evicting_layer import attention_probabilities
from foresight_kv.model_layers import evicting_layers
from foresight_kv.press import _attending, _normed, _rotated
from foresight_kv.scorer import Scorer, serving_statistics
from foresight_kv.scorer_file import SERVING_QUERIES


@dataclass
class ForesightScorerPress(ScorerPress):
    """
    Foresight: a trained scorer that predicts which entries future queries will not attend to.

    A small network for each layer and KV head sees an entry's key and value and the attention that the last queries (at most
    eight) pay to it. The scorer is trained with Foresight on serving features (scorer.features: serving); the newest
    entries, as many as a window has, are always kept. Nothing is remembered between two compressions, so that other presses
    can wrap it: DecodingPress (with compression_interval W and target_size B the evictions are those of training),
    AdaKVPress, ChunkPress, PerLayerCompressionPress.

    Based on ForesightKV (https://arxiv.org/abs/2602.03203).

    Parameters
    ----------
    compression_ratio : float, default=0.0
        Fraction of key-value pairs to remove during compression.
    scorer : str or Path or Scorer
        File that `foresight export` wrote, of a scorer on serving features.
    window_size : int, optional
        Number of newest entries that are always kept. Default: the window that the scorer was trained for.
    """

    compression_ratio: float = 0.0
    scorer: object = None
    window_size: int | None = None
    _rotary: object = field(default=None, init=False, repr=False, compare=False)

    def __post_init__(self):
        """Raises ForesightError for a file that cannot be used, and without a window."""
        super().__post_init__()
        if self.scorer is None:
            raise ForesightError("ForesightScorerPress: scorer is missing: give the path of a file that `foresight export` wrote")
        if not isinstance(self.scorer, Scorer):
            self.scorer = Scorer.load(self.scorer)
        facts = self.scorer.facts
        if facts.features != "serving":
            raise ForesightError(
                f"ForesightScorerPress: {self.scorer.path} is a scorer on {facts.features} features, which need the windows "
                "before: use ForesightPress, or train with scorer.features=serving"
            )
        if facts.protect_sinks or facts.protect_prompt:
            raise ForesightError(
                f"ForesightScorerPress: {self.scorer.path} was trained with protected entries, whose place a compressed cache "
                "does not tell: use ForesightPress, or a scorer trained without"
            )
        if self.window_size is None:
            self.window_size = facts.window
        if self.window_size < 1:
            raise ForesightError(f"ForesightScorerPress: window_size must be at least 1 token, got {self.window_size}")

    def post_init_from_model(self, model):
        """Raises ForesightError unless the scorer fits the model's shape."""
        config = model.config.get_text_config(decoder=True)
        width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        group = config.num_attention_heads // config.num_key_value_heads
        self.scorer.check_model(evicting_layers(config), config.num_key_value_heads, width, group)
        self._rotary = next((part for name, part in model.named_modules() if name.endswith("rotary_emb")), None)

    @torch.no_grad()
    def score(
        self,
        module: nn.Module,
        hidden_states: torch.Tensor,
        keys: torch.Tensor,
        values: torch.Tensor,
        attentions: torch.Tensor,
        kwargs,
    ) -> torch.Tensor:
        """Scores [R, K, n] of the entries, high = keep; hidden_states are those of the newest tokens among them."""
        if module.layer_idx not in self.scorer.layer_numbers:
            raise ForesightError(f"ForesightScorerPress: {self.scorer.path} has no scorer for layer {module.layer_idx}")
        rows, heads, entries, width = keys.shape
        count = min(SERVING_QUERIES, self.window_size, hidden_states.shape[1])
        rotation = self._rotation(module, hidden_states, keys, kwargs, count)
        queries = _attending(module, hidden_states[:, -count:], rotation)
        cap = getattr(module, "attn_logit_softcapping", None)
        attention = attention_probabilities(queries.reshape(rows, heads, -1, count, width), keys, module.scaling, cap)
        statistics = serving_statistics(attention).transpose(2, 3)
        scores = -self.scorer.score(module.layer_idx, torch.cat([keys.float(), values.float(), statistics], dim=-1))
        newest = min(self.window_size, entries)
        order = torch.arange(1, newest + 1, device=scores.device)  # where not even the window fits, its newest stay
        scores[..., entries - newest :] = scores.amax() + order
        return scores

    def _rotation(self, module, hidden_states, keys, kwargs, count):
        """(cosine, sine) [R or 1, count, r] of the newest tokens, whose hidden states may be more or fewer than the pass's."""
        cosine, sine = kwargs["position_embeddings"]
        tokens, known = hidden_states.shape[1], cosine.shape[1]
        if known == tokens or not getattr(module, "use_rope", True):
            return cosine[:, -count:], sine[:, -count:]
        if known < tokens:  # while decoding: tokens one after the other, the last of which is this pass's
            return self._rotation_of_steps(module, hidden_states, kwargs, count)
        last = _chunk_end(module, hidden_states, keys, cosine, sine)
        return cosine[:, last + 1 - count : last + 1], sine[:, last + 1 - count : last + 1]

    def _rotation_of_steps(self, module, hidden_states, kwargs, count):
        positions = kwargs.get("position_ids")
        if self._rotary is None or positions is None:
            raise ForesightError(
                "ForesightScorerPress: while decoding it needs the model's rotary embedding and position_ids: call the model "
                "inside `with press(model)`, of a model whose rotation is a module rotary_emb"
            )
        before = torch.arange(1 - count, 1, device=positions.device)
        kind = {}
        if "layer_type" in inspect.signature(self._rotary.forward).parameters:  # Gemma 3: full and sliding layers differ
            kind = {"layer_type": module.config.layer_types[module.layer_idx]}
        return self._rotary(hidden_states, positions[:, -1:] + before, **kind)


def _chunk_end(module, hidden_states, keys, cosine, sine):
    """The place in its pass of a chunk's last token: where rotation makes that token's key of its hidden state.

    ChunkPress hands over a chunk's hidden states and keys, and with them the rotation of all tokens of the pass.
    """
    before = _normed(module, get_prerope_key_states(module, hidden_states[:, -1:]), "k_norm")  # [R, K, 1, d]
    candidates = _rotated(before.float(), cosine.float(), sine.float())  # [R, K, tokens, d]
    off = (candidates - keys[:, :, -1:].float()).square().sum(dim=(0, 1, 3))
    return int(off.argmin())
