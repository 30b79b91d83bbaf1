"""A press for kvpress that evicts by a scorer trained with Foresight, while the prompt is read and while text is generated."""

import logging

import torch
from kvpress.presses.base_press import BasePress
from kvpress.presses.prefill_decoding_press import PrefillDecodingPress
from kvpress.utils import get_prerope_query_states
from transformers.cache_utils import DynamicLayer
from transformers.models.gemma3.modeling_gemma3 import Gemma3Attention
from transformers.models.gpt_oss.modeling_gpt_oss import GptOssAttention
from transformers.models.llama.modeling_llama import rotate_half
from transformers.models.qwen3.modeling_qwen3 import Qwen3Attention

from .errors import ForesightError
from .evicting_layer import EvictingLayer
from .model_layers import evicting_layers
from .scorer import Scorer

logger = logging.getLogger(__name__)


class ForesightPress(PrefillDecodingPress):
    """Keeps `budget` entries for each layer and KV head, evicting `window` of them whenever budget + window are live.

    It is a PrefillDecodingPress as kvpress's text generation pipeline keeps only such a press active for both phases. What
    is known of a cache lies in the cache itself: one press serves any number of caches, one after the other or in turn.

    A forward pass of several tokens attends to all entries that were live when it began. Prompts of up to budget + window
    tokens can be read in one pass; longer ones through foresight_kv.generate() or prefill(). A pass that continues after the
    end of a window still ends with a cache of the right size, and is warned about.
    """

    def __init__(self, scorer, budget=None, window=None):
        """scorer: path of a scorer's .safetensors file, or a Scorer. budget, window: tokens; default: what the file says.

        Raises ForesightError for a file that cannot be used, a missing or impossible budget or window.
        """
        super().__init__()
        self.scorer = scorer if isinstance(scorer, Scorer) else Scorer.load(scorer)
        facts = self.scorer.facts
        self.budget = self._size("budget", budget, facts.budget)
        self.window = self._size("window", window, facts.window)
        if self.budget % self.window != 0:
            raise ForesightError(
                f"press: budget {self.budget} must be a multiple of window {self.window}: choose "
                f"{max(1, self.budget // self.window) * self.window}, for example"
            )
        if facts.window and facts.window != self.window:
            logger.warning("%s: trained with window %d, used with %d", self.scorer.path, facts.window, self.window)
        self.prompt = None  # tokens of the prompts to come, where they are read in parts (generation.prefill sets it)
        self._warned = False

    def _size(self, name, given, stored):
        value = given if given is not None else stored
        if not value:
            raise ForesightError(f"press: {self.scorer.path} does not say its {name}: give {name}=, in tokens")
        if value < 1:
            raise ForesightError(f"press: {name} must be at least 1 token, got {value}")
        return value

    def __repr__(self):
        return f"ForesightPress({str(self.scorer.path)!r}, budget={self.budget}, window={self.window})"

    def post_init_from_model(self, model):
        """Raises ForesightError unless the scorer fits the model's shape."""
        config = model.config.get_text_config(decoder=True)
        width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        group = config.num_attention_heads // config.num_key_value_heads
        self.scorer.check_model(evicting_layers(config), config.num_key_value_heads, width, group)

    def compress(self, module, hidden_states, keys, values, attentions, kwargs):
        """Not to be called: entries are evicted by the layers of the cache, which know the windows before."""
        raise NotImplementedError("ForesightPress evicts in forward_hook(); it cannot be wrapped in another press")

    @torch.no_grad()
    def forward_hook(self, module, input, kwargs, output):  # noqa: A002 (kvpress's signature)
        """Called by kvpress behind each attention layer. Raises ForesightError for caches and masks it cannot work with."""
        hidden = kwargs["hidden_states"]
        rows, tokens, _ = hidden.shape
        if module.layer_idx not in self.scorer.layer_numbers:
            return output  # this layer keeps its window
        layer = self._layer(kwargs["past_key_values"], module.layer_idx, tokens)
        _refuse_padding(kwargs.get("attention_mask"), layer.keys.shape[2])
        if module.layer_idx == self.scorer.layer_numbers[0]:
            _require_positions(kwargs.get("position_ids"), layer.seen - tokens, tokens)
        queries = _attending(module, hidden, kwargs["position_embeddings"])
        heads = layer.keys.shape[1]
        late = layer.observe(
            queries.reshape(rows, heads, -1, tokens, queries.shape[3]),
            module.scaling,
            getattr(module, "attn_logit_softcapping", None),
            getattr(module, "sinks", None),
            _rotation(module, *kwargs["position_embeddings"]),
        )
        if late and not self._warned:
            self._warned = True
            logger.warning(
                "a pass of %d tokens went on for %d tokens behind an eviction (budget %d, window %d): they attended to entries "
                "that were due to be gone. For the evictions of training, read the prompt by foresight_kv.generate()",
                tokens, late, self.budget, self.window,
            )  # fmt: skip
        return output

    def __call__(self, model):
        """`with press(model):` evicts in all caches that the model fills inside the block."""
        return BasePress.__call__(self, model)

    def _layer(self, cache, index, tokens):
        """The cache's layer as an EvictingLayer; a new cache's plain layer is replaced by one."""
        if cache is None:
            raise ForesightError("press: the model ran without a cache: call it with use_cache=True")
        layer = cache.layers[index]
        if isinstance(layer, EvictingLayer):
            if (layer.budget, layer.window) != (self.budget, self.window):
                raise ForesightError(
                    f"press: this cache was begun with budget {layer.budget} and window {layer.window}, the press has "
                    f"{self.budget} and {self.window}: start with a new cache"
                )
            return layer
        if type(layer) is not DynamicLayer or getattr(cache, "offloading", False):
            kind = f"{type(cache).__name__} of {type(layer).__name__}"
            raise ForesightError(
                f"press: cannot evict from a {kind} in layer {index}: use a DynamicCache without offloading; for layers of two "
                "kinds foresight_kv.generate() makes the one that fits"
            )
        if layer.keys.shape[2] != tokens:
            raise ForesightError(
                f"press: this cache held {layer.keys.shape[2] - tokens} tokens before the press saw it, whose attention was not "
                "recorded: start with a new cache inside `with press(model)`"
            )
        cache.layers[index] = EvictingLayer.adopt(
            layer,
            self.budget,
            self.window,
            lambda view: self.scorer.choose(index, view),
            self.scorer.facts.protect_sinks,
            self.scorer.facts.protect_prompt,
        )
        if self.prompt is not None:
            cache.layers[index].prompt = self.prompt
        return cache.layers[index]


def _refuse_padding(mask, entries):
    """The newest token sees every entry of its row, unless rows were padded. mask: None, [R, n] or [R, 1, T, n]."""
    if mask is None or not isinstance(mask, torch.Tensor):
        return
    last = mask[..., -1, :entries] if mask.dim() == 4 else mask[..., -entries:]
    visible = last if last.dtype == torch.bool or mask.dim() == 2 else last == 0
    if not visible.bool().all():
        raise ForesightError("press: rows padded to one length are not supported: generate for each prompt by itself")


def _require_positions(positions, first, tokens):
    """position_ids [R or 1, T] or None must count on from the text: transformers 5.2.0 does not with prefill_chunk_size."""
    if positions is None:
        return
    if not torch.equal(positions.cpu(), torch.arange(first, first + tokens).expand(positions.shape)):
        raise ForesightError(
            f"press: the position of the pass's first token is {positions.flatten()[0].item()}, its text continues at {first}; "
            "leave out position_ids of your own and prefill_chunk_size, whose positions transformers 5.2.0 gets wrong"
        )


def _queries(module, hidden):
    """An attention layer's queries [R, H, T, d] before rotation, normed where the layer norms them: by head or all at once."""
    return _normed(module, get_prerope_query_states(module, hidden), "q_norm")


def _normed(module, states, name):
    """Queries or keys [R, heads, T, d] after the layer's norm of this name, if it has one."""
    norm = getattr(module, name, None)
    if norm is None or isinstance(module, (Qwen3Attention, Gemma3Attention)):  # kvpress 0.5.5 norms these two classes' alone
        return states
    rows, heads, tokens, width = states.shape
    if tuple(norm.weight.shape) == (heads * width,) and heads > 1:  # OLMo-2
        return norm(states.transpose(1, 2).reshape(rows, tokens, heads * width)).view(rows, tokens, heads, width).transpose(1, 2)
    if tuple(norm.weight.shape) != (width,):
        raise ForesightError(
            f"press: {type(module).__name__} norms its queries over {tuple(norm.weight.shape)} numbers, not over a head's "
            f"{width} or all heads': models with such norms are not supported"
        )
    return norm(states)


def _attending(module, hidden, position_embeddings):
    """The queries [R, H, T, d] that attend: rotated, but in layers that have no rotation (SmolLM3)."""
    queries = _queries(module, hidden)
    if not getattr(module, "use_rope", True):
        return queries
    return _rotated(queries, *position_embeddings, halves=isinstance(module, GptOssAttention))


def _rotation(module, cosine, sine):
    """Cosine and sine [R or 1, T, r / 2] float32 of the tokens' rotation, or None in layers that have none.

    Of the model's [R or 1, T, r], whose halves are alike, or of gpt-oss' [R or 1, T, r / 2]; some models multiply both by a factor
    for attention, which is no part of the rotation.
    """
    if not getattr(module, "use_rope", True):
        return None
    half = cosine.shape[-1] if isinstance(module, GptOssAttention) else cosine.shape[-1] // 2
    cosine, sine = cosine[..., :half].float(), sine[..., :half].float()
    length = torch.hypot(cosine, sine)
    return cosine / length, sine / length


def _rotated(queries, cosine, sine, halves=False):
    """Queries [R, H, T, d] with RoPE; cosine and sine [R or 1, T, r], r <= d rotated dimensions, or r / 2 with halves."""
    if halves:
        cosine, sine = torch.cat([cosine, cosine], dim=-1), torch.cat([sine, sine], dim=-1)
    cosine, sine = cosine.unsqueeze(1), sine.unsqueeze(1)
    rotated, rest = queries[..., : cosine.shape[-1]], queries[..., cosine.shape[-1] :]
    rotated = rotated * cosine + rotate_half(rotated) * sine
    return torch.cat([rotated, rest], dim=-1) if rest.shape[-1] else rotated
