"""data/scorers: the entries of index.json, the same figures in the pages, and the script that adds a scorer."""

import contextlib
import hashlib
import io
import json
import re
import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "scripts"), str(ROOT / "scripts" / "python" / "src")]

import ship_scorer  # noqa: E402
import torch  # noqa: E402

from foresight_kv.scorer_file import ScorerFacts, judge_tensor_name, read_scorer, write_scorer  # noqa: E402

SCORERS = ROOT / "data" / "scorers"
ENTRIES = json.loads((SCORERS / "index.json").read_text(encoding="utf-8"))["scorers"]
ROUNDED = 0.5e-4 + 1e-9  # of a figure with four decimals
NAMES = {"full": "full", "golden": "golden", "R-KV": "rkv", "StreamingLLM": "streaming_llm", "random": "random"}
README_TABLE = "| policy | nothing protected: loss rise (nats) | low-entropy tokens |"


def table_below(text, start):
    """Rows of the first table below a text, as {first cell: {column: cell}}, without bold."""
    lines = iter(text[text.index(start) :].splitlines())
    header = next(line for line in lines if line.startswith("| policy |"))
    columns = [cell.strip() for cell in header.strip("|").split("|")]
    next(lines)
    rows = {}
    for line in lines:
        if not line.startswith("|"):
            return rows
        cells = [cell.strip().strip("*") for cell in line.strip("|").split("|")]
        rows[cells[0]] = dict(zip(columns, cells))
    return rows


class Shipped(unittest.TestCase):
    def test_files_are_those_of_the_index(self):
        self.assertEqual({entry["file"] for entry in ENTRIES}, {file.name for file in SCORERS.glob("*.safetensors")})
        self.assertTrue(ENTRIES)
        for entry in ENTRIES:
            data = (SCORERS / entry["file"]).read_bytes()
            self.assertEqual(hashlib.sha256(data).hexdigest(), entry["sha256"])
            self.assertLess(len(data), 2_000_000)
            facts = read_scorer(SCORERS / entry["file"]).facts  # checks the digest that the file holds
            for name in ("budget", "window", "features", "protect_sinks", "protect_prompt", "model_fingerprint"):
                self.assertEqual(getattr(facts, name), entry[name], name)
            self.assertRegex(facts.model_fingerprint, "^[0-9a-f]{16,64}$")
            self.assertIsNone(re.search(r"(^|[\s\"'\[])~?/\w", facts.config), "a path of a machine")
            self.assertTrue((ROOT / entry["config"]).is_file())
            self.assertIn(entry["file"], (SCORERS / "README.md").read_text(encoding="utf-8"))

    def test_figures_are_those_of_the_results(self):
        results = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
        for entry in ENTRIES:
            rows = table_below(results, f"## {entry['results']}")
            loss = "loss (nats)" if "loss (nats)" in rows["full"] else "loss"
            known = {row: policy for row, policy in NAMES.items() if policy in entry["figures"]} | {"supervised": entry["policy"]}
            self.assertLessEqual({"full", "R-KV"}, set(known))
            for row, policy in known.items():
                figures = entry["figures"][policy]
                for column, measure in ((loss, "loss"), ("loss rise", "loss_rise"), ("low-entropy rise", "low_entropy_loss_rise")):
                    self.assertAlmostEqual(float(rows[row][column]), figures[measure], delta=ROUNDED, msg=f"{row}: {column}")
            tokens = entry["tokens"]
            self.assertTrue(f"{tokens} scored tokens" in results or f"{tokens:,} scored tokens" in results, tokens)

    def test_figures_of_the_quick_start_are_those_of_the_readme(self):
        (entry,) = (entry for entry in ENTRIES if entry["config"] == "configs/quickstart.yaml")
        readme = (ROOT / "README.md").read_text(encoding="utf-8")
        rows = table_below(readme, README_TABLE)
        rows["golden"] = next(row for name, row in rows.items() if name.startswith("golden"))
        for row, policy in (NAMES | {"Foresight": entry["policy"]}).items():
            if row == "full":
                continue
            figures = entry["figures"][policy]
            self.assertAlmostEqual(float(rows[row]["nothing protected: loss rise (nats)"].strip("*")), figures["loss_rise"], delta=ROUNDED)
            self.assertAlmostEqual(float(rows[row]["low-entropy tokens"].strip("*")), figures["low_entropy_loss_rise"], delta=ROUNDED)
        self.assertIn(f"{entry['tokens']} scored tokens", readme.replace("\n", " "))


class Shipping(unittest.TestCase):
    """The script on a folder that looks like a run, with a program that copies a prepared file."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        for name in ("run", "to"):
            (self.folder / name).mkdir()
        shapes = {"fc1.weight": (2, 24, 16), "fc1.bias": (2, 16), "fc2.weight": (2, 16, 1), "fc2.bias": (2, 1)}
        tensors = {judge_tensor_name(0, name): torch.ones(shape) for name, shape in shapes.items()}
        self.config = "model:\n  path: /home/me/models/Small # its folder\ndata:\n  train: [/data/a.jsonl, \"~/b/c.jsonl\", d/e.jsonl]\n"
        facts = ScorerFacts(features="released", budget=64, window=16, model_fingerprint="a" * 64, config=self.config)
        write_scorer(self.folder / "prepared.safetensors", tensors, facts)
        program = self.folder / "program"
        program.write_text(f"#!/bin/sh\ncp {self.folder}/prepared.safetensors \"$7\"\n")
        program.chmod(0o755)
        (self.folder / "run" / "config.yaml").write_text(self.config)
        self.evaluate(64)

    def evaluate(self, budget):
        measures = {"loss": 1.0, "loss_rise": 0.25, "low_entropy_loss_rise": 0.125, "traces": 4, "tokens": 9}
        found = {"budget": budget, "window": 16, "policies": {"full": measures, "supervised": measures}}
        (self.folder / "run" / "evaluation.json").write_text(json.dumps(found))

    def ship(self, name, *options):
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            ship_scorer.main([str(self.folder / "run"), name, "--program", str(self.folder / "program"), "--to", str(self.folder / "to"),
                              *options])  # fmt: skip
        return said.getvalue()

    def refused(self, *arguments):
        with self.assertRaises(SystemExit) as ended:
            self.ship(*arguments)
        self.assertNotIn(".safetensors", [file.suffix for file in (self.folder / "to").iterdir()])
        return str(ended.exception.code)

    def test_a_scorer_and_its_entry(self):
        self.assertIn("loss rise +0.2500 over 4 traces", self.ship("b_scorer"))
        self.ship("a_scorer")
        self.ship("b_scorer")
        index = json.loads((self.folder / "to" / "index.json").read_text())
        self.assertEqual([entry["file"] for entry in index["scorers"]], ["a_scorer.safetensors", "b_scorer.safetensors"])
        entry = index["scorers"][1]
        self.assertEqual((entry["model"], entry["budget"], entry["window"], entry["tokens"]), ("Small", 64, 16, 9))
        self.assertEqual(entry["figures"]["supervised"], {"loss": 1.0, "loss_rise": 0.25, "low_entropy_loss_rise": 0.125})
        file = self.folder / "to" / "b_scorer.safetensors"
        self.assertEqual(hashlib.sha256(file.read_bytes()).hexdigest(), entry["sha256"])
        expected = "model:\n  path: Small # its folder\ndata:\n  train: [a.jsonl, \"c.jsonl\", d/e.jsonl]\n"
        self.assertEqual(read_scorer(file).facts.config, expected)
        self.assertEqual({file.name for file in (self.folder / "to").iterdir()}, {"index.json", "a_scorer.safetensors", "b_scorer.safetensors"})

    def test_what_cannot_be_shipped(self):
        self.assertIn("NAME has small letters", self.refused("Mine!"))
        self.assertIn("has no policy grpo, but full, supervised", self.refused("a", "--policy", "grpo"))
        self.evaluate(128)
        self.assertIn("evaluated at budget 128 and window 16, the scorer was trained at 64 and 16", self.refused("a"))
        self.evaluate(64)
        most, ship_scorer.MOST_BYTES = ship_scorer.MOST_BYTES, 100
        self.addCleanup(setattr, ship_scorer, "MOST_BYTES", most)
        self.assertIn("scorers in the repository have at most 100", self.refused("a"))
        (self.folder / "program").write_text("#!/bin/sh\necho no checkpoint >&2\nexit 3\n")
        self.assertIn("ended with 3: no checkpoint", self.refused("a"))
        (self.folder / "run" / "evaluation.json").unlink()
        self.assertIn("evaluation.json: not readable as JSON", self.refused("a"))

    def test_paths_of_machines(self):
        for given, left in (("/a/b/c.yaml", "c.yaml"), ("~/x y", "x y"), ("https://a.b/c", "https://a.b/c"), ("a/b", "a/b"),
                            ("[/a/b, /c]", "[b, c]"), ("'/a b'", "'a b'"), ("1/2", "1/2"), ("runs/q: /tmp/r/", "runs/q: r")):  # fmt: skip
            self.assertEqual(ship_scorer.without_paths(given), left)


if __name__ == "__main__":
    unittest.main()
