"""Tests of the scripts that compute the figures of docs/scaling.md and of scripts/gpu_check.sh."""

import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

import coverage_table  # noqa: E402
import gpu_figures  # noqa: E402
import scaling_model  # noqa: E402

SMOLLM2 = scaling_model.SHAPES["SmolLM2-135M"]


class ScalingModel(unittest.TestCase):
    def test_weights_are_those_of_the_published_models(self):
        # Parameters without embeddings, and with them, as the model cards say: 3.6 and 4.0, 6.95 and 8.2 billion; 134.5 million.
        for name, inner, whole in (("Qwen3-4B", 3.6e9, 4.0e9), ("Qwen3-8B", 6.95e9, 8.2e9)):
            shape = scaling_model.SHAPES[name]
            embeddings = shape.hidden * shape.vocabulary * (1 if shape.tied else 2)
            self.assertAlmostEqual((shape.weights() - embeddings) / inner, 1, delta=0.02)
            self.assertAlmostEqual(shape.weights() / whole, 1, delta=0.02)
        self.assertAlmostEqual(SMOLLM2.weights() / 134.5e6, 1, delta=0.002)

    def test_evictions_of_a_trace(self):
        # Budget 16, window 8: evictions after 24, 32, ... tokens while another token follows.
        steps = [scaling_model.Job(tokens, 1, 16, 8).steps() for tokens in (16, 24, 25, 32, 33, 61)]
        self.assertEqual(steps, [0, 0, 1, 1, 2, 5])

    def test_units_and_what_travels(self):
        job = scaling_model.Job(1024, 8, 128, 32, group_size=8, traces_per_step=3, rollouts_per_pass=3)
        self.assertEqual(scaling_model.rollout_units(job), 9)  # 3 + 3 + 2 copies of each
        own = 4 * SMOLLM2.scorer_weights()
        self.assertEqual(scaling_model.gradient_bytes(SMOLLM2, 9, 1, True), 0)
        self.assertEqual(scaling_model.gradient_bytes(SMOLLM2, 9, 2, True), 4 * own)
        self.assertEqual(scaling_model.gradient_bytes(SMOLLM2, 9, 2, False), own)


class GpuFigures(unittest.TestCase):
    def test_work_is_two_operations_for_each_weight_and_token(self):
        shape = {
            "hidden_size": 576, "num_hidden_layers": 30, "num_attention_heads": 9, "num_key_value_heads": 3,
            "intermediate_size": 1536, "head_dim": 64, "vocab_size": 49152,
        }
        self.assertEqual(gpu_figures.parameters_per_token(shape), SMOLLM2.weights_per_token())
        oracle = [{"tokens": 100, "seconds": 9.0}, {"tokens": 100, "seconds": 0.5}]
        grpo = [{"step": 0}, {"tokens_per_second": 9.0, "num_tokens": 120, "step_time": 90.0}]
        grpo += [{"tokens_per_second": rate, "num_tokens": 120, "step_time": 3.0} for rate in (40.0, 60.0)]
        found = gpu_figures.figures(oracle, grpo, shape, peak_tflops=1)
        self.assertEqual([(name, rate) for name, rate, _ in found], [("oracle", 200.0), ("rollouts", 48.0), ("whole GRPO step", 40.0)])
        self.assertAlmostEqual(found[0][2], 200 * 2 * SMOLLM2.weights_per_token() / 1e12)


    def test_passes_stand_beside_transformers(self):
        bench = {"benchmarks": [
            {"name": "forward_products/1024/real_time", "tokens_per_second": 300.0},
            {"name": "forward_full_pass/1024/real_time", "tokens_per_second": 200.0},
            {"name": "memory_read/real_time", "tokens_per_second": 1.0},
        ]}
        self.assertEqual(gpu_figures.passes(bench, {"forward_full_pass/1024": 250.0}),
                         [("bare products, 1024", 300.0), ("full pass, 1024", 200.0), ("transformers, 1024", 250.0)])


class CoverageTable(unittest.TestCase):
    def test_shares_by_folder(self):
        def entry(name, lines, reached):
            return {"filename": name, "line_total": lines, "line_covered": reached, "branch_total": 0, "branch_covered": 0}

        text = coverage_table.table([entry("rl/a.cpp", 10, 5), entry("rl/b.cpp", 30, 30), entry("data/c.cpp", 10, 9)])
        self.assertIn("| rl | 40 | 87.5 % | - |", text)
        self.assertIn("| all | 50 | 88.0 % | - |", text)
        self.assertLess(text.index("5 rl/a.cpp"), text.index("1 data/c.cpp"))


if __name__ == "__main__":
    unittest.main()
