#!/usr/bin/env python3
"""Writes this repository's own sources and documents as trace rows to data/texts: code_train.jsonl, code_heldout.jsonl,
sources_train.jsonl and documents_train.jsonl.

A row of code is one source file, {"id": path, "text": content}, which a trace cuts off; sources and documents are cut into
pieces of about a trace. Folders are held out or trained on, tests with what they test, so that no file of the held-out set has
a sibling in a training set. Of documents the prose is taken, without tables and commands. data/texts/README.md names the
commits of the rows kept there.

    python3 scripts/make_texts.py COMMIT_OF_SOURCES COMMIT_OF_DOCUMENTS
"""

import json
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
HELD_OUT = ["golden_eviction", "rl", "data", "trainer/generation", "trainer/eviction"]
TESTS_OF_HELD_OUT = ["tests/golden_eviction", "tests/rl", "tests/data", "tests/generation", "tests/eviction", "tests/stages"]
CODE = ["trainer/config", "trainer/text", "scripts"]
TRAINING = ["trainer", "scripts", "tests"]
SOURCES = {".cpp", ".h", ".py", ".sh"}
LEAST_BYTES = 3600  # about 1,024 tokens: shorter rows would share a trace with the next one
PIECE_BYTES = 4200  # of a file that is cut


def git(*arguments: str) -> str:
    """The output of git for these arguments."""
    return subprocess.check_output(["git", *arguments], cwd=ROOT, text=True)


def files(commit: str, kinds: set[str], folders: list[str]) -> list[tuple[str, str]]:
    """Path and text of the files of these kinds and folders that are long enough, in path order."""
    found = []
    for name in sorted(git("ls-tree", "-r", "--name-only", commit, *folders).splitlines()):
        if pathlib.Path(name).suffix in kinds:
            text = git("show", f"{commit}:{name}")
            if len(text.encode()) >= LEAST_BYTES:
                found.append((name, text))
    return found


def pieces(name: str, text: str) -> list[tuple[str, str]]:
    """A file cut at ends of lines, each piece of PIECE_BYTES and the rest of its last line; a short rest is left out."""
    cut, piece = [], ""
    for line in text.splitlines(keepends=True):
        piece += line
        if len(piece.encode()) >= PIECE_BYTES:
            cut.append(piece)
            piece = ""
    if len(piece.encode()) >= LEAST_BYTES:
        cut.append(piece)
    return [(f"{name} {number}", part) for number, part in enumerate(cut, 1)]


def prose(text: str) -> str:
    """A document in Markdown without its tables and indented blocks."""
    lines = [line for line in text.splitlines() if not line.startswith(("|", "    "))]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines))


def write(name: str, rows: list[tuple[str, str]]) -> None:
    lines = [json.dumps({"id": path, "text": text}) + "\n" for path, text in rows]
    (ROOT / "data/texts" / f"{name}.jsonl").write_text("".join(lines), encoding="utf-8")
    print(f"{name}: {len(lines)} rows")


def main() -> None:
    if len(sys.argv) != 3:
        sys.exit("usage: make_texts.py COMMIT_OF_SOURCES COMMIT_OF_DOCUMENTS")
    sources, documents = sys.argv[1:]
    apart = tuple(f"{held_out}/" for held_out in HELD_OUT + TESTS_OF_HELD_OUT)
    training = [file for file in files(sources, SOURCES, TRAINING) if not file[0].startswith(apart)]
    write("code_train", files(sources, SOURCES, CODE))
    write("code_heldout", files(sources, SOURCES, HELD_OUT))
    write("sources_train", [piece for file in training for piece in pieces(*file)])
    texts = [(name, prose(text)) for name, text in files(documents, {".md"}, ["."])]
    write("documents_train", [piece for text in texts for piece in pieces(*text)])


if __name__ == "__main__":
    main()
