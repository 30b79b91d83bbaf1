"""What the tests share: the C++ programs, the models, random scorers."""

import os
import subprocess
from pathlib import Path

import pytest
import torch
from random_scorers import random_tensors

from foresight_kv.scorer_file import ScorerFacts, statistics_of, write_scorer

ROOT = Path(__file__).resolve().parents[3]
BUILD = ROOT / os.environ.get("FORESIGHT_BUILD", "build")
os.environ.setdefault("FORESIGHT_OPS", str(BUILD / "trainer/operators/libforesight_ops.so"))
SMOLLM2 = ROOT / "models" / "SmolLM2-135M-Instruct"


def run(*command, **options):
    """Standard output of a command; fails the test with its messages where it does not end with 0."""
    options = {"cwd": ROOT, **options}
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=300, **options)
    assert done.returncode == 0, f"{command[:3]} ended with {done.returncode}:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    return done.stdout


def _built(name):
    path = BUILD / name
    if not path.is_file():
        pytest.fail(f"{path} is not there: run scripts/build.sh (or set FORESIGHT_BUILD to the folder of your build)")
    return path


@pytest.fixture(scope="session")
def foresight():
    """The program as users run it."""
    return _built("foresight")


@pytest.fixture(scope="session")
def dump():
    """dump_scores(*arguments) -> its standard output: tests/python/dump_scores.cpp."""
    program = _built("tests/dump_scores")
    return lambda *arguments: run(program, *arguments)


@pytest.fixture(scope="session")
def tiny_model_folder(foresight, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tiny") / "model"
    run(foresight, "make-tiny-model", folder)
    return folder


@pytest.fixture(scope="session")
def tiny_model(tiny_model_folder):
    return load_model(tiny_model_folder)


@pytest.fixture(scope="session")
def tiny_run(foresight, tiny_model_folder, tmp_path_factory):
    """The folder of a run on the tiny model: traces recorded, nothing trained."""
    output = tmp_path_factory.mktemp("run")
    run(foresight, "oracle", "--config", "configs/tiny.yaml", *tiny_overrides(tiny_model_folder, output))
    return output


def tiny_overrides(model, output):
    """configs/tiny.yaml with another model folder and output."""
    return [
        f"model.path={model}", f"data.train=[{model}/train.jsonl]", f"data.evaluation=[{model}/evaluation.jsonl]",
        f"output={output}", "data.max_train_traces=2", "data.validation_traces=1", "evaluation.max_traces=2",
        "runtime.threads=1",
    ]  # fmt: skip


@pytest.fixture(scope="session")
def smollm2_folder():
    if not (SMOLLM2 / "model.safetensors").is_file():
        pytest.fail(f"{SMOLLM2} is not there: run scripts/setup.sh --model, or leave these tests out with -m 'not smollm2'")
    return SMOLLM2


def load_model(folder, attention="sdpa"):
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation=attention).eval()


def write_random_scorer(
    path, features="normalized", budget=32, window=8, layers=2, kv_heads=2, inputs=None, seed=1, **facts
):
    """A scorer file; the default shape is the tiny model's (2 layers, 2 KV heads of 16, 2 query heads each).

    layers: how many, or the numbers of those that evict.
    """
    inputs = inputs or 2 * 16 + statistics_of(features, group=2)
    tensors = random_tensors(layers, kv_heads, inputs, seed)
    numbers = None if isinstance(layers, int) else layers
    count = layers if numbers is None else len(numbers)
    if features != "released":
        tensors["feature_mean"] = 0.1 * torch.ones(count, kv_heads, inputs)
        tensors["feature_deviation"] = 2.0 * torch.ones(count, kv_heads, inputs)
    write_scorer(path, tensors, ScorerFacts(features=features, budget=budget, window=window, **facts), numbers)
    return path
