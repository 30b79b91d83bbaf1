"""What the plugin is told, and what it refuses."""

import functools
import importlib.metadata
import os
import re
from dataclasses import dataclass

from ..errors import ForesightError
from ..operators import STATISTICS
from ..scorer import Scorer

SCORER, BUDGET, WINDOW = "FORESIGHT_SCORER", "FORESIGHT_BUDGET", "FORESIGHT_WINDOW"
TESTED_VERSIONS = ("0.32.0",)


@dataclass(frozen=True)
class Settings:
    """scorer: a Scorer; budget, window: tokens."""

    scorer: Scorer
    budget: int
    window: int

    @property
    def entries(self):
        """The most entries of a request, layer and KV head."""
        return self.budget + self.window

    def group(self, head_size):
        """Query heads per KV head that the scorer was made for, at this head dimension."""
        return max((self.scorer.inputs - 2 * head_size) // STATISTICS, 1)


def _tokens(name, stored):
    text = os.environ.get(name) or str(stored)
    if not re.fullmatch(r"[0-9]{1,9}", text):
        raise ForesightError(f"{name}: expected a number of tokens, got '{text}'")
    if int(text) == 0:
        raise ForesightError(f"{name}: the scorer's file does not say it: set {name}, in tokens")
    return int(text)


@functools.lru_cache(maxsize=1)
def settings():
    """Of the environment; read once. Raises ForesightError for what cannot be used."""
    scorer = Scorer.load(os.environ[SCORER])
    found = Settings(scorer, _tokens(BUDGET, scorer.facts.budget), _tokens(WINDOW, scorer.facts.window))
    if found.budget % found.window:
        raise ForesightError(f"{BUDGET}: budget {found.budget} must be a multiple of window {found.window}")
    return found


def check_version(version=None):
    """Raises ForesightError for a vLLM that the plugin was not tested with."""
    found = version or _installed_version()
    if found.split("+")[0] not in TESTED_VERSIONS:
        raise ForesightError(
            f"foresight_kv.vllm: vLLM {found} is installed, tested with {', '.join(TESTED_VERSIONS)}: install that one, or "
            f"unset {SCORER}"
        )


def _installed_version():
    import vllm

    return vllm.__version__ or importlib.metadata.version("vllm")


def check_engine(config):
    """Raises ForesightError where the engine's settings (a VllmConfig) do not go with eviction."""
    model, cache, parallel = config.model_config, config.cache_config, config.parallel_config
    refused = (
        (cache.enable_prefix_caching, "prefix caching (blocks are rewritten in place)", "--no-enable-prefix-caching"),
        (config.speculative_config, "speculative decoding (evictions cannot be taken back)", "no --speculative-config"),
        (parallel.pipeline_parallel_size > 1, "pipeline parallelism", "--pipeline-parallel-size 1"),
        (parallel.decode_context_parallel_size > 1, "context parallelism", "--decode-context-parallel-size 1"),
        (cache.cache_dtype.startswith("fp8"), f"a KV cache of {cache.cache_dtype}", "--kv-cache-dtype auto"),
        (config.kv_transfer_config, "transfer of KV caches between engines", "no --kv-transfer-config"),
        (model.is_hybrid or model.is_encoder_decoder, "layers other than decoder attention", "another model"),
    )
    for found, what, instead in refused:
        if found:
            raise ForesightError(
                f"foresight_kv.vllm: {what} is not supported under eviction: use {instead}, or unset {SCORER}"
            )
    facts = settings().scorer.facts
    if facts.protect_sinks or facts.protect_prompt:
        raise ForesightError(
            f"foresight_kv.vllm: {settings().scorer.path} was trained with protected entries (eviction.protect_sinks or "
            "protect_prompt), which the plugin does not protect: use a scorer trained without, or the press for transformers"
        )
    heads = model.get_total_num_kv_heads()
    group = model.model_arch_config.total_num_attention_heads // heads
    settings().scorer.check_model(model.get_total_num_hidden_layers(), heads, model.get_head_size(), group)


def check_layer(sliding_window, alibi_slopes, logits_soft_cap, attn_type, shared, sinks, kv_cache_dtype):
    """Raises ForesightError for an attention layer whose softmax or cache is not the plain one."""
    refused = {
        "a sliding window": sliding_window is not None,
        "ALiBi": alibi_slopes is not None,
        "a soft cap of the logits": bool(logits_soft_cap),
        f"{attn_type} attention": attn_type != "decoder",
        "a KV cache shared with another layer": shared is not None,
        "attention sinks as parameters": sinks is not None,
        f"a KV cache of {kv_cache_dtype}": kv_cache_dtype not in ("auto", "float32", "float16", "bfloat16"),
    }
    for what, found in refused.items():
        if found:
            raise ForesightError(
                f"foresight_kv.vllm: a layer with {what} cannot be managed: use another model, or unset {SCORER}"
            )
