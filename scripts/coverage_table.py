#!/usr/bin/env python3
"""Prints the covered share of lines and branches of each folder, and the files with the most unreached lines.

usage: scripts/coverage_table.py SUMMARY.JSON   (as gcovr --json-summary writes it; scripts/coverage.sh calls this)
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path, PurePosixPath

FEWEST = 10  # files of the second table


def table(files: list[dict]) -> str:
    """The tables of gcovr's list of files."""
    totals: Counter[tuple[str, str]] = Counter()
    for entry in files:
        for folder in (str(PurePosixPath(entry["filename"]).parent), "all"):
            for key in ("line_total", "line_covered", "branch_total", "branch_covered"):
                totals[folder, key] += entry[key]
    folders = sorted({folder for folder, _ in totals} - {"all"}) + ["all"]

    def share(folder: str, what: str) -> str:
        total = totals[folder, f"{what}_total"]
        return f"{100 * totals[folder, f'{what}_covered'] / total:.1f} %" if total else "-"

    lines = ["| folder | lines | reached | branches taken |", "|---|---|---|---|"]
    lines += [
        f"| {folder} | {totals[folder, 'line_total']} | {share(folder, 'line')} | {share(folder, 'branch')} |" for folder in folders
    ]
    missed = sorted(files, key=lambda entry: entry["line_covered"] - entry["line_total"])[:FEWEST]
    lines += ["", "Files with the most lines not reached:"]
    lines += [f"{entry['line_total'] - entry['line_covered']:5d} {entry['filename']}" for entry in missed]
    return "\n".join(lines)


def main() -> int:
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    print(table(json.loads(Path(sys.argv[1]).read_text())["files"]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
