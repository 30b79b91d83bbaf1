#!/usr/bin/env python3
"""Texts that come back to what they stated long ago, made of traces: numbers are stated between their sentences and asked
for later. A scorer that trains on them can learn to keep such entries (docs/results.md, "Planted facts").

    scripts/plant_facts.py runs/written_train/traces.jsonl facts.jsonl
"""
import argparse
import json
import random
import sys

THINGS = ["ticket", "door", "box", "ship", "bus", "locker", "jacket", "key", "crate", "letter", "bicycle", "table"]


def stated(thing, number):
    return f"Note that the number on the {thing} is {number}."


def asked(thing, number):
    return f"Which number is on the {thing}? The number on the {thing} is {number}."


def planted(lines, facts, draw):
    """The lines as one text, with `facts` numbers stated in the first half and asked for in the second, in any order."""
    half = len(lines) // 2
    inserted = []
    for thing in draw.sample(THINGS, facts):
        number = draw.randrange(10_000, 100_000)
        inserted += [(draw.randrange(half), stated(thing, number)), (draw.randrange(half, len(lines)), asked(thing, number))]
    for place, sentence in sorted(inserted, reverse=True):
        lines = lines[:place] + [sentence] + lines[place:]
    return "\n".join(lines)


def completions_of(path):
    """The completion of every row; ends the script, naming the line, where there is none."""
    completions = []
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                completions.append(json.loads(line)["completion"])
            except (ValueError, TypeError, KeyError):
                sys.exit(f"plant_facts: {path}:{number}: expected a row with `completion`, as `foresight traces` writes it")
    return completions


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("traces", help="JSONL of `foresight traces`")
    parser.add_argument("out", help="JSONL to write: rows with `text`")
    parser.add_argument("--characters", type=int, default=5000, help="of a text, about (default 5000)")
    parser.add_argument("--facts", type=int, default=6, help="in a text (default 6, at most %d)" % len(THINGS))
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    if not 1 <= arguments.facts <= len(THINGS):
        sys.exit(f"plant_facts: --facts is {arguments.facts}, expected 1 to {len(THINGS)}")
    completions = completions_of(arguments.traces)
    draw = random.Random(arguments.seed)
    rows, lines = [], []
    for completion in completions:
        lines += [line for line in completion.splitlines() if line.strip()]
        if sum(map(len, lines)) >= arguments.characters:
            rows.append({"text": planted(lines, arguments.facts, draw)})
            lines = []
    with open(arguments.out, "w", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
    print(f"{len(rows)} texts with {arguments.facts} facts each")


if __name__ == "__main__":
    main()
