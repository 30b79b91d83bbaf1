"""ForesightScorerPress by itself and inside kvpress' own presses, against the scorer's definition and against the C++ program."""

import pytest
import torch
from conftest import ROOT, load_model, write_random_scorer
from kvpress import AdaKVPress, ChunkPress, DecodingPress, PerLayerCompressionPress, PrefillDecodingPress
from test_generation import BUDGET, CONTEXT, NEW, PIPELINE_PROMPT, PROMPTS, QUESTION, TEXT, WINDOW
from transformers import AttentionInterface, AttentionMaskInterface, DynamicCache
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS
from transformers.models.llama.modeling_llama import eager_attention_forward

from foresight_kv import ForesightError, ForesightScorerPress, Scorer
from foresight_kv.foresight_scorer_press import _chunk_end

IDS = torch.tensor([list(TEXT), list(TEXT[::-1])])


@pytest.fixture(scope="module")
def scorer(tmp_path_factory):
    return write_random_scorer(tmp_path_factory.mktemp("scorer") / "s.safetensors", "serving", BUDGET, WINDOW)


@pytest.fixture(scope="module")
def attended(tiny_model_folder):
    """What a pass over IDS hands to its attention function: {layer: (queries [R, H, n, d], keys, values [R, K, n, d])}."""
    seen = {}

    def record(module, query, key, value, *rest, **options):
        seen[module.layer_idx] = (query, key, value)
        return eager_attention_forward(module, query, key, value, *rest, **options)

    AttentionInterface.register("recording", record)
    AttentionMaskInterface.register("recording", ALL_MASK_ATTENTION_FUNCTIONS["eager"])  # without one nothing would be masked
    with torch.no_grad():
        load_model(tiny_model_folder, "recording")(IDS)
    return seen


def expected_scores(file, layer, queries, keys, values, window=WINDOW):
    """[R, K, n], high = keep, by the definition (docs/method.md), in float64 but for the network; the newest `window` infinite."""
    rows, heads, entries, width = keys.shape
    recent = queries[:, :, -min(8, entries) :].double().view(rows, heads, -1, min(8, entries), width)
    products = recent @ keys.double().unsqueeze(2).transpose(-1, -2) / width**0.5
    future = torch.ones(recent.shape[3], entries, dtype=torch.bool).triu(entries - recent.shape[3] + 1)
    attention = products.masked_fill(future, float("-inf")).softmax(-1)
    coarse = [attention.amax(3), *(attention[..., -last:, :].sum(3) for last in (8, 4, 2, 1))]
    fine = torch.log(1 + 1e6 * attention)
    blocks = [*(torch.log(1 + 100 * each) for each in coarse), fine.amax(3), fine.mean(3), fine.amin(3)]
    statistics = torch.cat(blocks, dim=2).transpose(2, 3).float()
    scores = -Scorer.load(file).score(layer, torch.cat([keys, values, statistics], dim=-1))
    scores[..., max(0, entries - window) :] = float("inf")
    return scores


def check_kept(cache, attended, layer, kept):
    """The cache holds the keys of the entries kept [R, K, m] of the pass, in any order, as presses leave them."""
    held, keys = cache.layers[layer].keys, attended[layer][1]
    assert held.shape[2] == kept.shape[2]
    nearest = torch.cdist(held, keys, compute_mode="donot_use_mm_for_euclid_dist").min(dim=-1)
    assert nearest.values.max() < 1e-3
    assert torch.equal(nearest.indices.sort().values, kept.sort().values)


def prefill(model, press):
    with press(model), torch.no_grad():
        return model(IDS, past_key_values=DynamicCache()).past_key_values


@pytest.mark.parametrize("ratio", [0.2, 0.8])
def test_a_prompt_keeps_what_the_scorer_ranks_highest(ratio, tiny_model, scorer, attended):
    cache = prefill(tiny_model, ForesightScorerPress(ratio, scorer))
    for layer, tensors in attended.items():
        scores = expected_scores(scorer, layer, *tensors)
        check_kept(cache, attended, layer, scores.topk(int(IDS.shape[1] * (1 - ratio)), dim=-1).indices)


def test_each_chunk_keeps_what_its_own_last_queries_choose(tiny_model, scorer, attended):
    """ChunkPress does not say where a chunk lies: its queries would be rotated to another place."""
    length, ratio = 25, 0.4
    cache = prefill(tiny_model, ChunkPress(ForesightScorerPress(ratio, scorer), chunk_length=length))
    for layer, tensors in attended.items():
        kept = []
        for first in range(0, IDS.shape[1], length):
            part = [tensor[:, :, first : first + length] for tensor in tensors]
            count = max(1, int(part[1].shape[2] * (1 - ratio)))
            kept.append(first + expected_scores(scorer, layer, *part).topk(count, dim=-1).indices)
        check_kept(cache, attended, layer, torch.cat(kept, dim=-1))


def test_a_chunk_shorter_than_the_window_keeps_its_newest(tiny_model, scorer, attended):
    cache = prefill(tiny_model, ChunkPress(ForesightScorerPress(0.5, scorer), chunk_length=4))
    entries = IDS.shape[1]
    starts = range(0, entries, 4)
    lengths = [min(4, entries - start) for start in starts]
    places = [
        torch.arange(start + length - max(1, length // 2), start + length) for start, length in zip(starts, lengths, strict=True)
    ]
    check_kept(cache, attended, 0, torch.cat(places).expand(2, 2, -1))


def test_heads_share_a_budget_under_adakv(tiny_model_folder, scorer, attended):
    model, ratio = load_model(tiny_model_folder), 0.5
    cache = prefill(model, AdaKVPress(ForesightScorerPress(ratio, scorer), alpha_safeguard=0.0))
    entries = IDS.shape[1]
    for layer, tensors in attended.items():
        assert cache.layers[layer].keys.shape[2] == entries  # masked, not removed
        scores = expected_scores(scorer, layer, *tensors)
        pruned = 2 * (entries - int(entries * (1 - ratio)))
        expected = torch.topk(-scores.reshape(2, -1), pruned, dim=1).indices
        rows, heads, places = model.model.layers[layer].self_attn.masked_key_indices
        found = (heads * entries + places).view(2, -1)
        assert torch.equal(found.sort().values, expected.sort().values)
        assert len({int((heads[rows == 0] == head).sum()) for head in range(2)}) == 2  # not the same number of each head


def test_layers_take_ratios_of_their_own(tiny_model, scorer, attended):
    ratios = [0.25, 0.75]
    cache = prefill(tiny_model, PerLayerCompressionPress(ForesightScorerPress(scorer=scorer), compression_ratios=ratios))
    for layer, tensors in attended.items():
        count = int(IDS.shape[1] * (1 - ratios[layer]))
        check_kept(cache, attended, layer, expected_scores(scorer, layer, *tensors).topk(count, dim=-1).indices)


@pytest.mark.parametrize("name", ["llama3", "qwen3", "olmo2", "phi3", "gemma3"])
def test_tokens_are_rotated_by_their_own_places_in_every_family(name):
    """Of a chunk, whose place nobody tells, and while decoding, where only the newest token's rotation is told."""
    model = load_model(ROOT / "tests" / "reference" / "families" / name, "eager")
    press, checked = object.__new__(ForesightScorerPress), []
    press._rotary = model.model.rotary_emb

    def watch(module, _, kwargs, __):
        hidden, rotation = kwargs["hidden_states"], kwargs["position_embeddings"]
        keys = kwargs["past_key_values"].layers[module.layer_idx].keys
        assert _chunk_end(module, hidden[:, 5:9], keys[:, :, 5:9], *rotation) == 8
        one = tuple(part[:, 14:15] for part in rotation)
        told = {"position_embeddings": one, "position_ids": torch.tensor([[14]])}
        found = press._rotation(module, hidden[:, 9:15], keys, told, 4)
        for part, whole in zip(found, rotation, strict=True):
            torch.testing.assert_close(part, whole[:, 11:15])
        checked.append(module.layer_idx)

    for layer in model.model.layers:
        layer.self_attn.register_forward_hook(watch, with_kwargs=True)
    with torch.no_grad():
        model(torch.arange(3, 18).view(1, 15), past_key_values=DynamicCache())
    assert len(checked) == model.config.num_hidden_layers


def decode(model, press, prompt, new):
    """Greedy tokens of a loop that says each token's position in the text, as kvpress' pipeline does."""
    cache, ids = DynamicCache(), torch.tensor([list(prompt)])
    tokens = []
    with press(model), torch.no_grad():
        logits = model(ids, past_key_values=cache).logits
        for step in range(new):
            tokens.append(int(logits[0, -1].argmax()))
            position = torch.tensor([[len(prompt) + step]])
            logits = model(torch.tensor([[tokens[-1]]]), past_key_values=cache, position_ids=position).logits
    return tokens, cache


def test_decoding_by_windows_gives_the_tokens_of_the_program(dump, tiny_model_folder, tiny_model, scorer):
    press = DecodingPress(ForesightScorerPress(scorer=scorer), compression_interval=WINDOW, target_size=BUDGET)
    prompt = PROMPTS["budget"]  # the program's first window
    line = dump("generate", tiny_model_folder, scorer, BUDGET, WINDOW, NEW, ",".join(map(str, prompt)))
    tokens, cache = decode(tiny_model, press, prompt, NEW)
    assert tokens == [int(word) for word in line.split()]
    assert {layer.keys.shape[2] for layer in cache.layers} == {BUDGET + NEW % WINDOW}


def test_decoding_and_adakv_wrap_it_together(tiny_model_folder, scorer):
    model = load_model(tiny_model_folder)
    press = DecodingPress(AdaKVPress(ForesightScorerPress(scorer=scorer)), compression_interval=WINDOW, target_size=BUDGET)
    tokens, _ = decode(model, press, PROMPTS["budget"], 20)
    layer = model.model.layers[1].self_attn
    assert len(tokens) == 20 and len(layer.masked_key_indices[0]) == 2 * (BUDGET + 2 * WINDOW - BUDGET)


def test_the_pipeline_of_kvpress_answers_under_both_phases(tiny_model, tiny_model_folder, scorer):
    from transformers import PreTrainedTokenizerFast, pipeline

    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(tiny_model_folder / "tokenizer.json"), bos_token="<|end|>")
    pipe = pipeline("kv-press-text-generation", model=tiny_model, tokenizer=tokenizer)
    inner = ForesightScorerPress(0.3, scorer)
    decoding = DecodingPress(ForesightScorerPress(scorer=scorer), compression_interval=WINDOW, target_size=BUDGET)
    cache = DynamicCache()
    press = PrefillDecodingPress(inner, decoding)
    answer = pipe(CONTEXT, question=QUESTION, press=press, cache=cache, max_new_tokens=NEW)["answer"]
    assert answer
    assert all(layer.keys.shape[2] < len(PIPELINE_PROMPT) + NEW for layer in cache.layers)


def test_what_it_cannot_do_is_refused(tiny_model, scorer, tmp_path):
    def file(kind="serving", **facts):
        return write_random_scorer(tmp_path / "other.safetensors", kind, BUDGET, **({"window": WINDOW} | facts))

    for kind in ("normalized", "released"):
        with pytest.raises(ForesightError, match=f"a scorer on {kind} features, which need the windows before"):
            ForesightScorerPress(scorer=file(kind))
    with pytest.raises(ForesightError, match="trained with protected entries"):
        ForesightScorerPress(scorer=file(protect_sinks=4))
    with pytest.raises(ForesightError, match="scorer is missing"):
        ForesightScorerPress(0.5)
    with pytest.raises(ForesightError, match="window_size must be at least 1 token, got 0"):
        ForesightScorerPress(0.5, file(window=0))
    assert ForesightScorerPress(0.5, file(window=0), window_size=8).window_size == 8
    with pytest.raises(ForesightError, match="the scorer belongs to another model"):
        prefill(tiny_model, ForesightScorerPress(0.5, file(inputs=56)))
    with pytest.raises(ForesightError, match="of layers"), ForesightScorerPress(0.5, file(layers=[0, 2]))(tiny_model):
        pass
    press = PerLayerCompressionPress(ForesightScorerPress(0.5, file(layers=[0])), compression_ratios=[0.5, 0.5])
    with pytest.raises(ForesightError, match="has no scorer for layer 1"):
        prefill(tiny_model, press)
    unbound = ForesightScorerPress(0.5, scorer)
    attention = tiny_model.model.layers[0].self_attn
    hidden, keys = torch.zeros(1, 8, tiny_model.config.hidden_size), torch.zeros(1, 2, 40, 16)
    one = (torch.ones(1, 1, 16), torch.zeros(1, 1, 16))
    with pytest.raises(ForesightError, match="while decoding it needs the model's rotary embedding and position_ids"):
        unbound.score(attention, hidden, keys, keys, None, {"position_embeddings": one})
