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

    def test_a_prefill_of_last_logits_alone_is_counted_with_all_of_them_too(self):
        figures = {"forward_full_pass/1024": {"tokens_per_second": 1500}, "forward_products/1024": {"tokens_per_second": 2000},
                   "forward_products_packed/1024": {"tokens_per_second": 2500}, "forward_head/1024": {"tokens_per_second": 6000},
                   "vllm": {"forward_full_pass/1024": 3000, "prompts_together/1024": 3600}}
        text = dict(benchmark.lines(figures))["forward, loss and entropy, 1024 tokens"]
        self.assertEqual(text, "1500 tokens/s, 0.75 of the bare products' 2000, 0.60 of the 2500 of packed weights, "
                               "0.50 x vLLM's 3000 (0.75 x 2000 with all logits); "
                               "four prompts together in vLLM: 3600")

    def test_decoding_under_eviction_stands_beside_the_full_kv_of_every_peer(self):
        figures = {"decode_full/7936": {"tokens_per_second": 20, "batch_tokens_per_second": 40},
                   "decode_scorer/7936": {"tokens_per_second": 30, "batch_tokens_per_second": 120, "eviction_share": 0.02},
                   "vllm": {"decode_full/7936/batch_tokens_per_second": 100}}
        found = dict(benchmark.lines(figures))
        self.assertEqual(found["decoding, full KV, 7936 tokens, 8 rows"], "40.0 tokens/s, 0.40 x vLLM's 100.0")
        self.assertEqual(found["decoding under eviction at 7936 tokens, 8 rows"],
                         "120.0 tokens/s, 3.00 x full KV's 40.0, 1.20 x vLLM's 100.0")
        self.assertEqual(found["decoding under eviction at 7936 tokens, 1 row"], "30.0 tokens/s, 1.50 x full KV's 20.0")

    def test_a_pass_under_eviction_stands_beside_the_products_of_packed_weights(self):
        figures = {"evicted_pass_by_length/1024": {"tokens_per_second": 1800, "seconds": 2.3},
                   "evicted_pass_by_length/2048": {"tokens_per_second": 1800, "seconds": 4.6},
                   "forward_products_packed/1024": {"tokens_per_second": 3000}}
        self.assertEqual(dict(benchmark.lines(figures))["pass under eviction, 4 rows of 1024 tokens"],
                         "1800 tokens/s, 0.60 of the 3000 of packed weights")

    def test_a_step_of_grpo_is_told_by_what_its_benchmark_counts(self):
        figures = {"grpo_step": {"over_forwards": 1.464, "forwards_ms": 2700.0, "rollouts": 8, "tokens_per_second": 2060.4}}
        self.assertEqual(dict(benchmark.lines(figures))["GRPO step, 8 rollouts of 1024 tokens"],
                         "1.46 x its teacher-forced passes; 2060 tokens/s")

    def test_what_was_not_measured_is_not_told(self):
        self.assertEqual(benchmark.lines({}), [])


if __name__ == "__main__":
    unittest.main()
