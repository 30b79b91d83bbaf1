"""Reference logits of `transformers` for tests/model.

Writes, beside itself: tiny/ (a tiny random Llama model folder: config.json, model.safetensors), tiny_untied/ (untied head,
attention bias, sharded), tiny.safetensors (tokens, logits of both) and, when a folder of SmolLM2-135M-Instruct is given,
smollm2.safetensors (tokens, a sample of logits, greedy continuation).

    python tests/reference/llama/make_fixture.py [models/SmolLM2-135M-Instruct]
"""
import json
import pathlib
import sys

import torch
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

here = pathlib.Path(__file__).parent


def tiny(folder: str, seed: int, **extra) -> torch.Tensor:
    torch.manual_seed(seed)
    config = LlamaConfig(vocab_size=97, hidden_size=48, intermediate_size=80, num_hidden_layers=2,
                         num_attention_heads=6, num_key_value_heads=2, head_dim=8, max_position_embeddings=512,
                         rms_norm_eps=1e-5, rope_theta=10000.0, initializer_range=0.3, **extra)
    model = LlamaForCausalLM(config).to(torch.float32).eval()
    model.save_pretrained(here / folder, **({"max_shard_size": "40KB"} if folder == "tiny_untied" else {}))
    tokens = torch.randint(0, 97, (2, 40), generator=torch.Generator().manual_seed(seed + 1))
    with torch.no_grad():
        return tokens, model(tokens).logits


tokens, tied = tiny("tiny", 1, tie_word_embeddings=True)
_, untied = tiny("tiny_untied", 1, tie_word_embeddings=False, attention_bias=True)
save_file({"tokens": tokens, "logits_tied": tied.contiguous(), "logits_untied": untied.contiguous()}, here / "tiny.safetensors")

if len(sys.argv) > 1:
    model = AutoModelForCausalLM.from_pretrained(sys.argv[1], dtype=torch.float32).eval()
    generator = torch.Generator().manual_seed(7)
    tokens = torch.randint(0, 49152, (1, 96), generator=generator)
    columns = torch.randperm(49152, generator=generator)[:512].sort().values
    with torch.no_grad():
        logits = model(tokens).logits[0]
        prompt = tokens[:, :32]
        greedy = model.generate(prompt, max_new_tokens=48, do_sample=False, eos_token_id=None)[0, 32:]
    log_probability = torch.log_softmax(logits, -1)
    entropy = -(log_probability.exp() * log_probability).sum(-1)
    save_file({"tokens": tokens[0], "columns": columns, "logits": logits[:, columns].contiguous(), "entropy": entropy,
               "greedy": greedy.contiguous()}, here / "smollm2.safetensors")
