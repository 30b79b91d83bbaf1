"""vLLM under the plugin against vLLM without it, and against the C++ program."""

import random
import subprocess

import pytest
import safetensors.torch
from conftest import BUILD, SMOLLM2

NEAR_TIE = 1e-4


def random_prompts(lengths, vocabulary, seed=1):
    choice = random.Random(seed)
    return [[choice.randrange(100, vocabulary) for _ in range(length)] for length in lengths]


def dump_scores(*arguments):
    done = subprocess.run([BUILD / "tests/dump_scores", *map(str, arguments)], capture_output=True, text=True, timeout=1500)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def joined(ids):
    return ",".join(map(str, ids))


def test_a_budget_that_holds_everything_changes_no_byte(engine):
    lengths = [1 + (37 * index) % 150 for index in range(64)]
    prompts = random_prompts(lengths, 49000)
    options = {"max_num_seqs": 64, "max_num_batched_tokens": 512}
    plain = engine("smollm2", prompts, 24, **options)
    assert not plain["metrics"]
    for scorer in ("smollm2", "smollm2-serving"):
        evicting = engine("smollm2", prompts, 24, plugin=(1024, 32), scorer=scorer, **options)
        assert evicting["tokens"] == plain["tokens"] and evicting["margins"] == plain["margins"]
        assert evicting["metrics"]["foresight_evictions_total"] == 0


@pytest.mark.parametrize("scorer", ["smollm2", "smollm2-serving"])
@pytest.mark.parametrize(("budget", "window"), [(128, 32), (64, 16)])
def test_evicted_sets_and_tokens_equal_the_programs(budget, window, scorer, engine, scorers, tmp_path, record_property):
    lengths = [3, 40, 64, 65, 80, 81, 100, 128, 129, 160, 161, 200, 240, 300, 333, 400]
    prompts, new = random_prompts(lengths, 49000), 48
    file = scorers[scorer]
    result = engine(
        "smollm2", prompts, new, plugin=(budget, window), scorer=scorer, max_num_seqs=16, max_num_batched_tokens=256
    )
    printed = dump_scores("generate", SMOLLM2, file, budget, window, new, *map(joined, prompts))
    expected = [list(map(int, line.split())) for line in printed.splitlines()]
    compared = 0
    for index, prompt in enumerate(prompts):
        tokens = result["tokens"][index]
        same = next((at for at, (ours, theirs) in enumerate(zip(tokens, expected[index])) if ours != theirs), None)
        if same is not None and same < len(expected[index]):
            margin = result["margins"][index][same]
            record_property("near_tie", f"prompt {index}, token {same}: margin {margin}")
            assert margin < NEAR_TIE, f"prompt {index} differs from token {same} on, where the margin is {margin}"
        whole = prompt + tokens[:-1]  # the last token was not read any more
        compared += compare_evictions(result["evictions"][str(index)], whole, budget, window, file, tmp_path, record_property)
    assert result["metrics"]["foresight_evictions_total"] == sum(
        max(0, (len(prompt) + new - 1 - budget) // window) for prompt in prompts
    )
    record_property("evictions_compared", compared)
    assert compared > 2000


def compare_evictions(found, tokens, budget, window, scorer, folder, record_property):
    """How many evictions (of a layer and KV head) are those of the C++ cache, up to the first near-tie of two scores."""
    steps = max(0, (len(tokens) - budget) // window)
    assert len(found) == (30 if steps else 0)
    if not steps:
        return 0
    out = folder / "evictions.safetensors"
    dump_scores("evictions", SMOLLM2, scorer, budget, window, out, joined(tokens))
    expected, compared = safetensors.torch.load_file(out), 0
    for step in range(steps):
        for layer in range(30):
            assert len(found[str(layer)]) == steps
            theirs, margins = expected[f"layer{layer}.positions"][step].tolist(), expected[f"layer{layer}.margin"][step].tolist()
            for head, (ours, other, margin) in enumerate(zip(found[str(layer)][step], theirs, margins, strict=True)):
                if ours != other:
                    place = f"{len(tokens)} tokens, step {step}, layer {layer}, KV head {head}"
                    record_property("near_tie", f"{place}: margin of the scores {margin}")
                    assert margin < NEAR_TIE, f"{place}: evicted {ours}, the program {other}, margin {margin}"
                    return compared
                compared += 1
    return compared


def test_the_engines_own_configuration_says_the_same_as_the_environment(engine, scorers):
    prompts = random_prompts([300, 20, 170], 500)
    by_environment = engine("small", prompts, 40, plugin=(64, 16))
    section = {"scorer": str(scorers["small"]), "budget": 64, "window": 16}
    by_configuration = engine("small", prompts, 40, additional_config={"foresight": section})
    assert by_configuration["tokens"] == by_environment["tokens"] and by_configuration["margins"] == by_environment["margins"]
    evictions = [result["metrics"]["foresight_evictions_total"] for result in (by_environment, by_configuration)]
    assert evictions[0] == evictions[1] > 0
    for result in (by_environment, by_configuration):
        assert f"foresight: evicts by {scorers['small']}, budget 64, window 16, KV heads 0 to 1" in result["log"]


@pytest.mark.parametrize(("scorer", "blocks"), [("small", 5), ("small-serving", 6)])
def test_blocks_are_flat_in_context_and_none_is_leaked(scorer, blocks, engine):
    held = {}
    for length in (500, 2000):
        prompts = random_prompts([length] * 32, 500)
        result = engine(
            "small", prompts, 40, plugin=(128, 32), scorer=scorer, mode="steps", max_model_len=4096, max_num_seqs=32,
            max_num_batched_tokens=4096,
        )  # fmt: skip
        assert result["free_after"] == result["free_before"] and len(result["tokens"]) == 32
        held[length] = result["held"]
    # ceil((128 + 32) / 32) blocks a request; on serving features 8 places for a window's last queries as well
    assert held == {500: 32 * blocks, 2000: 32 * blocks}


@pytest.mark.parametrize("scorer", ["small", "small-serving"])
def test_aborts_and_preemption_leave_the_pool_whole_and_other_requests_as_they_are(scorer, engine):
    choice = random.Random(2)
    prompts = random_prompts([choice.randrange(1, 400) for _ in range(200)], 500)
    options = {"plugin": (128, 32), "scorer": scorer, "max_num_batched_tokens": 512, "max_num_seqs": 16}
    result = engine("small", prompts, 90, mode="churn", num_gpu_blocks_override=40, **options)
    assert result["free_after"] == result["free_before"] == 39  # block 0 is vLLM's own
    assert result["preemptions"] > 0 and 100 < len(result["tokens"]) < 200
    alone = engine("small", prompts, 90, **options)
    for index, tokens in result["tokens"].items():
        expected, margins = alone["tokens"][int(index)], alone["margins"][int(index)]
        same = next((at for at, (ours, theirs) in enumerate(zip(tokens, expected)) if ours != theirs), None)
        assert same is None or margins[same] < NEAR_TIE, f"prompt {index}, token {same}: margin {margins[same]}"


@pytest.mark.parametrize("scorer", ["smollm2", "smollm2-serving"])
def test_bfloat16_evicts_too(scorer, engine):
    prompts = random_prompts([300, 20], 49000)
    result = engine("smollm2", prompts, 20, plugin=(64, 16), scorer=scorer, dtype="bfloat16")
    assert result["metrics"]["foresight_evictions_total"] == (319 - 64) // 16
    assert result["metrics"]["foresight_entries_evicted_total"] == (319 - 64) // 16 * 16 * 3 * 30
    assert result["metrics"]["foresight_milliseconds_total"] > 0
