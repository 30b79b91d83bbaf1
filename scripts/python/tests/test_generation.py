"""transformers with the press against the C++ program's generation, token for token, on the tiny model."""

import logging

import pytest
import torch
from conftest import load_model, write_random_scorer
from transformers import AutoTokenizer, DynamicCache, StaticCache

from foresight_kv import ForesightError, ForesightPress, generate, prefill

BUDGET, WINDOW, NEW = 32, 8, 60
TEXT = (
    b"ann has 3 and gets 4, so ann has 7. bob has 10 and gets 20, so bob has 30. "
    b"eve has 5 and gets 6, so eve has 11. hal has 2"
)
PROMPTS = {"short": TEXT[:20], "budget": TEXT[:32], "between": TEXT[:37], "full": TEXT[:40], "long": TEXT[:101]}
ROWS = [TEXT[:50], TEXT[10:60]]
CONTEXT, QUESTION = "ann has 3 and gets 4", "so ann has"
# As kvpress's pipeline joins them for a model without a chat template; 256 is the tiny tokenizer's special token.
PIPELINE_PROMPT = (256, *f"{CONTEXT}{QUESTION}\n".encode())


@pytest.fixture(scope="module", params=["normalized", "extended", "relative", "serving", "released"])
def scorer(request, tmp_path_factory):
    return write_random_scorer(tmp_path_factory.mktemp("scorer") / "s.safetensors", request.param, BUDGET, WINDOW)


@pytest.fixture(scope="module")
def expected(dump, tiny_model_folder, scorer):
    """{prompt: the token ids of the C++ program}, of all prompts at once, as the program takes seconds to start."""
    prompts = [*map(tuple, PROMPTS.values()), *map(tuple, ROWS), PIPELINE_PROMPT]
    words = [",".join(map(str, prompt)) for prompt in prompts]
    lines = dump("generate", tiny_model_folder, scorer, BUDGET, WINDOW, NEW, *words).splitlines()
    return {prompt: [int(word) for word in line.split()] for prompt, line in zip(prompts, lines, strict=True)}


# Without an end token, as dump_scores runs without one.
ENDLESS = {"max_new_tokens": NEW, "eos_token_id": None, "pad_token_id": 0}


def test_the_tiny_models_tokenizer_loads_without_a_hint(tiny_model_folder):
    assert AutoTokenizer.from_pretrained(tiny_model_folder)("ann has 3").input_ids == list(b"ann has 3")


@pytest.mark.parametrize("name", PROMPTS)
def test_generate_equals_the_program(name, tiny_model, scorer, expected):
    found = generate(tiny_model, list(PROMPTS[name]), ForesightPress(scorer), **ENDLESS)
    assert found.shape == (1, NEW)
    assert found[0].tolist() == expected[tuple(PROMPTS[name])]


@pytest.mark.parametrize(("sinks", "prompt"), [(5, False), (0, True), (4, True)])
def test_protected_entries_stay_as_in_the_program(sinks, prompt, dump, tiny_model_folder, tiny_model, tmp_path):
    scorer = write_random_scorer(
        tmp_path / "s.safetensors", "normalized", BUDGET, WINDOW, protect_sinks=sinks, protect_prompt=prompt
    )
    plain = write_random_scorer(tmp_path / "plain.safetensors", "normalized", BUDGET, WINDOW)
    names = ("short", "long")  # the long one leaves a window of the budget open
    words = [",".join(map(str, PROMPTS[name])) for name in names]
    lines = dump("generate", tiny_model_folder, scorer, BUDGET, WINDOW, NEW, *words).splitlines()
    other = dump("generate", tiny_model_folder, plain, BUDGET, WINDOW, NEW, *words).splitlines()
    assert lines != other
    for name, line in zip(names, lines, strict=True):
        cache = DynamicCache()
        found = generate(tiny_model, list(PROMPTS[name]), ForesightPress(scorer), cache, **ENDLESS)
        assert found[0].tolist() == [int(word) for word in line.split()]
        kept = max(sinks, len(PROMPTS[name]) if prompt else 0)
        for layer in cache.layers:
            first = layer.positions[..., : min(kept, BUDGET - WINDOW)]
            assert torch.equal(first, torch.arange(first.shape[-1]).expand(first.shape))


def test_evictions_matter_to_what_is_compared(tiny_model, scorer, expected):
    prompt = torch.tensor([list(PROMPTS["long"])])
    full = tiny_model.generate(prompt, attention_mask=torch.ones_like(prompt), do_sample=False, **ENDLESS)
    assert full[0, prompt.shape[1] :].tolist() != expected[tuple(PROMPTS["long"])]


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize("name", ["short", "between", "full"])
def test_plain_generate_is_exact_where_the_prompt_fits(name, attention, tiny_model_folder, scorer, expected):
    model = load_model(tiny_model_folder, attention)
    prompt = torch.tensor([list(PROMPTS[name])])
    with ForesightPress(scorer)(model):
        found = model.generate(prompt, attention_mask=torch.ones_like(prompt), do_sample=False, **ENDLESS)
    assert found[0, prompt.shape[1] :].tolist() == expected[tuple(PROMPTS[name])]


def test_wrong_positions_are_refused(tiny_model, scorer):
    """transformers 5.2.0 gives the chunks of prefill_chunk_size the positions of the prompt's end."""
    prompt = torch.tensor([list(PROMPTS["long"])])
    with ForesightPress(scorer)(tiny_model), pytest.raises(ForesightError, match="first token is 93, its text continues at 0"):
        tiny_model.generate(prompt, attention_mask=torch.ones_like(prompt), prefill_chunk_size=WINDOW, **ENDLESS)


def test_a_long_prompt_in_one_pass_ends_in_a_cache_of_the_right_size_with_a_warning(tiny_model, scorer, caplog):
    cache, press = DynamicCache(), ForesightPress(scorer)
    with caplog.at_level(logging.WARNING), press(tiny_model):
        tiny_model(torch.tensor([list(PROMPTS["long"])]), past_key_values=cache)
        tiny_model(torch.tensor([[1]]), past_key_values=cache)
    messages = [record.message for record in caplog.records if "behind an eviction" in record.message]
    assert len(messages) == 1 and "a pass of 101 tokens went on for 61 tokens" in messages[0]
    assert {layer.keys.shape[2] for layer in cache.layers} == {BUDGET + (102 - BUDGET) % WINDOW}
    assert cache.get_seq_length() == 102


def test_memory_does_not_grow_with_the_text(tiny_model, scorer):
    cache, most = DynamicCache(), 0
    for _ in range(3):
        cache = prefill(tiny_model, torch.tensor([list(TEXT)]), ForesightPress(scorer), cache)
        most = max(most, *(layer.keys.shape[2] for layer in cache.layers))
    assert most < BUDGET + WINDOW and cache.get_seq_length() == 3 * len(TEXT)


def test_a_budget_that_the_text_fits_in_changes_nothing(tiny_model, scorer):
    prompt = torch.tensor([list(PROMPTS["long"])])
    full = tiny_model.generate(prompt, attention_mask=torch.ones_like(prompt), do_sample=False, **ENDLESS)
    found = generate(tiny_model, prompt, ForesightPress(scorer, budget=168, window=8), **ENDLESS)
    assert found.tolist() == full[:, prompt.shape[1] :].tolist()


def test_rows_do_not_touch_each_other(tiny_model, scorer, expected):
    found = generate(tiny_model, [list(prompt) for prompt in ROWS], ForesightPress(scorer), **ENDLESS)
    assert found.tolist() == [expected[tuple(prompt)] for prompt in ROWS]


def test_a_cache_goes_on_where_it_ended(tiny_model, scorer, expected):
    press, cache, prompt = ForesightPress(scorer), DynamicCache(), list(PROMPTS["between"])
    first = generate(tiny_model, prompt, press, cache, **(ENDLESS | {"max_new_tokens": 25}))[0].tolist()
    second = generate(tiny_model, prompt + first, press, cache, **(ENDLESS | {"max_new_tokens": NEW - 25}))[0].tolist()
    assert first + second == expected[tuple(PROMPTS["between"])]


def test_keys_keep_the_positions_of_the_text(tiny_model, scorer):
    """The first layer's keys depend on token and position alone: those kept equal a pass without eviction."""
    ids = torch.tensor([list(TEXT)])
    cache = prefill(tiny_model, ids, ForesightPress(scorer))
    full = tiny_model(ids, past_key_values=DynamicCache()).past_key_values
    layer = cache.layers[0]
    assert layer.positions.min() < len(TEXT) - 2 * BUDGET  # something old is kept
    index = layer.positions.unsqueeze(-1).expand_as(layer.keys)
    torch.testing.assert_close(layer.keys, full.layers[0].keys.gather(2, index))


def test_the_pipeline_of_kvpress_keeps_evicting_while_it_answers(tiny_model, tiny_model_folder, scorer, expected):
    import kvpress  # noqa: F401 (registers the pipeline)
    from transformers import PreTrainedTokenizerFast, pipeline

    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(tiny_model_folder / "tokenizer.json"), bos_token="<|end|>")
    pipe = pipeline("kv-press-text-generation", model=tiny_model, tokenizer=tokenizer)
    cache = DynamicCache()
    answer = pipe(CONTEXT, question=QUESTION, press=ForesightPress(scorer), cache=cache, max_new_tokens=NEW)["answer"]
    assert answer == tokenizer.decode(expected[PIPELINE_PROMPT], skip_special_tokens=True)
    assert cache.get_seq_length() == len(PIPELINE_PROMPT) + NEW - 1
    assert all(layer.keys.shape[2] < BUDGET + WINDOW for layer in cache.layers)


def test_bfloat16_models_keep_their_statistics_in_float32(tiny_model_folder, scorer):
    model = load_model(tiny_model_folder).to(torch.bfloat16)
    cache = prefill(model, torch.tensor([list(TEXT)]), ForesightPress(scorer))
    layer = cache.layers[0]
    assert layer.keys.dtype == torch.bfloat16 and layer.cumulative.dtype == torch.float32
    queries_of_window = layer.live - BUDGET
    totals = layer.window_attention[..., :queries_of_window, :].sum(-1)
    torch.testing.assert_close(totals, torch.ones_like(totals))  # in bfloat16 they would miss 1 by more


def test_what_the_press_cannot_do_is_refused(tiny_model, scorer):
    press = ForesightPress(scorer)
    ids = torch.tensor([list(TEXT[:12])])
    cache = tiny_model(ids, past_key_values=DynamicCache()).past_key_values
    with press(tiny_model), pytest.raises(ForesightError, match="this cache held 12 tokens before the press saw it"):
        tiny_model(ids, past_key_values=cache)
    with pytest.raises(ForesightError, match="this cache held 12 tokens before the press saw it"):
        generate(tiny_model, list(TEXT[:14]), press, tiny_model(ids, past_key_values=DynamicCache()).past_key_values)
    with press(tiny_model), pytest.raises(ForesightError, match="without a cache"):
        tiny_model(ids, use_cache=False)
    padded = torch.ones(2, 12, dtype=torch.int64)
    padded[0, :3] = 0
    with press(tiny_model), pytest.raises(ForesightError, match="rows padded to one length are not supported"):
        tiny_model(ids.repeat(2, 1), attention_mask=padded, past_key_values=DynamicCache())
    cache = prefill(tiny_model, ids, press)
    with ForesightPress(scorer, budget=64)(tiny_model), pytest.raises(ForesightError, match="begun with budget 32 and window 8"):
        tiny_model(ids, past_key_values=cache)
    cache = prefill(tiny_model, ids, press)
    tiny_model(ids, past_key_values=cache)
    with press(tiny_model), pytest.raises(ForesightError, match="12 tokens of this cache went through the model outside"):
        tiny_model(ids, past_key_values=cache)
    with press(tiny_model), pytest.raises(ForesightError, match="cannot evict from a .*StaticCache"):
        tiny_model(ids, past_key_values=StaticCache(config=tiny_model.config, max_cache_len=32))


def test_sizes_and_arguments_are_checked(tiny_model, scorer, tmp_path, caplog):
    with pytest.raises(ForesightError, match="budget 30 must be a multiple of window 8: choose 24"):
        ForesightPress(scorer, budget=30)
    with pytest.raises(ForesightError, match="window must be at least 1 token, got -1"):
        ForesightPress(scorer, window=-1)
    with pytest.raises(ForesightError, match="does not say its budget: give budget="):
        ForesightPress(write_random_scorer(tmp_path / "unknown.safetensors", budget=0))
    ForesightPress(scorer, window=16)
    assert any("trained with window 8, used with 16" in record.message for record in caplog.records)
    other = ForesightPress(write_random_scorer(tmp_path / "other.safetensors", inputs=56))
    with pytest.raises(ForesightError, match="the scorer belongs to another model"), other(tiny_model):
        pass
    press = ForesightPress(scorer)
    with pytest.raises(ForesightError, match="at least one token"):
        generate(tiny_model, [], press)
    with pytest.raises(ForesightError, match="num_beams=2 is not supported"):
        generate(tiny_model, [1, 2], press, num_beams=2)
    with pytest.raises(ForesightError, match="the cache has seen 12 tokens, input_ids must continue after them, got 5"):
        generate(tiny_model, [1] * 5, press, prefill(tiny_model, torch.ones(1, 12, dtype=torch.int64), press))
    with pytest.raises(ForesightError, match="expected token ids"):
        prefill(tiny_model, torch.ones(3, dtype=torch.int64), press)
