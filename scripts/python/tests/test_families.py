"""The press on tiny models of the families (tests/reference/families): its queries are those of the model."""

import pytest
import torch
from conftest import ROOT, load_model, write_random_scorer
from transformers import AttentionInterface, AutoModelForCausalLM
from transformers.models.llama.modeling_llama import eager_attention_forward

from foresight_kv import ForesightError, ForesightPress, generate
from foresight_kv.model_layers import evicting_layers
from foresight_kv.press import _attending, _queries
from foresight_kv.scorer_file import statistics_of

FAMILIES = ROOT / "tests" / "reference" / "families"
EVICTING = {
    "qwen2_sliding": [0], "qwen3_sliding": [1, 3], "ministral": [0, 2], "olmo2": [0, 1], "olmo3": [3], "smollm3": [0, 1, 2],
    "phi3": [0, 1], "gemma2": [1], "gemma3": [2], "gemma3_older": [2],
    "gpt_oss": [1, 3],
}  # name -> layers that evict
NAMES = ["llama3", "mistral", "qwen2", "qwen3", "qwen3_moe", "qwen3_moe_stacked", "phi4_mini", *EVICTING]
TOKENS = [5, 17, 3, 60, 22, 9, 41, 8, 13, 30, 2, 55, 7, 7, 19]


@pytest.mark.parametrize("name", NAMES)
def test_the_queries_that_the_press_sees_are_those_that_attend(name):
    """What the model hands to its attention function, layer by layer."""
    attended, seen = {}, {}

    def record(module, query, *rest, **options):
        attended[module.layer_idx] = query
        return eager_attention_forward(module, query, *rest, **options)

    def watch(module, _, kwargs, __):
        seen[module.layer_idx] = _attending(module, kwargs["hidden_states"], kwargs["position_embeddings"])

    AttentionInterface.register("recording", record)
    model = AutoModelForCausalLM.from_pretrained(FAMILIES / name, dtype=torch.float32, attn_implementation="recording").eval()
    for layer in model.model.layers:
        layer.self_attn.register_forward_hook(watch, with_kwargs=True)
    with torch.no_grad():
        model(torch.tensor([TOKENS]))
    assert len(attended) == model.config.num_hidden_layers
    for index, queries in attended.items():
        torch.testing.assert_close(seen[index], queries)


@pytest.mark.parametrize("features", ["normalized", "relative"])
@pytest.mark.parametrize("name", ["llama3", "phi4_mini", *EVICTING])
def test_the_layers_with_full_attention_evict_as_in_the_program(name, features, dump, tmp_path):
    model = load_model(FAMILIES / name, attention="eager")  # torch's own attention has no cap, which Gemma 2 needs
    config = model.config
    numbers = EVICTING.get(name, list(range(config.num_hidden_layers)))
    assert evicting_layers(config) == numbers
    width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    budget, window, new = 16, 8, 70
    layers = numbers if len(numbers) < config.num_hidden_layers else config.num_hidden_layers
    inputs = 2 * width + statistics_of(features, group=2)
    scorer = write_random_scorer(tmp_path / "s.safetensors", features, budget, window, layers=layers, inputs=inputs)
    line = dump("generate", FAMILIES / name, scorer, budget, window, new, ",".join(map(str, TOKENS)))
    found = generate(model, TOKENS, ForesightPress(scorer), max_new_tokens=new, eos_token_id=None, pad_token_id=0)
    assert found[0].tolist() == [int(word) for word in line.split()]


def test_a_scorer_of_other_layers_is_refused(tmp_path):
    model = load_model(FAMILIES / "qwen3_sliding")
    scorer = write_random_scorer(tmp_path / "s.safetensors", layers=[0, 2], inputs=2 * 12 + 16)
    with pytest.raises(ForesightError, match=r"is of layers \[0, 2\], in this model layers \[1, 3\] evict"):
        generate(model, TOKENS, ForesightPress(scorer), max_new_tokens=1)


def test_a_model_with_recurrent_layers_is_refused(tmp_path):
    model = load_model(FAMILIES / "qwen3_next")
    scorer = write_random_scorer(tmp_path / "s.safetensors", layers=[1, 3], inputs=2 * 16 + 16)
    with pytest.raises(ForesightError, match="qwen3_next has recurrent layers"):
        generate(model, TOKENS, ForesightPress(scorer), max_new_tokens=1)
    with pytest.raises(ForesightError, match="qwen3_next has recurrent layers"), ForesightPress(scorer)(model):
        pass


def test_norms_over_some_heads_are_refused():
    model = load_model(FAMILIES / "qwen3_moe")
    attention = model.model.layers[0].self_attn
    attention.q_norm.weight = torch.nn.Parameter(torch.ones(24))
    with pytest.raises(ForesightError, match=r"norms its queries over \(24,\) numbers, not over a head's 12 or all heads'"):
        _queries(attention, torch.zeros(1, 2, 32))
