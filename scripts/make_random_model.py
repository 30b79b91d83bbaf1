#!/usr/bin/env python3
"""Writes a model folder of a real model's shape with random weights, to time Foresight without downloading one.

usage: scripts/make_random_model.py FOLDER --tokenizer FOLDER [--shape llama-1b] [--layers N]

The tokenizer is copied from another model folder (`foresight make-tiny-model` makes one); the vocabulary is the shape's.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from pathlib import Path

# Published config.json files of these models.
SHAPES = {
    "llama-1b": {  # Llama-3.2-1B without its rope scaling
        "hidden_size": 2048, "num_hidden_layers": 16, "num_attention_heads": 32, "num_key_value_heads": 8,
        "intermediate_size": 8192, "head_dim": 64, "vocab_size": 128256,
    },
    "smollm2-135m": {
        "hidden_size": 576, "num_hidden_layers": 30, "num_attention_heads": 9, "num_key_value_heads": 3,
        "intermediate_size": 1536, "head_dim": 64, "vocab_size": 49152,
    },
    "qwen3-4b": {
        "architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3", "rms_norm_eps": 1e-6, "rope_theta": 1000000.0,
        "hidden_size": 2560, "num_hidden_layers": 36, "num_attention_heads": 32, "num_key_value_heads": 8,
        "intermediate_size": 9728, "head_dim": 128, "vocab_size": 151936,
    },
    "qwen3-30b-a3b": {
        "architectures": ["Qwen3MoeForCausalLM"], "model_type": "qwen3_moe", "rms_norm_eps": 1e-6, "rope_theta": 1000000.0,
        "hidden_size": 2048, "num_hidden_layers": 48, "num_attention_heads": 32, "num_key_value_heads": 4,
        "intermediate_size": 6144, "head_dim": 128, "vocab_size": 151936, "tie_word_embeddings": False, "num_experts": 128,
        "num_experts_per_tok": 8, "moe_intermediate_size": 768, "norm_topk_prob": True,
    },
}
COMMON = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu", "rms_norm_eps": 1e-5,
    "rope_theta": 500000.0, "max_position_embeddings": 131072, "tie_word_embeddings": True, "attention_bias": False,
    "mlp_bias": False, "torch_dtype": "bfloat16",
}


def weights(shape: dict) -> dict:
    import torch

    torch.manual_seed(1)
    hidden, d = shape["hidden_size"], shape["head_dim"]
    inner = shape.get("moe_intermediate_size", shape["intermediate_size"])
    experts = [f"experts.{expert}." for expert in range(shape.get("num_experts", 0))]
    queries, keys = shape["num_attention_heads"] * d, shape["num_key_value_heads"] * d

    def random(*size: int):
        return (torch.randn(*size) * size[-1] ** -0.5).to(torch.bfloat16)

    tensors = {"model.embed_tokens.weight": random(shape["vocab_size"], hidden), "model.norm.weight": torch.ones(hidden, dtype=torch.bfloat16)}
    if not shape.get("tie_word_embeddings", True):
        tensors["lm_head.weight"] = random(shape["vocab_size"], hidden)
    for layer in range(shape["num_hidden_layers"]):
        prefix = f"model.layers.{layer}."
        for name, size in {
            "self_attn.q_proj": (queries, hidden), "self_attn.k_proj": (keys, hidden), "self_attn.v_proj": (keys, hidden),
            "self_attn.o_proj": (hidden, queries),
        }.items():
            tensors[f"{prefix}{name}.weight"] = random(*size)
        for part in experts or [""]:
            for name, size in {"gate_proj": (inner, hidden), "up_proj": (inner, hidden), "down_proj": (hidden, inner)}.items():
                tensors[f"{prefix}mlp.{part}{name}.weight"] = random(*size)
        if experts:
            tensors[f"{prefix}mlp.gate.weight"] = random(len(experts), hidden)
        for name in ("input_layernorm", "post_attention_layernorm"):
            tensors[f"{prefix}{name}.weight"] = torch.ones(hidden, dtype=torch.bfloat16)
        if shape.get("model_type", "").startswith("qwen3"):
            for name in ("self_attn.q_norm", "self_attn.k_norm"):
                tensors[f"{prefix}{name}.weight"] = torch.ones(d, dtype=torch.bfloat16)
    return tensors


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--tokenizer", type=Path, required=True, help="model folder whose tokenizer is copied")
    parser.add_argument("--shape", choices=SHAPES, default="llama-1b")
    parser.add_argument("--layers", type=int, help="fewer layers than the shape has")
    options = parser.parse_args()
    from safetensors.torch import save_file

    shape = dict(SHAPES[options.shape])
    if options.layers is not None:
        shape["num_hidden_layers"] = options.layers
    present = [path for path in (options.folder / "config.json", options.folder / "model.safetensors") if path.exists()]
    if present:
        parser.error(f"{present[0]} already exists; name another folder")
    options.folder.mkdir(parents=True, exist_ok=True)
    (options.folder / "config.json").write_text(json.dumps(COMMON | shape, indent=2) + "\n")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(options.tokenizer / name, options.folder / name)
    save_file(weights(shape), options.folder / "model.safetensors", metadata={"format": "pt"})
    return 0


if __name__ == "__main__":
    sys.exit(main())
