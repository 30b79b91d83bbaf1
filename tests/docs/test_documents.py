#!/usr/bin/env python3
"""Runs every command block of README.md, docs/tutorial.md and docs/commands.md, in smaller sizes, in a folder of its own.

usage: test_documents.py [--program FILE] [--python FILE] [DOCUMENT ...]

The folder looks like the repository (links to it). `build/foresight` there is a wrapper that puts a small config on top of every config
that a command names: fewer traces, steps and tokens of the same model. NOT_RUN lists, with the reason, commands that
would repeat earlier work or that need what no test machine has; an entry that is in no document is an error.
"""
import argparse
import json
import os
import pathlib
import random
import re
import struct
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).parents[2]
LINKS = ["configs", "data", "docs", "models", "scripts", "tests", ".venv", ".venv-python"]

# A line of a document -> why it is not run.
NOT_RUN = {
    "scripts/test.sh": "it runs this test",
    "scripts/quickstart.sh": "set-up and build have been done; its third part is run in its place",
    "scripts/setup.sh --model": "has been done",
    "scripts/build.sh --target foresight": "has been done",
    "scripts/python/setup.sh": "has been done",
}
# Run in addition, in place of commands that are not run.
IN_PLACE = {"scripts/quickstart.sh": "build/foresight run --config configs/quickstart.yaml"}

SMALL = """\
traces: {max_new_tokens: 64, batch: 40, temperature: 1.2}
data: {trace_tokens: 320, max_train_traces: 3, validation_traces: 1}
eviction: {budget: 64, window: 16}
supervised: {steps: 4, save_every: 4, evaluate_every: 4}
grpo: {steps: 1, traces_per_step: 1, group_size: 2, save_every: 1, evaluate_every: 1}
evaluation: {policies: [full, golden, supervised, rkv, random], max_traces: 2, random_seeds: 1}
generation: {policy: supervised, max_new_tokens: 8}
runtime: {threads: 2}
"""

WRAPPER = """\
#!/usr/bin/env bash
# The real program, with small.yaml on top of the config that a command names.
arguments=("$@")
for word in "$@"; do
  if [[ $word == --config ]]; then arguments+=(--set-file "$FORESIGHT_TEST_SMALL"); break; fi
done
exec "$FORESIGHT_TEST_PROGRAM" "${arguments[@]}"
"""


def blocks(document):
    """(line number, language, text) of each fenced block."""
    found, start, language, lines = [], None, "", []
    for number, line in enumerate(document.read_text().splitlines(), 1):
        if line.startswith("```") and start is None:
            start, language, lines = number, line[3:].strip(), []
        elif line.startswith("```"):
            found.append((start, language, "\n".join(lines) + "\n"))
            start = None
        elif start is not None:
            lines.append(line)
    if start is not None:
        sys.exit(f"{document}:{start}: a block that does not end")
    return found


def command_of(line):
    """The command without its comment."""
    return re.sub(r"\s+#.*$", "", line).strip()


def write_captured_attention(file, query_heads=4, kv_heads=2, tokens=420, dimension=8):
    """Random queries and keys, as a user captures them: safetensors, written by hand."""
    generator = random.Random(1)
    header, body = {}, b""
    for name, heads in (("query", query_heads), ("key", kv_heads)):
        values = struct.pack(f"<{heads * tokens * dimension}f", *(generator.gauss(0, 1) for _ in range(heads * tokens * dimension)))
        header[name] = {"dtype": "F32", "shape": [heads, tokens, dimension], "data_offsets": [len(body), len(body) + len(values)]}
        body += values
    text = json.dumps(header).encode()
    file.write_bytes(struct.pack("<Q", len(text)) + text + body)


class Sandbox:
    """A folder that looks like the repository, and the environment of its commands."""

    def __init__(self, folder, program):
        self.folder = folder
        for name in LINKS:
            if (ROOT / name).exists():
                (folder / name).symlink_to(ROOT / name)
        (folder / "build").mkdir()
        wrapper = folder / "build/foresight"
        wrapper.write_text(WRAPPER)
        wrapper.chmod(0o755)
        (folder / "small.yaml").write_text(SMALL)
        write_captured_attention(folder / "captured.safetensors")
        self.environment = dict(
            os.environ, FORESIGHT_TEST_PROGRAM=str(program), FORESIGHT_TEST_SMALL=str(folder / "small.yaml"),
            OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1", OMPI_MCA_rmaps_base_oversubscribe="1",
            OMPI_MCA_hwloc_base_binding_policy="none", HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="false")

    def run(self, place, command):
        """Ends the test where the command fails."""
        started = time.monotonic()
        done = subprocess.run(command, cwd=self.folder, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode != 0:
            sys.exit(f"{place}: exit code {done.returncode}\n{command[-1]}\n{done.stdout[-4000:]}")
        print(f"{place}: {time.monotonic() - started:.0f} s", flush=True)


def run_document(document, sandbox, python, skipped):
    for number, language, text in blocks(document):
        place = f"{document.relative_to(ROOT)}:{number}"
        if language == "python":
            script = sandbox.folder / "block.py"
            script.write_text(text)
            sandbox.run(place, [str(python), str(script)])
            continue
        if language not in ("", "bash"):
            continue
        lines = []
        for line in text.splitlines():
            command = command_of(line)
            if command in NOT_RUN:
                skipped.add(command)
                lines.append(IN_PLACE.get(command, ""))
            else:
                lines.append(line)
        if any(line.strip() for line in lines):
            sandbox.run(place, ["bash", "-c", "set -euo pipefail\n" + "\n".join(lines)])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--program", type=pathlib.Path, default=ROOT / "build/foresight")
    parser.add_argument("--python", type=pathlib.Path, default=ROOT / ".venv-python/bin/python")
    parser.add_argument("documents", nargs="*", type=pathlib.Path,
                        default=[ROOT / name for name in ("README.md", "docs/tutorial.md", "docs/commands.md")])
    options = parser.parse_args()
    skipped = set()
    for document in options.documents:
        with tempfile.TemporaryDirectory() as folder:
            run_document(document.resolve(), Sandbox(pathlib.Path(folder), options.program.resolve()), options.python.absolute(), skipped)
    if len(options.documents) > 1 and skipped != set(NOT_RUN):
        sys.exit(f"no document holds: {sorted(set(NOT_RUN) - skipped)}")
    for command in sorted(skipped):
        print(f"not run: {command} ({NOT_RUN[command]})")


if __name__ == "__main__":
    main()
