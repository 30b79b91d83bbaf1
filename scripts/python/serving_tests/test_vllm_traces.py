"""foresight-traces with a real vLLM: server, engine and program give the same rows, and the program trains on their ids."""

import array
import json
import os
import signal
import subprocess
import sys
import time

import pytest
from conftest import BUILD, ROOT, SMOLLM2, serve

NEW = 24
QUESTIONS = [
    {"prompt": "What is 17 * 23?", "answer": "391"},
    {"messages": [{"role": "system", "content": "Answer with one word."}, {"role": "user", "content": "Which colour has snow?"}]},
    {"problem": "A train goes 60 km in 45 minutes. How fast is it?", "source": "mine"},
    {"prompt": "Name three primes.", "level": 2},
    {"prompt": "Why is the sky blue?"},
    {"prompt": "Say hello in Greek and in Hindi, with signs of joy."},
]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server without the plugin: traces are of the full cache."""
    with serve(tmp_path_factory.mktemp("server"), {}) as address:
        yield address


@pytest.fixture
def prompts(tmp_path):
    file = tmp_path / "prompts.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in QUESTIONS))
    return file


def started(prompts, out, *options):
    command = [sys.executable, "-m", "foresight_kv.traces", prompts, "--model", SMOLLM2, "--out", out]
    line = [*command, "--max-new-tokens", NEW, *options]
    environment = os.environ | {"VLLM_CPU_KVCACHE_SPACE": "1", "HF_HUB_OFFLINE": "1"}
    return subprocess.Popen(list(map(str, line)), env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def rows_by(prompts, out, *options):
    """The rows of a command that ends well."""
    process = started(prompts, out, *options)
    said = process.communicate(timeout=900)[0]
    assert process.returncode == 0, said[-4000:]
    return [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]


def foresight(*arguments):
    done = subprocess.run([BUILD / "foresight", *map(str, arguments)], cwd=ROOT, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr[-3000:]


def token_ids(oracle_file, folder):
    """By HDF5's own tool: vLLM's environment has no h5py."""
    subprocess.run(["h5dump", "-d", "/token_ids", "-b", "LE", "-o", folder / "ids", oracle_file], check=True, capture_output=True)
    ids = array.array("i")
    ids.frombytes((folder / "ids").read_bytes())
    return tuple(ids)


def test_served_offline_and_the_program_agree(server, prompts, tmp_path):
    greedy = ("--temperature", 0)
    served = rows_by(prompts, tmp_path / "served.jsonl", "--endpoint", server, *greedy)
    engine = json.dumps({"dtype": "float32", "max_model_len": 1024, "enforce_eager": True})
    offline = rows_by(prompts, tmp_path / "offline.jsonl", "--offline", "--engine", engine, *greedy)
    foresight("traces", "--config", "configs/quickstart.yaml", f"model.path={SMOLLM2}", f"output={tmp_path}/run",
              "runtime.dtype=float32", f"traces.prompts=[{prompts}]", f"traces.max_new_tokens={NEW}", "traces.temperature=0")  # fmt: skip
    program = [json.loads(line) for line in (tmp_path / "run" / "traces.jsonl").read_text(encoding="utf-8").splitlines()]
    for one, other, theirs in zip(served, offline, program, strict=True):
        assert one.pop("sampling")["model"] == "smol" and other.pop("sampling")["model"] == SMOLLM2.name
        assert one == other == theirs


def test_the_program_trains_on_the_sampled_ids(server, prompts, tmp_path):
    """At a high temperature texts are wild, and their own tokens are others than those that were sampled."""
    from transformers import AutoTokenizer

    wild = ("--temperature", 2, "--top-k", 0, "--top-p", 1, "--samples", 2)
    rows = rows_by(prompts, tmp_path / "wild.jsonl", "--endpoint", server, *wild)
    tokenizer = AutoTokenizer.from_pretrained(SMOLLM2)
    assert any(tokenizer(row["prompt"] + row["completion"]).input_ids != row["tokens"] for row in rows)
    sets = {name: tmp_path / f"{name}.jsonl" for name in ("train", "held_out")}
    for file, part in zip(sets.values(), (rows[:-1], rows[-1:]), strict=True):
        file.write_text("".join(json.dumps(row) + "\n" for row in part))
    foresight("oracle", "--config", "configs/quickstart.yaml", f"model.path={SMOLLM2}", f"output={tmp_path}/run", "data.pack=false",
              f"data.train=[{sets['train']}]", f"data.evaluation=[{sets['held_out']}]", "data.trace_tokens=128", "eviction.budget=32",
              "eviction.window=8", "data.max_train_traces=9", "data.validation_traces=2", "evaluation.max_traces=1")  # fmt: skip
    recorded = {token_ids(file, tmp_path) for file in (tmp_path / "run" / "oracle").glob("*.h5")}
    assert len(recorded) == len(rows) and recorded == {tuple(row["tokens"]) for row in rows}


def test_a_kill_loses_no_finished_row(server, prompts, tmp_path):
    out, options = tmp_path / "killed.jsonl", ("--endpoint", server, "--samples", 4, "--in-flight", 2)
    unfinished = out.with_name("killed.jsonl.unfinished")
    process = started(prompts, out, *options)
    while not unfinished.exists() or unfinished.read_bytes().count(b"\n") < 5:
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    kept = [json.loads(line) for line in unfinished.read_bytes().split(b"\n")[:-1]]
    rows = rows_by(prompts, out, *options)
    assert len(rows) == 24 and len(kept) >= 5 and all(row in rows for row in kept)
    assert [(row.get("prompt_source", row["source"]), row["sampling"]["sample"]) for row in rows] == [
        (f"prompts.jsonl:{number}", sample) for number in range(1, 7) for sample in range(4)
    ]
