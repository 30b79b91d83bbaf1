#!/usr/bin/env python3
"""Writes a Parquet file with the columns of OpenR1-Math-220k, for the tutorial: small problems with worked generations.

usage: .venv-python/bin/python scripts/make_openr1_rows.py math.parquet [--rows 200] [--seed 1]

The problems and their reasoning are made here, from sentences of this project; nothing is taken from the data set. As there, a
row has several generations, some are cut, some are wrong, and in a few rows none is right.
"""

import argparse
import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

NAMES = ("Ada", "Bo", "Carla", "Deniz", "Emeka", "Fatima", "Goran", "Hana")
THINGS = ("apples", "tiles", "stamps", "screws", "books", "bottles", "seeds", "bricks")
SCHEMA = pa.schema(
    [
        ("problem", pa.string()), ("solution", pa.string()), ("answer", pa.string()), ("problem_type", pa.string()),
        ("question_type", pa.string()), ("source", pa.string()), ("uuid", pa.string()),
        ("is_reasoning_complete", pa.list_(pa.bool_())), ("generations", pa.list_(pa.string())),
        ("correctness_math_verify", pa.list_(pa.bool_())), ("correctness_llama", pa.list_(pa.bool_())),
        ("finish_reasons", pa.list_(pa.string())), ("correctness_count", pa.int64()),
        ("messages", pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))),
    ]
)  # fmt: skip


def product(choice):
    """(problem, steps, answer): things in boxes, some of which are given away."""
    name, things = choice.choice(NAMES), choice.choice(THINGS)
    boxes, each, given = choice.randrange(12, 60), choice.randrange(13, 90), choice.randrange(10, 100)
    tens, ones = boxes // 10 * 10, boxes % 10
    whole = boxes * each
    problem = f"{name} has {boxes} boxes with {each} {things} in each and gives {given} {things} away. How many {things} are left?"
    steps = [
        f"There are {boxes} boxes of {each}, so I need {boxes} times {each}.",
        f"I split {boxes} into {tens} and {ones}: {tens} times {each} is {tens * each}, and {ones} times {each} is {ones * each}.",
        f"Together that is {tens * each} + {ones * each} = {whole} {things}.",
        f"{name} gives {given} away, so {whole} - {given} = {whole - given} are left.",
        f"Let me check it backwards: {whole - given} + {given} = {whole}, and {whole} divided by {each} is {boxes}, as many boxes as "
        f"{name} has.",
    ]
    return problem, steps, whole - given


def sequence(choice):
    """(problem, steps, answer): the sum of an arithmetic sequence."""
    first, step, terms = choice.randrange(2, 40), choice.randrange(2, 12), choice.randrange(8, 30)
    last = first + (terms - 1) * step
    problem = f"A sequence begins with {first}, and each term is {step} more than the one before. What is the sum of {terms} terms?"
    steps = [
        f"The terms are {first}, {first + step}, {first + 2 * step} and so on.",
        f"The last of {terms} terms is {first} + {terms - 1} times {step}. {terms - 1} times {step} is {(terms - 1) * step}, so it is "
        f"{last}.",
        f"The first and the last add up to {first} + {last} = {first + last}, and so do the second and the last but one.",
        f"So the sum is {terms} times {first + last}, divided by 2: {terms * (first + last)} / 2 = {terms * (first + last) // 2}.",
        f"Let me check the mean: ({first} + {last}) / 2 = {(first + last) / 2:g}, and {terms} times that is {terms * (first + last) // 2}.",
    ]
    return problem, steps, terms * (first + last) // 2


def journey(choice):
    """(problem, steps, answer): two parts of a journey."""
    name = choice.choice(NAMES)
    one, two, hours, more = choice.randrange(40, 90), choice.randrange(45, 110), choice.randrange(2, 7), choice.randrange(2, 6)
    problem = f"{name} drives {hours} hours at {one} km/h and then {more} hours at {two} km/h. How far is that in kilometres?"
    steps = [
        f"In the first part {name} drives {hours} hours at {one} km/h, which is {hours} times {one} = {hours * one} km.",
        f"In the second part {name} drives {more} hours at {two} km/h, which is {more} times {two} = {more * two} km.",
        f"Both parts together are {hours * one} + {more * two} = {hours * one + more * two} km.",
        f"Let me check with the time: {hours} + {more} = {hours + more} hours for {hours * one + more * two} km is about "
        f"{(hours * one + more * two) / (hours + more):.1f} km/h, which lies between {one} and {two}.",
    ]
    return problem, steps, hours * one + more * two


def row_of(number, choice):
    """A row with the data set's columns."""
    problem, steps, answer = choice.choice((product, sequence, journey))(choice)
    solution = " ".join(steps[:-1])
    right = f"<think>\n{' '.join(steps)}\n</think>\n\n{solution} The answer is \\boxed{{{answer}}}."
    wrong = right.replace(f"\\boxed{{{answer}}}", f"\\boxed{{{answer + choice.randrange(1, 9)}}}")
    cut = right[: len(right) // 3]
    kinds = choice.choice((("right", "wrong"), ("right", "cut"), ("wrong", "right"), ("right", "right"), ("cut", "right"), ("wrong", "cut")))
    texts = {"right": right, "wrong": wrong, "cut": cut}
    correct = [kind == "right" for kind in kinds]
    return {
        "problem": problem, "solution": solution, "answer": str(answer), "problem_type": "Algebra", "question_type": "math-word-problem",
        "source": "made", "uuid": f"made-{number:06}", "is_reasoning_complete": [kind != "cut" for kind in kinds],
        "generations": [texts[kind] for kind in kinds], "correctness_math_verify": correct, "correctness_llama": None,
        "finish_reasons": ["length" if kind == "cut" else "stop" for kind in kinds], "correctness_count": sum(correct),
        "messages": [{"role": "user", "content": problem}, {"role": "assistant", "content": right}],
    }  # fmt: skip


def main():
    """The command."""
    parser = argparse.ArgumentParser(description="Write a Parquet file with the columns of OpenR1-Math-220k.")
    parser.add_argument("out", type=Path)
    parser.add_argument("--rows", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    choice = random.Random(given.seed)
    rows = [row_of(number, choice) for number in range(given.rows)]
    pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), given.out)
    print(f"wrote {len(rows)} rows to {given.out}")


if __name__ == "__main__":
    main()
