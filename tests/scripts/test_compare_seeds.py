"""Tests of scripts/compare_seeds.py."""

import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

import compare_seeds  # noqa: E402


def evaluation(own, base, traces="digest"):
    def entry(values):
        return {"loss_rise": sum(values) / len(values), "trace_loss_rise": values}

    return {"inputs": {"traces_sha256": traces}, "policies": {"grpo": entry(own), "supervised": entry(base)}}


class CompareSeeds(unittest.TestCase):
    def rows(self, **runs):
        return compare_seeds.compare(runs, "grpo", "supervised", "loss_rise")

    def test_a_constant_difference_has_no_width(self):
        rows = self.rows(a=evaluation([0.5, 1.5], [1.0, 2.0]), b=evaluation([1.0, 2.0], [2.0, 3.0]))
        self.assertEqual(rows[0], ("a", 1.0, 1.5, -0.5, -0.5, -0.5))
        self.assertEqual(rows[2], ("all", 1.25, 2.0, -0.75, -0.75, -0.75))

    def test_traces_are_paired_before_runs_are_averaged(self):
        # The runs differ trace by trace, but their mean is -1 on both traces, so the interval has no width.
        rows = self.rows(a=evaluation([0.0, 0.0], [2.0, 0.0]), b=evaluation([0.0, 0.0], [0.0, 2.0]))
        self.assertEqual(rows[0][3:], (-1.0, -2.0, 0.0))
        self.assertEqual(rows[2][3:], (-1.0, -1.0, -1.0))

    def test_the_interval_is_that_of_the_normal_distribution_for_many_traces(self):
        values = [float(i % 2) for i in range(400)]  # mean 0.5, standard error 0.025
        mean, low, high = compare_seeds.interval(values)
        self.assertEqual(mean, 0.5)
        self.assertAlmostEqual(low, 0.5 - 1.96 * 0.025, delta=0.005)
        self.assertAlmostEqual(high, 0.5 + 1.96 * 0.025, delta=0.005)

    def test_other_traces_are_refused(self):
        with self.assertRaises(ValueError):
            self.rows(a=evaluation([0.0], [1.0]), b=evaluation([0.0], [1.0], traces="other"))


if __name__ == "__main__":
    unittest.main()
