#!/usr/bin/env python3
"""Runs clang-tidy over the project's sources, many files in one run.

usage: scripts/tidy.py [--build FOLDER] [--jobs N] [FILE ...]

A run over one file that includes torch spends a minute in torch's headers and a second in the file. So files with the
same compile flags are joined into batches, each one translation unit that includes the .cpp files in turn. Files whose
helpers share a name with another's go to a batch of their own. Findings are those in the project's own files;
each is an error, and the exit status is 1 if there is one. Without FILE, all that the build folder compiles is checked.
"""

import argparse
import functools
import json
import os
import re
import shlex
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TOOL = "clang-tidy-14"
# Definitions at the left margin of an anonymous namespace, where clang-format puts them: types, functions, variables. The
# same alias in two files is not a clash.
ANONYMOUS = re.compile(r"^namespace \{$(.*?)^\}  // namespace$", re.MULTILINE | re.DOTALL)
HELPER = re.compile(
    r"^(?:(?:class|struct|enum class|using|namespace(?= \w+ =)) (\w+)"
    r"|(?!namespace|[A-Z_]+\()[^\s#/}].*?\b(\w+)(?= ?[({=;\[])).*", re.MULTILINE)
ALIAS = re.compile(r"(using|namespace) \w+ = .*;")
COMPILE_ERROR = "[clang-diagnostic-error]"
INCLUDE = re.compile(r'^#include "(.+)"', re.MULTILINE)
JOINED = re.compile(r'^#include "(/.+\.cpp)"$', re.MULTILINE)
FINDING = re.compile(r"^\S+:\d+:\d+: (?:warning|error): ")


def clean_flags(command):
    """The flags of a compile command that clang needs: without output, input and gcc's precompiled header."""
    words = iter(shlex.split(command))
    for word in words:  # up to the compiler, past a launcher such as ccache
        if re.fullmatch(r"(.*/)?(c\+\+|g\+\+|clang\+\+)[-.0-9]*", word):
            break
    paths, others = [], ["-Wno-unknown-warning-option"]
    for word in words:
        if word in ("-o", "-c", "-include"):
            next(words)
        elif word == "-isystem":
            paths += [word, next(words)]
        elif word.startswith("-I"):
            paths.append(word)
        elif word != "-Winvalid-pch" and not word.startswith("-fsanitize"):
            others.append(word)
    return (*paths, *sorted(others))  # sorted, as CMake's order differs from folder to folder


def sources_of(path):
    """The sources that one compile command is for: the file, or those that CMake has joined in it (FORESIGHT_TOGETHER)."""
    if path.parent.name != "Unity":
        return [path]
    return [Path(name) for name in JOINED.findall(path.read_text())]


def read_commands(build):
    """{path: flags} of the project's own sources; the first command counts where a file is compiled more than once."""
    database = build / "compile_commands.json"
    if not database.is_file():
        sys.exit(f"tidy.py: {database} is not there: run scripts/build.sh first")
    commands = {}
    for entry in json.loads(database.read_text()):
        for path in sources_of(Path(entry["file"]).resolve()):
            ours = path.is_relative_to(ROOT) and not path.is_relative_to(build)
            if ours and path.exists() and path != ROOT / "tests" / "main.cpp":  # that file is only Catch2's main
                commands.setdefault(path, clean_flags(entry["command"]))
    return commands


@functools.cache
def read(path):
    return path.read_text()


def defined_names(text):
    """name -> the line that defines it, of definitions at the left margin."""
    return {match[1] or match[2]: match[0] for match in HELPER.finditer(text)}


def reached_headers(path, known):
    """`path` and the project's headers that it includes, directly or not, without those in `known`."""
    found, waiting = [], [path]
    while waiting:
        current = waiting.pop()
        if current not in found and current not in known and current.is_file():
            found.append(current)
            waiting += [ROOT / name for name in INCLUDE.findall(read(current))]
    return found


class Batch:
    """Files that compile as one translation unit."""

    def __init__(self, flags):
        self.flags = flags
        self.paths = []
        self.headers = set()
        self.owned = {}  # helper's name -> the file that defines it, or the text of an alias
        self.shared = set()  # names in headers

    def take(self, path):
        """Adds the file unless one of its helpers has the name of another definition; returns whether it did.

        Helpers are definitions that only one source sees: in anonymous namespaces, and in headers of tests, which other tests may repeat.
        """
        owned, shared = {}, set()
        for file in reached_headers(path, self.headers):
            text = read(file)
            for block in ANONYMOUS.findall(text):
                owned.update({name: line if ALIAS.fullmatch(line) else file for name, line in defined_names(block).items()})
            if file.suffix == ".h" and file.is_relative_to(ROOT / "tests"):
                owned.update(dict.fromkeys(defined_names(text), file))
            elif file.suffix == ".h":
                shared.update(defined_names(text))
        clash = any(self.owned.get(name, what) != what for name, what in owned.items())
        if self.paths and (clash or self.shared & owned.keys() or shared & self.owned.keys()):
            return False
        self.paths.append(path)
        self.headers.update(header for header in reached_headers(path, self.headers) if header.suffix == ".h")
        self.owned.update(owned)
        self.shared |= shared
        return True


def make_batches(commands):
    """Batches of files with the same flags, each file in the first that takes it."""
    batches = []
    for path, flags in sorted(commands.items()):
        if not any(batch.flags == flags and batch.take(path) for batch in batches):
            batches.append(Batch(flags))
            batches[-1].take(path)
    return batches


def check_batch(source, batch, header_filter):
    """Runs clang-tidy on one batch; returns (seconds, exit status, output)."""
    started = time.monotonic()
    # torch first: c10 defines CHECK, and Catch2's must come after it whichever file leads the batch.
    head = "#include <torch/types.h>\n" if any("/csrc/api/" in flag for flag in batch.flags) else ""
    source.write_text(head + "".join(f'#include "{path.relative_to(ROOT)}"\n' for path in batch.paths))
    command = [TOOL, "--quiet", f"--config-file={ROOT / '.clang-tidy'}", f"--header-filter={header_filter}"]
    result = subprocess.run([*command, str(source), "--", *batch.flags], cwd=ROOT, stdin=subprocess.DEVNULL,
                            capture_output=True, text=True, check=False)
    return time.monotonic() - started, result.returncode, result.stdout + result.stderr


def new_findings(output, told):
    """The findings (with the lines that explain them) not printed before, as many batches see the same header.

    If the batch does not compile, only the errors, because other checks then report what the parser guessed.
    """
    keep, kept, broken = False, [], COMPILE_ERROR in output
    for line in output.splitlines():
        if FINDING.match(line):
            keep = line not in told and (not broken or COMPILE_ERROR in line)
            if keep:
                told.add(line)
        elif re.match(r"^\d+ warnings? (and \d+ errors? )?generated\.", line):
            keep = False
        if keep:
            kept.append(line.replace(f"{ROOT}/", ""))
    return kept


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=Path, default=ROOT / "build")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("files", type=Path, nargs="*")
    arguments = parser.parse_args()
    build = arguments.build.resolve()
    commands = read_commands(build)
    if arguments.files:
        wanted = {file.resolve() for file in arguments.files}
        commands = {path: flags for path, flags in commands.items() if path in wanted}
    tops = sorted({path.relative_to(ROOT).parts[0] for path in commands})
    header_filter = f"^{re.escape(str(ROOT))}/({'|'.join(tops)})/"
    folder = build / "lint"
    folder.mkdir(exist_ok=True)
    told, failed = set(), False
    with ThreadPoolExecutor(max(1, arguments.jobs)) as pool:
        running = {pool.submit(check_batch, folder / f"batch_{number}.cpp", batch, header_filter): len(batch.paths)
                   for number, batch in enumerate(make_batches(commands))}
        for done in as_completed(running):
            seconds, status, output = done.result()
            print(f"clang-tidy: {running[done]} files in {seconds:.0f} s", flush=True)
            if COMPILE_ERROR in output and running[done] > 1:
                print("clang-tidy: if g++ compiles these files, they share the name of a helper: rename one")
            findings = new_findings(output, told)
            print("\n".join(findings), end="\n" if findings else "")
            if status != 0:
                failed = True
                if not findings and not FINDING.search(output):
                    print(output)
    print(f"clang-tidy: {len(commands)} files, {len(told)} findings")
    return 1 if failed or told else 0


if __name__ == "__main__":
    sys.exit(main())
