"""Scorers of random weights, for the tests here and those of vLLM's plugin (scripts/python/serving_tests)."""

import torch

from foresight_kv.scorer_file import judge_tensor_name


def random_tensors(layers, kv_heads, inputs, seed=1, scale=1.0):
    """Weights of a scorer by their names in a file; layers: how many, or their numbers."""
    generator = torch.Generator().manual_seed(seed)
    shapes = {"fc1.weight": (inputs, 16), "fc1.bias": (16,), "fc2.weight": (16, 1), "fc2.bias": (1,)}
    return {
        judge_tensor_name(layer, name): scale * torch.randn(kv_heads, *shape, generator=generator)
        for layer in (range(layers) if isinstance(layers, int) else layers)
        for name, shape in shapes.items()
    }
