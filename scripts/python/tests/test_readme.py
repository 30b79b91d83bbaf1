"""Every Python block and every command of README.md, run on the tiny model under the README's names."""

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from completions_server import CompletionsServer
from conftest import ROOT, run, tiny_overrides, write_random_scorer
from random_scorers import random_tensors

TEXT = (ROOT / "scripts" / "python" / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)
PYTHON = [block for kind, block in BLOCKS if kind == "python"]
COMMANDS = [line.split("  #")[0].strip() for kind, block in BLOCKS if not kind for line in block.splitlines()]


@pytest.fixture
def workplace(tmp_path, tiny_model_folder, tiny_run, monkeypatch):
    """A folder in which the README's paths lead to the tiny model and its run."""
    model = shutil.copytree(tiny_model_folder, tmp_path / "models" / "SmolLM2-135M-Instruct")
    # Without it AutoTokenizer takes the tokenizer of a model_type "llama" for a sentencepiece one.
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<|end|>", "bos_token": "<|end|>"}
    (model / "tokenizer_config.json").write_text(json.dumps(settings))
    (tmp_path / "runs" / "my" / "exports").mkdir(parents=True)
    (tmp_path / "runs" / "my" / "oracle").symlink_to(tiny_run / "oracle")
    write_random_scorer(tmp_path / "runs" / "my" / "exports" / "grpo.safetensors")
    write_random_scorer(tmp_path / "runs" / "my" / "exports" / "serving.safetensors", "serving")
    (tmp_path / "checkpoint").mkdir()
    torch.save(random_tensors(2, 2, 48), tmp_path / "checkpoint" / "pytorch_model.bin")
    (tmp_path / "scripts").symlink_to(ROOT / "scripts")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_python_blocks_run(workplace, capsys):
    names = {}
    assert len(PYTHON) == 4
    for block in PYTHON:
        exec(compile(block, "README.md", "exec"), names)
    assert names["tokens"].shape[1] > 0 and names["sequences"].shape[1] > len(names["prompt"])
    assert isinstance(names["answer"], str)
    assert len(names["answers"]) == 2 and all(isinstance(answer, str) for answer in names["answers"])
    assert names["attention"].shape[0] == names["scores"].shape[0] == 2
    assert capsys.readouterr().out


def python_command(command):
    """Runs a README command that begins with `python` by the Python of the tests."""
    done = subprocess.run([sys.executable, *shlex.split(command)[1:]], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_commands_run(workplace, foresight, tiny_model_folder, tmp_path_factory):
    imported = python_command(next(command for command in COMMANDS if "import_released" in command))
    assert "scorers of 2 layers" in imported
    evaluate = shlex.split(next(command for command in COMMANDS if command.startswith("build/foresight evaluate")))
    assert evaluate[1:4] == ["evaluate", "--config", "my.yaml"]
    output = tmp_path_factory.mktemp("readme_run")
    policies = evaluate[4].replace("imported.safetensors", str(workplace / "imported.safetensors"))
    for stage in ("oracle", "evaluate"):
        run(foresight, stage, "--config", "configs/tiny.yaml", *tiny_overrides(tiny_model_folder, output), policies)
    plotted = python_command(next(command for command in COMMANDS if "plot_future_attention" in command))
    assert "wrote attention.png" in plotted
    assert (workplace / "attention.png").read_bytes().startswith(b"\x89PNG")


def test_commands_of_data_sets_run(workplace):
    import datasets

    rows = [{"problem": f"p{i}", "generations": [f"g{i}"], "answer": str(i)} for i in range(3)]
    whole = datasets.Dataset.from_list(rows)
    whole.to_parquet(workplace / "math.parquet")
    datasets.DatasetDict({"train": whole, "test": whole}).save_to_disk(workplace / "saved")
    settings = json.loads((workplace / "models" / "SmolLM2-135M-Instruct" / "tokenizer_config.json").read_text())
    settings["chat_template"] = "{% for turn in messages %}{{ turn['role'] }} {{ turn['content'] }}\n{% endfor %}"
    (workplace / "models" / "SmolLM2-135M-Instruct" / "tokenizer_config.json").write_text(json.dumps(settings))
    commands = [command for command in COMMANDS if command.startswith("foresight-rows ")]
    assert len(commands) == 2
    for command in commands:
        # As setup.sh puts it beside the environment's Python.
        run(Path(sys.executable).with_name("foresight-rows"), *shlex.split(command)[1:], cwd=workplace)
    assert [json.loads(line)["answer"] for line in open("train.jsonl")] == ["0", "1", "2"]
    assert "tokens" in json.loads(open("train.jsonl").readline()) and "messages" in json.loads(open("prompts.jsonl").readline())


def test_the_command_of_traces_runs(workplace):
    (workplace / "prompts.jsonl").write_text('{"prompt": "the"}\n' * 3)
    (command,) = (command for command in COMMANDS if command.startswith("foresight-traces "))
    with CompletionsServer(first=3, last=40) as server:
        words = shlex.split(command.replace("http://localhost:8000/v1", server.url))
        run(Path(sys.executable).with_name("foresight-traces"), *words[1:], cwd=workplace)
    assert len((workplace / "traces.jsonl").read_text().splitlines()) == 3


def test_the_scripts_that_are_named_are_there():
    named = {shlex.split(command)[0] for command in COMMANDS if command.startswith("scripts/")}
    assert named == {"scripts/python/setup.sh", "scripts/python/test.sh", "scripts/serving_test.sh"}
    assert all((ROOT / name).stat().st_mode & 0o100 for name in named)
