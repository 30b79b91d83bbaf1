"""vLLM's server with the plugin: OpenAI's protocol, and its metrics on vLLM's own page."""

import json

import pytest
from conftest import environment, get, serve

BUDGET, WINDOW, NEW = 64, 16, 100


@pytest.fixture
def server(scorers, tmp_path):
    """Its address; ended with the test."""
    (tmp_path / "metrics").mkdir()
    own = environment(scorers["smollm2"], (BUDGET, WINDOW)) | {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path / "metrics")}
    with serve(tmp_path, own) as address:
        yield address


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
