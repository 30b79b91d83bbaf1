"""scripts/benchmark.py: the ratios that it computes from figures."""

import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

import benchmark  # noqa: E402


class Benchmark(unittest.TestCase):
    def test_names_lose_what_google_benchmark_adds(self):
        for name in ("oracle_record/1024/iterations:1/manual_time", "oracle_record/1024/real_time", "oracle_record/1024"):
            self.assertEqual(benchmark.name_of({"name": name}), "oracle_record/1024")
        self.assertEqual(benchmark.name_of({"name": "memory_read/real_time"}), "memory_read")

    def test_a_line_is_fitted_and_its_residual_is_the_largest(self):
        slope, residual = benchmark.linear_fit([(1, 3), (2, 5), (4, 9)])
        self.assertAlmostEqual(slope, 2)
        self.assertAlmostEqual(residual, 0)
        # The best line is y = 1: one half away from 0.5, and one from 2.
        slope, residual = benchmark.linear_fit([(0, 0.5), (1, 2), (2, 0.5)])
        self.assertAlmostEqual(slope, 0)
        self.assertAlmostEqual(residual, 1)

    def test_ratios_are_of_figures_measured_beside_each_other(self):
        figures = {"forward_full_pass/1024": {"tokens_per_second": 450}, "forward_products/1024": {"tokens_per_second": 500},
                   "transformers": {"forward_full_pass/1024": 300}}
        text = dict(benchmark.lines(figures))["forward, loss and entropy, 1024 tokens"]
        self.assertEqual(text, "450 tokens/s, 0.90 of the bare products' 500, 1.50 x transformers' 300")

    def test_what_was_not_measured_is_not_told(self):
        self.assertEqual(benchmark.lines({}), [])


if __name__ == "__main__":
    unittest.main()
