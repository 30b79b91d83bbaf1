"""Greedy float32 generation on SmolLM2-135M-Instruct: transformers with the press against `foresight generate`."""

import os

import pytest
import tokenizers
import torch
from conftest import load_model, run

from foresight_kv import ForesightPress, generate

pytestmark = pytest.mark.smollm2

BUDGET, WINDOW, NEW = 64, 16, 160
THREADS = min(2, os.cpu_count())
SHORT = "The three most important things to know about the history of the steam engine are the following."
LONG = (
    "Anna has 17 apples and Ben has 25 pears. Anna buys 8 more apples on Monday, and on Tuesday she gives 5 of them to Carla. "
    "Ben sells 9 pears at the market and eats one every day from Wednesday to Friday. On Saturday they meet and put all that "
    "they have into one basket, from which Carla takes 4 apples and 2 pears. The basket is then carried to Dora, who counts the "
    "fruit, writes the number on a piece of paper, and asks her brother Emil to check it. Emil counts again, slowly, apple by "
    "apple and pear by pear, and says:"
)


@pytest.fixture(scope="module")
def model(smollm2_folder):
    before = torch.get_num_threads()
    torch.set_num_threads(THREADS)
    yield load_model(smollm2_folder)
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def settings(smollm2_folder, tmp_path_factory):
    """Overrides of configs/quickstart.yaml for a run of seconds."""
    output = tmp_path_factory.mktemp("smollm2")
    return [
        f"model.path={smollm2_folder}", f"output={output}", f"eviction.budget={BUDGET}", f"eviction.window={WINDOW}",
        "data.trace_tokens=192", "data.max_train_traces=3", "data.validation_traces=1", "evaluation.max_traces=1",
        "supervised.steps=20", "supervised.evaluate_every=20", "supervised.save_every=20", "runtime.dtype=float32",
        f"runtime.threads={THREADS}",
    ]  # fmt: skip


@pytest.fixture(scope="module")
def scorer(foresight, settings, tmp_path_factory):
    """A scorer after a few supervised steps."""
    for stage in ("oracle", "supervised"):
        run(foresight, stage, "--config", "configs/quickstart.yaml", *settings)
    path = tmp_path_factory.mktemp("scorer") / "supervised.safetensors"
    run(foresight, "export", "--config", "configs/quickstart.yaml", "--policy", "supervised", "--out", path, *settings)
    return path


def agreement(tokenizer, ids, text):
    """How many of the tokens `ids` the text begins with."""
    whole = 0
    for count in range(1, len(ids) + 1):
        if text.startswith(tokenizer.decode(ids[:count]).rstrip("\ufffd")):
            whole = count
        else:
            break
    return whole


@pytest.mark.parametrize("prompt", [SHORT, LONG], ids=["short", "long"])
def test_generation_equals_the_programs(prompt, model, smollm2_folder, foresight, scorer, settings, record_property):
    tokenizer = tokenizers.Tokenizer.from_file(str(smollm2_folder / "tokenizer.json"))
    ids = tokenizer.encode(prompt, add_special_tokens=False).ids
    assert (len(ids) > BUDGET + WINDOW) == (prompt == LONG)
    text = run(
        foresight, "--quiet", "generate", "--config", "configs/quickstart.yaml", *settings, "--raw", "--prompt", prompt,
        f"generation.policy={scorer}", "generation.temperature=0", f"generation.max_new_tokens={NEW}",
    )  # fmt: skip
    found = generate(model, ids, ForesightPress(scorer), max_new_tokens=NEW)[0].tolist()
    ended = found[-1] == model.generation_config.eos_token_id
    assert len(found) == NEW or ended
    words = found[:-1] if ended else found
    same = agreement(tokenizer, words, text)
    record_property("tokens_that_agree", f"{same} of {len(words)}")
    assert text == tokenizer.decode(words) + "\n", f"the first {same} of {len(words)} tokens agree"
