#!/usr/bin/env python3
"""Writes data/texts/code_train.jsonl and code_heldout.jsonl: this repository's own sources as trace rows.

A row is one source file, {"id": path, "text": content}. Folders are assigned to one of the two sets, so that no
file of the held-out set has a sibling in the training set. data/texts/README.md names the commit of the rows kept there.

    python3 scripts/make_code_texts.py COMMIT
"""

import json
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
SETS = {
    "code_train": ["trainer/config", "trainer/text", "scripts"],
    "code_heldout": ["golden_eviction", "rl", "data", "trainer/generation", "trainer/eviction"],
}
LEAST_BYTES = 3600  # about 1,024 tokens: shorter files would be cut off by packing


def git(*arguments: str) -> str:
    """The output of git for these arguments."""
    return subprocess.check_output(["git", *arguments], cwd=ROOT, text=True)


def rows(commit: str, folders: list[str]) -> list[str]:
    """One JSON line per source file of these folders that is long enough, in path order."""
    lines = []
    for name in sorted(git("ls-tree", "-r", "--name-only", commit, *folders).splitlines()):
        if pathlib.Path(name).suffix not in {".cpp", ".h", ".py", ".sh"}:
            continue
        text = git("show", f"{commit}:{name}")
        if len(text.encode()) >= LEAST_BYTES:
            lines.append(json.dumps({"id": name, "text": text}))
    return lines


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit("usage: make_code_texts.py COMMIT")
    folder = ROOT / "data/texts"
    folder.mkdir(parents=True, exist_ok=True)
    for name, folders in SETS.items():
        lines = rows(sys.argv[1], folders)
        (folder / f"{name}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
        print(f"{name}: {len(lines)} rows")


if __name__ == "__main__":
    main()
