#!/usr/bin/env python3
"""Adds the scorer of a finished run to data/scorers: the file, and its entry in index.json.

usage: .venv/bin/python scripts/ship_scorer.py RUN NAME [--policy supervised] [--config configs/quickstart.yaml]
           [--heading "heading of docs/results.md"] [--program build/foresight] [--to data/scorers]

RUN: a run's folder with config.yaml and evaluation.json. NAME: of the file, without .safetensors. The program exports the
scorer; paths of this machine are removed from the config in the file. The figures are those of evaluation.json; they
must also be under --heading of docs/results.md, which tests/scripts/test_scorers.py checks.
"""

import argparse
import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "scripts" / "python" / "src"))

import safetensors  # noqa: E402
import safetensors.torch  # noqa: E402

from foresight_kv.errors import ForesightError  # noqa: E402
from foresight_kv.scorer_file import DIGEST_KEY, read_scorer, scorer_digest  # noqa: E402
from foresight_kv.staged_file import staged_text  # noqa: E402

MOST_BYTES = 2_000_000
MEASURES = ("loss", "loss_rise", "low_entropy_loss_rise")
ABSOLUTE_PATH = re.compile(r"(?<![\w.:/-])~?/(?:[^\s\"',\[\]{}/]+/)*([^\s\"',\[\]{}/]+)/?")


def fail(message):
    """Ends the script with a message."""
    sys.exit(f"ship_scorer.py: {message}")


def without_paths(text):
    """A config whose absolute paths are cut to their last name."""
    return ABSOLUTE_PATH.sub(lambda found: found[1], text)


def json_of(file):
    """The object in a JSON file."""
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as fault:
        fail(f"{file}: not readable as JSON ({fault}); name the folder of a run that `foresight evaluate` has finished")


def exported(program, run, policy, folder):
    """The file that the program exports. Its config names no path of this machine."""
    file = folder / "scorer.safetensors"
    command = [program, "export", "--config", run / "config.yaml", "--policy", policy, "--out", file]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    if done.returncode != 0:
        fail(f"{' '.join(map(str, command[:2]))} ended with {done.returncode}: {done.stderr.strip()}")
    with safetensors.safe_open(file, framework="pt") as opened:
        metadata, tensors = opened.metadata(), {name: opened.get_tensor(name) for name in opened.keys()}
    clean = {key: without_paths(value) for key, value in metadata.items()}
    if clean != metadata:
        clean[DIGEST_KEY] = scorer_digest({name: ("F32", tensor) for name, tensor in tensors.items()}, clean)
        safetensors.torch.save_file(tensors, file, metadata=clean)
    return file, clean


def entry_of(file, metadata, evaluation, given):
    """The entry of a scorer in index.json."""
    facts = read_scorer(file).facts
    policies = evaluation.get("policies", {})
    if given.policy not in policies:
        fail(f"{given.run}/evaluation.json: has no policy {given.policy}, but {', '.join(policies)}")
    if (evaluation["budget"], evaluation["window"]) != (facts.budget, facts.window):
        fail(
            f"{given.run}: evaluated at budget {evaluation['budget']} and window {evaluation['window']}, the scorer was trained "
            f"at {facts.budget} and {facts.window}; evaluate the run as it was trained"
        )
    model = re.search(r"^\s*path:\s*\"?([^\s\"#]+)", facts.config, re.MULTILINE)
    return {
        "file": f"{given.name}.safetensors",
        "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
        "model": Path(model[1]).name if model else "",
        "model_fingerprint": facts.model_fingerprint,
        "config": given.config,
        "policy": given.policy,
        "features": facts.features,
        "budget": facts.budget,
        "window": facts.window,
        "protect_sinks": facts.protect_sinks,
        "protect_prompt": facts.protect_prompt,
        "code_version": metadata.get("code_version", ""),
        "results": given.heading,
        "traces": policies[given.policy]["traces"],
        "tokens": policies[given.policy]["tokens"],
        "figures": {name: {measure: values[measure] for measure in MEASURES} for name, values in policies.items()},
    }


def ship(given):
    """Puts the file and its entry in place. Returns the entry."""
    evaluation = json_of(given.run / "evaluation.json")
    index = given.to / "index.json"
    entries = json_of(index)["scorers"] if index.exists() else []
    with tempfile.TemporaryDirectory(dir=given.to) as folder:
        file, metadata = exported(given.program, given.run, given.policy, Path(folder))
        if file.stat().st_size > MOST_BYTES:
            fail(f"{given.name}: has {file.stat().st_size} bytes, scorers in the repository have at most {MOST_BYTES}")
        entry = entry_of(file, metadata, evaluation, given)
        file.chmod(0o644)
        os.replace(file, given.to / entry["file"])
    others = [other for other in entries if other["file"] != entry["file"]]
    with staged_text(index) as out:
        scorers = sorted([*others, entry], key=lambda known: known["file"])
        out.write(json.dumps({"schema_version": 1, "scorers": scorers}, indent=1) + "\n")
    return entry


def main(arguments=None):
    """The command."""
    parser = argparse.ArgumentParser(description="Add the scorer of a finished run to data/scorers.")
    parser.add_argument("run", type=Path)
    parser.add_argument("name")
    parser.add_argument("--policy", default="supervised", choices=("supervised", "grpo"))
    parser.add_argument("--config", default="configs/quickstart.yaml", help="the config of the repository that the run had")
    parser.add_argument("--heading", default="Quickstart", help="a heading of docs/results.md that the figures stand under")
    parser.add_argument("--program", type=Path, default=ROOT / "build" / "foresight")
    parser.add_argument("--to", type=Path, default=ROOT / "data" / "scorers")
    given = parser.parse_args(arguments)
    if not re.fullmatch(r"[a-z0-9_]+", given.name):
        fail(f"NAME has small letters, digits and _, got '{given.name}'")
    try:
        entry = ship(given)
    except ForesightError as fault:
        fail(str(fault))
    figures = entry["figures"][entry["policy"]]
    print(f"{given.to / entry['file']}: {entry['sha256']}, loss rise {figures['loss_rise']:+.4f} over {entry['traces']} traces")


if __name__ == "__main__":
    main()
