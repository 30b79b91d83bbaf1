"""The press on tiny models of the families (tests/reference/families): its queries are those of the model."""

import pytest
import torch
from conftest import ROOT, load_model
from transformers import AttentionInterface, AutoModelForCausalLM
from transformers.models.llama.modeling_llama import eager_attention_forward

from foresight_kv import ForesightError
from foresight_kv.press import _queries, _rotated

FAMILIES = ROOT / "tests" / "reference" / "families"
NAMES = ["llama3", "mistral", "qwen2", "qwen3", "qwen3_moe", "qwen3_moe_stacked"]
TOKENS = [5, 17, 3, 60, 22, 9, 41, 8, 13, 30, 2, 55, 7, 7, 19]


@pytest.mark.parametrize("name", NAMES)
def test_the_queries_that_the_press_sees_are_those_that_attend(name):
    """What the model hands to its attention function, layer by layer."""
    attended, seen = {}, {}

    def record(module, query, *rest, **options):
        attended[module.layer_idx] = query
        return eager_attention_forward(module, query, *rest, **options)

    def watch(module, _, kwargs, __):
        seen[module.layer_idx] = _rotated(_queries(module, kwargs["hidden_states"]), *kwargs["position_embeddings"])

    AttentionInterface.register("recording", record)
    model = AutoModelForCausalLM.from_pretrained(FAMILIES / name, dtype=torch.float32, attn_implementation="recording").eval()
    for layer in model.model.layers:
        layer.self_attn.register_forward_hook(watch, with_kwargs=True)
    with torch.no_grad():
        model(torch.tensor([TOKENS]))
    assert len(attended) == model.config.num_hidden_layers
    for index, queries in attended.items():
        torch.testing.assert_close(seen[index], queries)


def test_norms_over_all_heads_are_refused():
    model = load_model(FAMILIES / "qwen3_moe")
    attention = model.model.layers[0].self_attn
    attention.q_norm.weight = torch.nn.Parameter(torch.ones(48))
    with pytest.raises(ForesightError, match=r"norms its queries over \(48,\) numbers, not over a head's 12"):
        _queries(attention, torch.zeros(1, 2, 32))
