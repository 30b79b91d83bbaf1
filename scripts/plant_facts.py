#!/usr/bin/env python3
"""Texts that come back to what they stated long ago, made of traces: numbers are stated between their sentences and asked
for later. A scorer that trains on them can learn to keep such entries (docs/results.md, "Planted facts").

    scripts/plant_facts.py runs/written_train/traces.jsonl facts.jsonl
    scripts/plant_facts.py --varied runs/written_train/traces.jsonl runs/prose/traces.jsonl varied.jsonl
"""
import argparse
import json
import random
import re
import sys

THINGS = ["ticket", "door", "box", "ship", "bus", "locker", "jacket", "key", "crate", "letter", "bicycle", "table"]


# What a fact is called, how it is stated and how it is asked for.
WORDINGS = [
    ("Note that the number on the {} is {}.", "Which number is on the {0}? The number on the {0} is {1}."),
    ("Remember: the {} costs {} coins.", "How much is the {0}? It costs {1} coins."),
    ("By the way, the {} weighs {} grams.", "So what does the {0} weigh? It weighs {1} grams."),
    ("They wrote {1} on the back of the {0}.", "On the back of the {0} they had written {1}."),
    ("{1} people had seen the {0} that year.", "The {0}, as we know, was seen by {1} people."),
    ("The owner of the {} can be reached at {}.", "To reach the owner of the {0}, call {1}."),
    ("The {} was made in the workshop of Mr {}.", "In whose workshop was the {0} made? In that of Mr {1}."),
    ("Behind the {} lives a woman named {}.", "Who lives behind the {0}? A woman named {1}."),
]
NAMES_FROM = 6  # the wordings from here on take a name instead of a number
SYLLABLES = ["ba", "dor", "el", "fin", "gra", "hul", "ka", "lo", "mir", "no", "par", "quin", "ros", "sta", "tel", "vo"]


def drawn_fact(thing, draw, varied):
    """The sentences that state a fact about a thing and that ask for it."""
    wording = draw.randrange(len(WORDINGS)) if varied else 0
    if wording >= NAMES_FROM:
        what = "".join(draw.sample(SYLLABLES, 3)).capitalize()
    elif varied:
        what = draw.randrange(10 ** draw.randrange(2, 5), 10 ** draw.randrange(5, 7))
    else:
        what = draw.randrange(10_000, 100_000)
    return [sentence.format(thing, what) for sentence in WORDINGS[wording]]


def planted(lines, facts, draw, varied):
    """The lines as one text, with `facts` facts stated in the first half and asked for in the second, in any order."""
    half = len(lines) // 2
    inserted = []
    for thing in draw.sample(THINGS, facts):
        stated, asked = drawn_fact(thing, draw, varied)
        inserted += [(draw.randrange(half), stated), (draw.randrange(half, len(lines)), asked)]
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


def sentences_of(completion):
    """Its sentences, each once: a small model repeats itself."""
    sentences = [part.strip() for line in completion.splitlines() for part in re.split(r"(?<=[.!?]) ", line)]
    return list(dict.fromkeys(sentence for sentence in sentences if sentence))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("traces", nargs="+", help="JSONL of `foresight traces`; one after the other")
    parser.add_argument("out", help="JSONL to write: rows with `text`")
    parser.add_argument("--characters", type=int, default=5000, help="of a text, about (default 5000)")
    parser.add_argument("--facts", type=int, default=6, help="in a text (default 6, at most %d)" % len(THINGS))
    parser.add_argument("--varied", action="store_true",
                        help="facts in many wordings, numbers of 3 to 6 digits and names, between sentences that do not recur")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    if not 1 <= arguments.facts <= len(THINGS):
        sys.exit(f"plant_facts: --facts is {arguments.facts}, expected 1 to {len(THINGS)}")
    completions = [completion for path in arguments.traces for completion in completions_of(path)]
    draw = random.Random(arguments.seed)
    rows, lines = [], []
    for completion in completions:
        lines += sentences_of(completion) if arguments.varied else [line for line in completion.splitlines() if line.strip()]
        if sum(map(len, lines)) >= arguments.characters:
            rows.append({"text": planted(lines, arguments.facts, draw, arguments.varied)})
            lines = []
    if arguments.varied:
        draw.shuffle(rows)
    with open(arguments.out, "w", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
    print(f"{len(rows)} texts with {arguments.facts} facts each")


if __name__ == "__main__":
    main()
