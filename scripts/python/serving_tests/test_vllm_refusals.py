"""What the plugin refuses, each by its name, and what vLLM without it is left alone with."""

import dataclasses
import os
import subprocess
import sys

import pytest
from conftest import environment

from foresight_kv import ForesightError
from foresight_kv.model_files import model_fingerprint
from foresight_kv.vllm import settings


@pytest.fixture
def plugin(scorers, monkeypatch):
    """plugin(name of the scorer, budget, window): as if vLLM had been started with these."""

    def start(name="small", budget="128", window="32"):
        monkeypatch.setenv(settings.SCORER, str(scorers[name]))
        monkeypatch.setenv(settings.BUDGET, budget)
        monkeypatch.setenv(settings.WINDOW, window)
        settings.settings.cache_clear()

    start()
    yield start
    settings.settings.cache_clear()
    settings._engines.clear()


@pytest.fixture
def config_of(small_model):
    def make(**options):
        from vllm.engine.arg_utils import EngineArgs

        defaults = {"model": str(small_model), "dtype": "float32", "enable_prefix_caching": False, "skip_tokenizer_init": True}
        return EngineArgs(**defaults | {"max_model_len": 1024} | options).create_engine_config()

    return make


def test_what_goes_is_let_through(plugin, config_of):
    settings.check_engine(config_of())


@pytest.mark.parametrize("protected", [{"protect_sinks": 4}, {"protect_prompt": True}])
def test_a_scorer_that_was_trained_with_protected_entries_is_refused(protected, plugin, config_of):
    scorer = settings.settings().scorer
    scorer.facts = dataclasses.replace(scorer.facts, **protected)
    with pytest.raises(ForesightError, match="was trained with protected entries"):
        settings.check_engine(config_of())


def test_a_scorer_on_the_age_of_entries_is_refused(plugin, config_of):
    scorer = settings.settings().scorer
    scorer.facts = dataclasses.replace(scorer.facts, features="extended")
    with pytest.raises(ForesightError, match="is on extended features"):
        settings.check_engine(config_of())


REFUSED = {
    "prefix caching .* is not supported under eviction: use --no-enable-prefix-caching": {"enable_prefix_caching": True},
    "speculative decoding .*: use no --speculative-config": {
        "speculative_config": {"method": "ngram", "num_speculative_tokens": 2, "prompt_lookup_max": 3}
    },
    "a KV cache of fp8_e5m2 is not supported under eviction: use --kv-cache-dtype auto": {"kv_cache_dtype": "fp8_e5m2"},
}


@pytest.mark.parametrize("message", REFUSED)
def test_settings_of_the_engine_are_refused_by_name(message, plugin, config_of):
    with pytest.raises(ForesightError, match=message):
        settings.check_engine(config_of(**REFUSED[message]))


@pytest.mark.parametrize(
    ("part", "name", "value", "message"),
    [
        ("parallel_config", "pipeline_parallel_size", 2, "pipeline parallelism is not supported under eviction"),
        ("parallel_config", "decode_context_parallel_size", 2, "context parallelism is not supported under eviction"),
        (None, "kv_transfer_config", object(), "transfer of KV caches between engines is not supported"),
    ],
)
def test_what_needs_several_processes_is_refused_by_name(part, name, value, message, plugin, config_of):
    config = config_of()
    object.__setattr__(getattr(config, part) if part else config, name, value)
    with pytest.raises(ForesightError, match=message):
        settings.check_engine(config)


def test_a_scorer_of_another_model_is_refused(plugin, config_of):
    plugin("smollm2")
    with pytest.raises(ForesightError, match="30 layers, 3 KV heads and 152 inputs, this model needs 2, 2 and 80"):
        settings.check_engine(config_of())


def plain_layer(**changed):
    layer = {
        "sliding_window": None, "alibi_slopes": None, "logits_soft_cap": None, "attn_type": "decoder", "shared": None, "sinks": None,
        "kv_cache_dtype": "auto",
    }  # fmt: skip
    return layer | changed


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sliding_window": 128}, "a sliding window"),
        ({"alibi_slopes": [1.0]}, "ALiBi"),
        ({"logits_soft_cap": 30.0}, "a soft cap of the logits"),
        ({"attn_type": "encoder_only"}, "encoder_only attention"),
        ({"shared": "model.layers.0"}, "a KV cache shared with another layer"),
        ({"sinks": object()}, "attention sinks"),
        ({"kv_cache_dtype": "fp8"}, "a KV cache of fp8"),
    ],
)
def test_layers_it_cannot_manage_are_refused_by_name(change, message):
    settings.check_layer(**plain_layer())
    with pytest.raises(ForesightError, match=f"a layer with {message}.* cannot be managed"):
        settings.check_layer(**plain_layer(**change))


def test_untested_versions_are_refused():
    settings.check_version("0.32.0+cpu")
    with pytest.raises(ForesightError, match="vLLM 0.33.1 is installed, tested with 0.32.0"):
        settings.check_version("0.33.1")


@pytest.mark.parametrize(
    ("budget", "window", "message"),
    [("100", "32", "budget 100 must be a multiple of window 32"), ("many", "32", "FORESIGHT_BUDGET: expected a number of tokens")],
)
def test_impossible_sizes_are_refused(budget, window, message, plugin):
    plugin("small", budget, window)
    with pytest.raises(ForesightError, match=message):
        settings.settings()


def test_the_files_own_sizes_are_taken(plugin, monkeypatch):
    monkeypatch.delenv(settings.BUDGET)
    monkeypatch.delenv(settings.WINDOW)
    settings.settings.cache_clear()
    assert (settings.settings().budget, settings.settings().window, settings.settings().entries) == (128, 32, 160)


def told(scorer, **more):
    """What --additional-config holds."""
    return {"foresight": {"scorer": str(scorer), **more}}


@pytest.mark.parametrize("by", ["nothing", "environment", "configuration"])
def test_a_scorer_alone_turns_it_on(by, scorers, small_model):
    additional = told(scorers["small"]) if by == "configuration" else {}
    script = (
        "from vllm.config import set_current_vllm_config\n"
        "from vllm.engine.arg_utils import EngineArgs\n"
        "from vllm.v1.attention.backends.registry import AttentionBackendEnum\n"
        f"args = EngineArgs(model={str(small_model)!r}, skip_tokenizer_init=True, additional_config={additional!r})\n"
        "with set_current_vllm_config(args.create_engine_config()):\n"
        "    print('chosen', AttentionBackendEnum.CPU_ATTN.get_class().__name__)\n"
    )
    own = environment(scorers["small"], (128, 32) if by == "environment" else None)
    done = subprocess.run([sys.executable, "-c", script], env=os.environ | own, capture_output=True, text=True, check=True)
    assert f"chosen {'CPUAttentionBackend' if by == 'nothing' else 'ForesightBackend'}" in done.stdout


def test_the_configuration_counts_before_the_environment(plugin, scorers, config_of):
    plugin("smollm2", "64", "16")
    settings.configure(config_of(additional_config=told(scorers["small"], budget=96)))
    found = settings.settings()
    assert (found.scorer.path, found.budget, found.window) == (scorers["small"], 96, 16)
    settings.configure(config_of(additional_config=told(scorers["small"], budget=96)))
    with pytest.raises(ForesightError, match="this process has an engine with other settings of the plugin"):
        settings.configure(config_of(additional_config=told(scorers["small"], budget=64)))


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ("file", "--additional-config: foresight: expected an object like"),
        ({"scorer": "x", "budge": 3}, "--additional-config: foresight: there is no key 'budge'; known are scorer, budget, window"),
        ({"scorer": 3}, "--additional-config: foresight.scorer: expected the path of a scorer's file, got 3"),
        ({"budget": 1.5}, "--additional-config: foresight.budget: expected a number of tokens, got '1.5'"),
        ({"budget": 100}, "--additional-config: foresight.budget: budget 100 must be a multiple of window 32"),
    ],
)
def test_a_configuration_that_cannot_be_used_is_named(section, message, plugin, config_of):
    with pytest.raises(ForesightError) as caught:
        settings.configure(config_of(additional_config={"foresight": section}))
        settings.settings()
    assert message in str(caught.value)


def test_a_configuration_without_a_scorer_is_named(plugin, config_of, monkeypatch):
    monkeypatch.delenv(settings.SCORER)
    settings.configure(config_of(additional_config={"foresight": {"budget": 64}}))
    with pytest.raises(ForesightError, match="FORESIGHT_SCORER: expected the path of a scorer's file, got None"):
        settings.settings()


def test_a_scorer_of_a_model_of_the_same_shape_is_refused(plugin, config_of, small_model, monkeypatch):
    scorer = settings.settings().scorer
    scorer.facts = dataclasses.replace(scorer.facts, model_fingerprint="0123456789abcdef" * 4)
    found = model_fingerprint(str(small_model))
    with pytest.raises(ForesightError) as caught:
        settings.check_engine(config_of())
    said = str(caught.value)
    assert f"{scorer.path} was trained for another model than {small_model}: " in said and found[:13] in said and "0123456789abc" in said
    monkeypatch.setenv(settings.ANY_MODEL, "1")
    settings.check_engine(config_of())
    monkeypatch.setenv(settings.ANY_MODEL, "0")
    scorer.facts = dataclasses.replace(scorer.facts, model_fingerprint=found)
    settings.check_engine(config_of())


def test_a_refusal_ends_the_start_of_the_engine(engine):
    said = engine("small", [[5]], 1, plugin=(128, 32), expect=1, kv_cache_dtype="fp8")
    assert "foresight_kv.vllm: a KV cache of fp8 is not supported under eviction: use --kv-cache-dtype auto" in said
