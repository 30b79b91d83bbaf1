"""Tests of scripts/plant_facts.py."""

import contextlib
import io
import json
import random
import re
import sys
import tempfile
import unittest
from pathlib import Path
from unittest import mock

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

import plant_facts  # noqa: E402


def run(*arguments):
    """The script's output file as rows."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out.jsonl"
        with mock.patch.object(sys, "argv", ["plant_facts.py", *map(str, arguments), str(out)]), contextlib.redirect_stdout(io.StringIO()):
            plant_facts.main()
        return [json.loads(line)["text"] for line in out.read_text(encoding="utf-8").splitlines()]


class PlantedFacts(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.traces = Path(self.folder.name) / "traces.jsonl"
        rows = [{"completion": "\n".join(f"Sentence {trace}, {line}. And again. And again." for line in range(40))} for trace in range(6)]
        self.traces.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")

    def test_every_number_is_stated_in_the_first_half_and_asked_for_in_the_second(self):
        texts = run("--characters", 1500, "--facts", 4, self.traces)
        self.assertEqual(len(texts), 3)  # of two traces each
        for text in texts:
            stated = re.findall(r"Note that the number on the (\w+) is (\d{5})\.", text)
            self.assertEqual(len(stated), 4)
            for thing, number in stated:
                asked = text.index(f"Which number is on the {thing}? The number on the {thing} is {number}.")
                self.assertLess(text.index(f"on the {thing} is {number}"), asked)

    def test_varied_facts_have_many_wordings_and_no_sentence_recurs_in_a_trace(self):
        texts = run("--varied", "--characters", 1000, "--facts", 6, self.traces)
        whole = "\n".join(texts)
        self.assertGreater(len(texts), 1)
        self.assertLessEqual(whole.count("And again."), 6)
        used = 0
        for stated, asked in plant_facts.WORDINGS:
            pattern = re.escape(stated).replace(r"\{\}", r"(\w+)").replace(r"\{0\}", r"(\w+)").replace(r"\{1\}", r"(\w+)")
            used += bool(re.search(pattern, whole))
            self.assertIn("{1}", asked)
        self.assertGreater(used, 4)

    def test_both_sentences_of_a_fact_name_the_thing_and_what_it_is(self):
        draw = random.Random(3)
        for _ in range(100):
            stated, asked = plant_facts.drawn_fact("box", draw, True)
            what = set(re.findall(r"\w+", stated)) & set(re.findall(r"\w+", asked)) - {"box"}
            self.assertIn("box", stated)
            self.assertIn("box", asked)
            self.assertTrue(any(word.isdigit() or word[0].isupper() for word in what), (stated, asked))

    def test_a_row_without_a_completion_is_named(self):
        self.traces.write_text('{"completion": "a"}\n[1]\n', encoding="utf-8")
        with self.assertRaisesRegex(SystemExit, r"traces\.jsonl:2: expected a row with `completion`"):
            run(self.traces)


if __name__ == "__main__":
    unittest.main()
