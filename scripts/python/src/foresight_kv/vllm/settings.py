"""What the plugin is told, and what it refuses."""

import functools
import importlib.metadata
import os
import re
from dataclasses import dataclass
from pathlib import Path

from ..errors import ForesightError, one_line
from ..model_files import model_fingerprint
from ..operators import STATISTICS
from ..scorer import Scorer
from ..scorer_file import WITH_CONTEXT

SCORER, BUDGET, WINDOW, ANY_MODEL = "FORESIGHT_SCORER", "FORESIGHT_BUDGET", "FORESIGHT_WINDOW", "FORESIGHT_ANY_MODEL"
SECTION = "foresight"  # of --additional-config
KEYS = {"scorer": SCORER, "budget": BUDGET, "window": WINDOW, "any_model": ANY_MODEL}
TESTED_VERSIONS = ("0.32.0",)
_engines = []  # the section of --additional-config of this process's engine, once there is one


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

    @property
    def serving(self):
        """Whether the scorer is one on serving features, for which nothing is kept with an entry."""
        return self.scorer.facts.features == "serving"

    def group(self, head_size):
        """Query heads per KV head that the scorer was made for, at this head dimension."""
        return max((self.scorer.inputs - 2 * head_size) // STATISTICS, 1)


def section_of(config):
    """What --additional-config says of the plugin: a dict, empty without. config: a VllmConfig or None.

    Raises ForesightError for what is no object, and for keys that the plugin does not know.
    """
    given = getattr(config, "additional_config", None)
    told = given.get(SECTION) if isinstance(given, dict) else None
    if told is None:
        return {}
    if not isinstance(told, dict):
        raise ForesightError(f"--additional-config: {SECTION}: expected an object like {{\"scorer\": FILE}}, got {one_line(told)}")
    unknown = next((key for key in told if key not in KEYS), None)
    if unknown is not None:
        raise ForesightError(f"--additional-config: {SECTION}: there is no key '{one_line(unknown)}'; known are {', '.join(KEYS)}")
    return told


def configure(config):
    """Takes an engine's --additional-config (of a VllmConfig) over. Raises ForesightError where this process has another one."""
    told = section_of(config)
    if _engines and _engines[0] != told:
        raise ForesightError(
            f"foresight_kv.vllm: this process has an engine with other settings of the plugin ({one_line(_engines[0])}); start "
            "one process for each"
        )
    if not _engines:
        _engines.append(told)
        settings.cache_clear()


def _given(key):
    """(what messages call it, value or None): --additional-config counts before the environment."""
    told = _engines[0] if _engines else {}
    if told.get(key) is not None:
        return f"--additional-config: {SECTION}.{key}", told[key]
    return KEYS[key], os.environ.get(KEYS[key]) or None


def _tokens(key, stored):
    name, value = _given(key)
    text = str(stored if value is None else value)
    if not re.fullmatch(r"[0-9]{1,9}", text):
        raise ForesightError(f"{name}: expected a number of tokens, got '{one_line(text)}'")
    if int(text) == 0:
        raise ForesightError(f"{name}: the scorer's file does not say it: set {name}, in tokens")
    return int(text)


@functools.lru_cache(maxsize=1)
def settings():
    """What the plugin goes by; read once. Raises ForesightError for what cannot be used."""
    name, file = _given("scorer")
    if not isinstance(file, str):
        raise ForesightError(f"{name}: expected the path of a scorer's file, got {one_line(file)}")
    scorer = Scorer.load(file)
    found = Settings(scorer, _tokens("budget", scorer.facts.budget), _tokens("window", scorer.facts.window))
    if found.budget % found.window:
        raise ForesightError(f"{_given('budget')[0]}: budget {found.budget} must be a multiple of window {found.window}")
    return found


def check_model_files(folder):
    """Raises ForesightError where the scorer was trained for a model of other files than those of the served model's folder.

    A scorer that does not say for which one, and a model that is not a folder here, are let through.
    """
    scorer = settings().scorer
    expected = scorer.facts.model_fingerprint
    if not expected or _given("any_model")[1] not in (None, False, "0") or not Path(folder).is_dir():
        return
    found = model_fingerprint(str(folder))
    if found != expected:
        raise ForesightError(
            f"foresight_kv.vllm: {scorer.path} was trained for another model than {folder}: for files of the fingerprint "
            f"{one_line(expected, 16)}, these have {one_line(found, 16)}; serve the model that it was trained with, or set "
            f"{ANY_MODEL}=1 where both are one model in other files"
        )


def check_version(version=None):
    """Raises ForesightError for a vLLM that the plugin was not tested with."""
    found = version or _installed_version()
    if found.split("+")[0] not in TESTED_VERSIONS:
        raise ForesightError(
            f"foresight_kv.vllm: vLLM {found} is installed, tested with {', '.join(TESTED_VERSIONS)}: install that one, or "
            "serve without a scorer"
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
                f"foresight_kv.vllm: {what} is not supported under eviction: use {instead}, or serve without a scorer"
            )
    facts = settings().scorer.facts
    if facts.features in WITH_CONTEXT:
        raise ForesightError(
            f"foresight_kv.vllm: {settings().scorer.path} is on {facts.features} features, for which the plugin's cache would have "
            "to know the age of its entries: use a scorer trained with scorer.features=serving, or normalized"
        )
    if facts.protect_sinks or facts.protect_prompt:
        raise ForesightError(
            f"foresight_kv.vllm: {settings().scorer.path} was trained with protected entries (eviction.protect_sinks or "
            "protect_prompt), which the plugin does not protect: use a scorer trained without, or the press for transformers"
        )
    heads = model.get_total_num_kv_heads()
    group = model.model_arch_config.total_num_attention_heads // heads
    settings().scorer.check_model(model.get_total_num_hidden_layers(), heads, model.get_head_size(), group)
    check_model_files(model.model)


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
                f"foresight_kv.vllm: a layer with {what} cannot be managed: use another model, or serve without a scorer"
            )
