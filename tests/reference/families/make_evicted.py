"""Losses of `transformers` for the families' tiny models under eviction, for tests/model/test_evicted_families.cpp.

Brute force: one pass over the whole text in transformers' own attention, in which each query of each KV head has a mask
of its own, without the entries that were evicted before it. The evicted entries are random, separately for every layer
and head. Layers with a sliding window keep the mask of transformers.

Writes, beside itself, evicted.safetensors with, for each family NAME: NAME.tokens [L], NAME.losses [L] (nats, of predicting each
token; the first is 0), NAME.evicted [layers, K, steps, W], the positions evicted in each step, and NAME.attention
[layers, K, blocks, L], the mean attention without eviction of a block of W queries of a KV head's group on each key;
all only of layers with full attention, whose numbers are NAME.layers. `size` is [budget, window].

    python tests/reference/families/make_evicted.py

Made with transformers 5.2.0 and torch 2.11.0 on a CPU.
"""
import pathlib

import torch
from safetensors.torch import load_file, save_file
from transformers import AttentionInterface, AttentionMaskInterface, AutoModelForCausalLM
from transformers.masking_utils import eager_mask

here = pathlib.Path(__file__).parent
# llama_dynamic is left out: its keys keep the rotation they were cached with, which depends on the cut into passes.
FAMILIES = ["llama3", "llama_linear", "mistral", "qwen2", "qwen2_yarn", "qwen3", "qwen3_yarn", "qwen3_moe", "qwen3_moe_stacked",
            "qwen2_sliding", "qwen3_sliding", "ministral", "olmo2", "olmo3", "smollm3", "phi3",
            "phi4_mini", "phi3_short", "gemma2", "gemma3", "gemma3_older", "gpt_oss",
            "qwen3_next", "qwen3_next_biases", "qwen3_5", "qwen3_5_moe"]
BUDGET, WINDOW = 16, 8


def draw_evictions(layers: int, heads: int, tokens: int, generator):
    """[layers, heads, steps, W] positions, and [layers, heads, tokens, tokens]: what each query sees."""
    steps = len(range(BUDGET + WINDOW, tokens, WINDOW))
    evicted = torch.zeros(layers, heads, steps, WINDOW, dtype=torch.int64)
    seen = torch.ones(tokens, tokens, dtype=torch.bool).tril().repeat(layers, heads, 1, 1)
    for layer in range(layers):
        for head in range(heads):
            live = list(range(BUDGET))  # the candidates: all but the newest window
            for step in range(steps):
                first = BUDGET + (step + 1) * WINDOW  # the tokens seen when the step happens
                order = torch.randperm(len(live), generator=generator)[:WINDOW].tolist()
                gone = sorted(live[index] for index in order)
                evicted[layer, head, step] = torch.tensor(gone)
                seen[layer, head, first:, gone] = False
                live = [position for position in live if position not in gone] + list(range(first - WINDOW, first))
    return evicted, seen


def masked_attention(module, query, key, value, attention_mask, scaling, dropout=0.0, **kwargs):
    """transformers' eager attention, with MASKS[layer] [K, T, T] in place of the causal mask where the layer sees everything."""
    group = query.shape[1] // key.shape[1]
    key, value = key.repeat_interleave(group, 1), value.repeat_interleave(group, 1)
    scores = query @ key.transpose(2, 3) * scaling
    if kwargs.get("softcap") is not None:
        scores = kwargs["softcap"] * torch.tanh(scores / kwargs["softcap"])
    if module.layer_idx in MASKS:
        seen = MASKS[module.layer_idx].repeat_interleave(group, 0).unsqueeze(0)
        scores = scores.masked_fill(~seen, float("-inf"))
    else:
        scores = scores + attention_mask
    sinks = kwargs.get("s_aux")  # gpt-oss: a score of each head that has a share and no value
    if sinks is not None:
        scores = torch.cat([scores, sinks.view(1, -1, 1, 1).expand(*scores.shape[:-1], 1)], -1)
    probabilities = torch.softmax(scores, -1)[..., : key.shape[2]]
    if module.layer_idx in MASKS:
        PROBABILITIES[module.layer_idx] = probabilities[0]
    return (probabilities @ value).transpose(1, 2).contiguous(), probabilities


def block_means(probabilities, heads: int):
    """Probabilities [H, T, T] -> [K, blocks, T]: the mean over blocks of W queries and over the heads of a group."""
    by_head = probabilities.unflatten(0, (heads, -1)).mean(1)
    return torch.stack([block.mean(1) for block in by_head.split(WINDOW, 1)], 1)


AttentionInterface.register("masked", masked_attention)
AttentionMaskInterface.register("masked", eager_mask)
found = {"size": torch.tensor([BUDGET, WINDOW])}
for number, name in enumerate(FAMILIES):
    generator = torch.Generator().manual_seed(200 + number)
    tokens = load_file(here / f"{name}.safetensors")["tokens"][1]
    model = AutoModelForCausalLM.from_pretrained(here / name, dtype=torch.float32, attn_implementation="masked").eval()
    config = model.config
    kinds = getattr(config, "layer_types", None) or ["full_attention"] * config.num_hidden_layers
    layers = [layer for layer, kind in enumerate(kinds) if kind == "full_attention"]
    evicted, seen = draw_evictions(len(layers), config.num_key_value_heads, len(tokens), generator)
    PROBABILITIES = {}
    with torch.no_grad():
        MASKS = dict(zip(layers, seen, strict=True))
        logits = model(tokens.unsqueeze(0)).logits[0]
        MASKS = {layer: torch.ones(len(tokens), len(tokens), dtype=torch.bool).tril().expand_as(seen[0]) for layer in layers}
        full = model(tokens.unsqueeze(0)).logits[0]
    attention = torch.stack([block_means(PROBABILITIES[layer], config.num_key_value_heads) for layer in layers])
    log_probability = torch.log_softmax(logits.double(), -1)
    losses = torch.zeros(len(tokens))
    losses[1:] = -log_probability[:-1].gather(1, tokens[1:, None])[:, 0]
    found |= {f"{name}.tokens": tokens.clone(), f"{name}.evicted": evicted, f"{name}.losses": losses,
              f"{name}.attention": attention, f"{name}.layers": torch.tensor(layers)}
    whole = load_file(here / f"{name}.safetensors")["logits"][1]
    print(f"{name}: without eviction as eager to {(full - whole).abs().max().item():.1e}, "
          f"logits moved by up to {(logits - full).abs().max().item():.2f}")
save_file(found, here / "evicted.safetensors")
