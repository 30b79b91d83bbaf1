"""Tiny random models of every supported family, and the results of `transformers` for them, for tests/model/test_families.cpp.

Writes, beside itself, a folder NAME per family (config.json, weights) and NAME.safetensors: tokens [2, T], logits [2, T, V] and
entropy [2, T] of a float32 forward pass, greedy [G], the continuation of the first `prompt_tokens` tokens of row 0.

    python tests/reference/families/make_fixture.py [NAME ...]

All parameters are random, because transformers starts biases at 0 and norms at 1, which would hide a forgotten one.
Made with transformers 5.2.0 and torch 2.11.0 on a CPU.
"""
import json
import pathlib
import shutil
import sys

import torch
from safetensors.torch import load_file, save_file
from transformers import (AutoModelForCausalLM, Gemma2Config, Gemma2ForCausalLM, Gemma3ForCausalLM, Gemma3TextConfig, GptOssConfig,
                          GptOssForCausalLM, LlamaConfig, LlamaForCausalLM, MinistralConfig, MinistralForCausalLM, MistralConfig,
                          MistralForCausalLM, Qwen2Config, Qwen2ForCausalLM, Qwen3Config, Qwen3ForCausalLM, Qwen3MoeConfig,
                          Qwen3MoeForCausalLM, Qwen3NextConfig, Qwen3NextForCausalLM,
                          Qwen3_5ForCausalLM, Qwen3_5MoeForCausalLM, Qwen3_5MoeTextConfig, Qwen3_5TextConfig, Olmo2Config, Olmo2ForCausalLM, Olmo3Config, Olmo3ForCausalLM, Phi3Config, Phi3ForCausalLM, SmolLM3Config,
                          SmolLM3ForCausalLM)
from transformers.integrations.mxfp4 import convert_moe_packed_tensors

here = pathlib.Path(__file__).parent
TOKENS, PROMPT, CONTINUED = 96, 12, 60
SIZES = dict(vocab_size=61, hidden_size=32, intermediate_size=40, num_hidden_layers=2, num_attention_heads=4,
             num_key_value_heads=2, rms_norm_eps=1e-5, bos_token_id=1, eos_token_id=2)

# name -> model class, config class, settings, weight type, largest shard, whether config.json is written as transformers 4 did
FAMILIES = {
    "llama3": (LlamaForCausalLM, LlamaConfig, dict(
        max_position_embeddings=256, tie_word_embeddings=False, head_dim=8,
        rope_parameters=dict(rope_type="llama3", rope_theta=500.0, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
                             original_max_position_embeddings=32)), torch.bfloat16, None, True),
    "llama_linear": (LlamaForCausalLM, LlamaConfig, dict(
        max_position_embeddings=64, tie_word_embeddings=True,
        rope_parameters=dict(rope_type="linear", rope_theta=10000.0, factor=2.5)), torch.float32, None, True),
    "llama_dynamic": (LlamaForCausalLM, LlamaConfig, dict(
        max_position_embeddings=40, tie_word_embeddings=True, attention_bias=True,
        rope_parameters=dict(rope_type="dynamic", rope_theta=10000.0, factor=4.0)), torch.float16, None, True),
    "mistral": (MistralForCausalLM, MistralConfig, dict(
        max_position_embeddings=256, tie_word_embeddings=False, head_dim=12, sliding_window=None,
        rope_parameters=dict(rope_type="default", rope_theta=1000000.0)), torch.float16, "12KB", False),
    "qwen2": (Qwen2ForCausalLM, Qwen2Config, dict(
        max_position_embeddings=256, tie_word_embeddings=True, use_sliding_window=False, sliding_window=64,
        rope_parameters=dict(rope_type="default", rope_theta=1000000.0)), torch.bfloat16, None, True),
    "qwen2_yarn": (Qwen2ForCausalLM, Qwen2Config, dict(
        max_position_embeddings=32, tie_word_embeddings=False,
        rope_parameters=dict(rope_type="yarn", rope_theta=10000.0, factor=4.0, original_max_position_embeddings=32)),
        torch.float32, None, False),
    "qwen3": (Qwen3ForCausalLM, Qwen3Config, dict(
        max_position_embeddings=256, tie_word_embeddings=True, head_dim=16,
        rope_parameters=dict(rope_type="default", rope_theta=1000000.0)), torch.bfloat16, None, False),
    "qwen3_yarn": (Qwen3ForCausalLM, Qwen3Config, dict(
        max_position_embeddings=128, tie_word_embeddings=False, head_dim=12, attention_bias=True,
        rope_parameters=dict(rope_type="yarn", rope_theta=5000.0, factor=4.0, original_max_position_embeddings=32, beta_fast=4.0,
                             beta_slow=0.5, truncate=False, mscale=1.2, mscale_all_dim=0.7)), torch.float32, "16KB", False),
    # A dense layer first (every second is a mixture), then one that mlp_only_layers keeps dense.
    "qwen3_moe": (Qwen3MoeForCausalLM, Qwen3MoeConfig, dict(
        max_position_embeddings=256, tie_word_embeddings=False, head_dim=12, num_hidden_layers=4, num_experts=8,
        num_experts_per_tok=3, moe_intermediate_size=20, norm_topk_prob=True, decoder_sparse_step=2, mlp_only_layers=[3],
        rope_parameters=dict(rope_type="default", rope_theta=1000000.0)), torch.bfloat16, "16KB", True),
    "qwen3_moe_stacked": (Qwen3MoeForCausalLM, Qwen3MoeConfig, dict(
        max_position_embeddings=256, tie_word_embeddings=True, head_dim=16, num_experts=6, num_experts_per_tok=2,
        moe_intermediate_size=12, norm_topk_prob=False, attention_bias=True,
        rope_parameters=dict(rope_type="default", rope_theta=10000.0)), torch.float32, None, False),
    # Layers of two kinds: layer 0 sees everything, those from max_window_layers on a window.
    "qwen2_sliding": (Qwen2ForCausalLM, Qwen2Config, dict(
        max_position_embeddings=256, tie_word_embeddings=True, num_hidden_layers=3, use_sliding_window=True, sliding_window=20,
        max_window_layers=1, rope_parameters=dict(rope_type="default", rope_theta=10000.0)), torch.float32, None, True),
    "qwen3_sliding": (Qwen3ForCausalLM, Qwen3Config, dict(
        max_position_embeddings=256, tie_word_embeddings=False, head_dim=12, num_hidden_layers=4, use_sliding_window=True,
        sliding_window=9, layer_types=["sliding_attention", "full_attention", "sliding_attention", "full_attention"],
        rope_parameters=dict(rope_type="default", rope_theta=10000.0)), torch.bfloat16, None, False),
    "ministral": (MinistralForCausalLM, MinistralConfig, dict(
        max_position_embeddings=256, tie_word_embeddings=False, head_dim=8, num_hidden_layers=3, sliding_window=33,
        layer_types=["full_attention", "sliding_attention", "full_attention"],
        rope_parameters=dict(rope_type="default", rope_theta=1000000.0)), torch.bfloat16, None, False),
    "olmo2": (Olmo2ForCausalLM, Olmo2Config, dict(
        max_position_embeddings=256, tie_word_embeddings=False,
        rope_parameters=dict(rope_type="default", rope_theta=500000.0)), torch.bfloat16, None, True),
    "olmo3": (Olmo3ForCausalLM, Olmo3Config, dict(
        max_position_embeddings=256, tie_word_embeddings=False, num_hidden_layers=4, sliding_window=14, attention_bias=True,
        rope_parameters=dict(rope_type="yarn", rope_theta=10000.0, factor=4.0, original_max_position_embeddings=32)),
        torch.float32, None, False),
    # Every second layer without rotation, one of them sliding.
    "smollm3": (SmolLM3ForCausalLM, SmolLM3Config, dict(
        max_position_embeddings=256, tie_word_embeddings=True, num_hidden_layers=4, no_rope_layer_interval=2, pad_token_id=0,
        no_rope_layers=[1, 0, 1, 0], use_sliding_window=True, sliding_window=21,
        layer_types=["full_attention", "full_attention", "full_attention", "sliding_attention"],
        rope_parameters=dict(rope_type="default", rope_theta=10000.0)), torch.bfloat16, None, True),
    "phi3": (Phi3ForCausalLM, Phi3Config, dict(
        max_position_embeddings=256, original_max_position_embeddings=256, tie_word_embeddings=False, sliding_window=256,
        pad_token_id=0, rope_parameters=dict(rope_type="default", rope_theta=10000.0, partial_rotary_factor=1.0)),
        torch.bfloat16, "12KB", True),
    # Factors of their own for texts beyond 8 tokens, which all of the fixture's are; 6 of 8 dimensions are rotated.
    "phi4_mini": (Phi3ForCausalLM, Phi3Config, dict(
        max_position_embeddings=256, original_max_position_embeddings=8, tie_word_embeddings=True, sliding_window=None,
        pad_token_id=0, partial_rotary_factor=0.75,
        rope_parameters=dict(rope_type="longrope", rope_theta=10000.0, partial_rotary_factor=0.75,
                             short_factor=[1.0, 1.1, 1.3], long_factor=[1.0, 2.5, 7.0],
                             original_max_position_embeddings=8)), torch.float32, None, False),
    # The factors of short texts, which all of the fixture's are.
    "phi3_short": (Phi3ForCausalLM, Phi3Config, dict(
        max_position_embeddings=512, original_max_position_embeddings=128, tie_word_embeddings=False, sliding_window=None,
        pad_token_id=0, rope_parameters=dict(
            rope_type="longrope", rope_theta=10000.0, partial_rotary_factor=1.0, short_factor=[1.0, 1.2, 1.5, 2.0],
            long_factor=[1.0, 3.0, 5.0, 9.0], original_max_position_embeddings=128)), torch.float16, None, True),
    "gemma2": (Gemma2ForCausalLM, Gemma2Config, dict(
        max_position_embeddings=256, tie_word_embeddings=True, num_hidden_layers=3, head_dim=12, sliding_window=18,
        query_pre_attn_scalar=20, attn_logit_softcapping=4.0, final_logit_softcapping=6.0, pad_token_id=0,
        rope_parameters=dict(rope_type="default", rope_theta=10000.0)), torch.bfloat16, None, True),
    "gemma3": (Gemma3ForCausalLM, Gemma3TextConfig, dict(
        max_position_embeddings=256, tie_word_embeddings=True, num_hidden_layers=4, head_dim=12, sliding_window=11,
        query_pre_attn_scalar=12, pad_token_id=0,
        layer_types=["sliding_attention", "sliding_attention", "full_attention", "sliding_attention"],
        rope_parameters=dict(full_attention=dict(rope_type="linear", rope_theta=100000.0, factor=8.0),
                             sliding_attention=dict(rope_type="default", rope_theta=500.0))), torch.float32, None, False),
    # As the published files have it: the base of sliding layers apart, every third layer with full attention.
    "gemma3_older": (Gemma3ForCausalLM, Gemma3TextConfig, dict(
        max_position_embeddings=256, tie_word_embeddings=True, num_hidden_layers=4, head_dim=8, sliding_window=40,
        query_pre_attn_scalar=8, pad_token_id=0, sliding_window_pattern=3, final_logit_softcapping=5.0,
        rope_parameters=dict(full_attention=dict(rope_type="default", rope_theta=100000.0),
                             sliding_attention=dict(rope_type="default", rope_theta=500.0))), torch.bfloat16, "12KB", True),
    # Layers 0 and 2 slide.
    "gpt_oss": (GptOssForCausalLM, GptOssConfig, dict(
        max_position_embeddings=128, tie_word_embeddings=False, head_dim=12, num_hidden_layers=4, num_local_experts=6,
        num_experts_per_tok=3, sliding_window=13,
        rope_parameters=dict(rope_type="yarn", rope_theta=150000.0, factor=4.0, original_max_position_embeddings=32, beta_fast=32.0,
                             beta_slow=1.0, truncate=False)), torch.bfloat16, None, True),
    # Experts in MXFP4, as published.
    "gpt_oss_mxfp4": (GptOssForCausalLM, GptOssConfig, dict(
        max_position_embeddings=128, tie_word_embeddings=False, head_dim=8, num_hidden_layers=2, num_local_experts=5,
        num_experts_per_tok=2, sliding_window=20, intermediate_size=64,
        rope_parameters=dict(rope_type="yarn", rope_theta=150000.0, factor=8.0, original_max_position_embeddings=16, beta_fast=16.0,
                             beta_slow=1.0, truncate=False)), torch.bfloat16, None, True),
    # Layers 1 and 3 have full attention; layer 0 is dense, the others mixtures with a shared expert.
    "qwen3_next": (Qwen3NextForCausalLM, Qwen3NextConfig, dict(
        max_position_embeddings=256, tie_word_embeddings=False, head_dim=16, num_hidden_layers=4, num_experts=6,
        num_experts_per_tok=3, moe_intermediate_size=20, shared_expert_intermediate_size=12, mlp_only_layers=[0],
        linear_num_key_heads=2, linear_num_value_heads=4, linear_key_head_dim=8, linear_value_head_dim=6, linear_conv_kernel_dim=4,
        layer_types=["linear_attention", "full_attention", "linear_attention", "full_attention"],
        rope_parameters=dict(rope_type="default", rope_theta=10000.0, partial_rotary_factor=0.25)), torch.bfloat16, "24KB", True),
    # Every third layer has full attention, with biases; as many key heads as value heads.
    "qwen3_next_biases": (Qwen3NextForCausalLM, Qwen3NextConfig, dict(
        max_position_embeddings=256, tie_word_embeddings=True, head_dim=8, num_hidden_layers=3, num_experts=4, attention_bias=True,
        num_experts_per_tok=2, moe_intermediate_size=12, shared_expert_intermediate_size=20, norm_topk_prob=False,
        linear_num_key_heads=3, linear_num_value_heads=3, linear_key_head_dim=5, linear_value_head_dim=7, linear_conv_kernel_dim=2,
        full_attention_interval=3,
        rope_parameters=dict(rope_type="default", rope_theta=500.0, partial_rotary_factor=0.5)), torch.float32, None, False),
    # The recurrent layers' projections stored apart; layers 0 and 2 have full attention.
    "qwen3_5": (Qwen3_5ForCausalLM, Qwen3_5TextConfig, dict(
        max_position_embeddings=256, tie_word_embeddings=True, head_dim=16, num_hidden_layers=3,
        linear_num_key_heads=2, linear_num_value_heads=6, linear_key_head_dim=6, linear_value_head_dim=8, linear_conv_kernel_dim=4,
        layer_types=["full_attention", "linear_attention", "full_attention"],
        rope_parameters=dict(rope_type="default", rope_theta=10000.0, partial_rotary_factor=0.25, mrope_interleaved=True,
                             mrope_section=[1, 1, 0])), torch.bfloat16, None, False),
    "qwen3_5_moe": (Qwen3_5MoeForCausalLM, Qwen3_5MoeTextConfig, dict(
        max_position_embeddings=256, tie_word_embeddings=False, head_dim=8, num_hidden_layers=2, num_experts=5,
        num_experts_per_tok=2, moe_intermediate_size=12, shared_expert_intermediate_size=20, attention_bias=True,
        linear_num_key_heads=2, linear_num_value_heads=4, linear_key_head_dim=8, linear_value_head_dim=6, linear_conv_kernel_dim=3,
        layer_types=["linear_attention", "full_attention"],
        rope_parameters=dict(rope_type="default", rope_theta=500.0, partial_rotary_factor=0.5, mrope_interleaved=True,
                             mrope_section=[1, 1, 0])), torch.float32, None, False),
}
# Families whose norms multiply by 1 + their weight.
NORMS_ADD_ONE = {"gemma2", "gemma3", "gemma3_older", "qwen3_next", "qwen3_next_biases", "qwen3_5", "qwen3_5_moe"}
STACKED = {"qwen3_moe_stacked"}
QUANTISED = {"gpt_oss_mxfp4"}
FP4 = [0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0]  # with the sign in the fourth bit


def write_as_version_4(file: pathlib.Path):
    """rope_parameters -> rope_theta and rope_scaling, num_local_experts -> num_experts, as most published models have them."""
    config = json.loads(file.read_text())
    rope = config.pop("rope_parameters")
    if "sliding_attention" in rope:
        config["rope_local_base_freq"] = rope["sliding_attention"]["rope_theta"]
        rope = rope["full_attention"]
    config["rope_theta"] = rope.pop("rope_theta")
    if "partial_rotary_factor" in rope and config["model_type"] == "qwen3_next":
        config["partial_rotary_factor"] = rope.pop("partial_rotary_factor")
    config["rope_scaling"] = None if rope["rope_type"] == "default" else rope
    config["torch_dtype"] = config.pop("dtype")
    if "max_window_layers" in config or "sliding_window_pattern" in config:
        config.pop("layer_types", None)
    if "num_local_experts" in config and config["model_type"] != "gpt_oss":
        config["num_experts"] = config.pop("num_local_experts")
    file.write_text(json.dumps(config, indent=2) + "\n")


def stack_experts(file: pathlib.Path):
    """experts.E.gate_proj, up_proj, down_proj -> experts.gate_up_proj and down_proj, as transformers 5 holds them."""
    tensors = load_file(file)
    for prefix in sorted({key.split("experts.")[0] + "experts." for key in tensors if ".experts." in key}):
        count = len([key for key in tensors if key.startswith(prefix) and key.endswith("gate_proj.weight")])
        parts = [[tensors.pop(f"{prefix}{expert}.{part}_proj.weight") for part in ("gate", "up", "down")] for expert in range(count)]
        tensors[prefix + "gate_up_proj"] = torch.stack([torch.cat([gate, up]) for gate, up, _ in parts])
        tensors[prefix + "down_proj"] = torch.stack([down for _, _, down in parts])
    save_file(tensors, file, {"format": "pt"})


def draw_quantised(parameter, generator):
    """blocks [E, rows, n, 16] and scales [E, rows, n] of random numbers in MXFP4, which the parameter [E, 32 n, rows] becomes."""
    experts, columns, rows = parameter.shape
    blocks = torch.randint(0, 256, (experts, rows, columns // 32, 16), generator=generator, dtype=torch.uint8)
    scales = torch.randint(123, 126, blocks.shape[:-1], generator=generator, dtype=torch.uint8)
    values = torch.zeros(experts, rows, columns)
    for index in range(columns):
        code = (blocks[:, :, index // 32, index % 32 // 2].long() >> (4 * (index % 2))) & 15
        number = torch.tensor(FP4 + [-number for number in FP4])[code]
        values[:, :, index] = number * 2.0 ** (scales[:, :, index // 32].double() - 127)
    parameter.data = values.transpose(1, 2).contiguous()
    assert torch.equal(convert_moe_packed_tensors(blocks, scales, dtype=torch.float32), parameter.data)
    return {"blocks": blocks, "scales": scales}


def quantise(folder: pathlib.Path, packed: dict):
    """Puts blocks and scales in the place of the experts' products, and says so in config.json."""
    tensors = load_file(folder / "model.safetensors")
    for key, parts in packed.items():
        del tensors[key]
        tensors |= {f"{key}_{part}": tensor for part, tensor in parts.items()}
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    config["quantization_config"] = {"quant_method": "mxfp4", "modules_to_not_convert": ["model.layers.*.self_attn", "lm_head"]}
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")


def make(name: str, seed: int):
    model_class, config_class, settings, dtype, shard, version_4 = FAMILIES[name]
    folder = here / name
    shutil.rmtree(folder, ignore_errors=True)
    generator = torch.Generator().manual_seed(seed)
    sizes = {key: size for key, size in (SIZES | settings).items() if name != "qwen3_5_moe" or key != "intermediate_size"}
    model = model_class(config_class(**sizes)).eval()
    packed = {}
    for key, parameter in model.named_parameters():
        random = torch.randn(parameter.shape, generator=generator)
        parameter.data = 1.0 + 0.3 * random if "norm" in key and name not in NORMS_ADD_ONE else 0.3 * random
        if key.endswith("linear_attn.norm.weight"):
            parameter.data += 1.0
        if key.endswith("A_log"):
            parameter.data -= 3.0  # so that states remember some twenty tokens
        if key.endswith("experts.gate_up_proj") and name == "gpt_oss":
            parameter.data *= 3  # so that the gate's limits are reached
        if key.endswith("_proj") and name in QUANTISED:
            packed[key] = draw_quantised(parameter, generator)
    if getattr(model.config, "tie_word_embeddings"):
        model.tie_weights()
    model.to(dtype).save_pretrained(folder, **({"max_shard_size": shard} if shard else {}))
    if version_4:
        write_as_version_4(folder / "config.json")

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    tokens = torch.randint(3, SIZES["vocab_size"], (2, TOKENS), generator=generator)
    with torch.no_grad():
        # The continuation comes first, because with rope type dynamic the model object keeps the base of the longest text so
        # far.
        greedy = model.generate(tokens[:1, :PROMPT], attention_mask=torch.ones(1, PROMPT, dtype=torch.int64), max_new_tokens=CONTINUED,
                                do_sample=False, eos_token_id=None, pad_token_id=0)[0, PROMPT:]
        logits = model(tokens).logits
    log_probability = torch.log_softmax(logits.double(), -1)
    entropy = -(log_probability.exp() * log_probability).sum(-1).float()
    save_file({"tokens": tokens, "logits": logits.contiguous(), "entropy": entropy, "greedy": greedy.contiguous(),
               "prompt_tokens": torch.tensor([PROMPT])}, here / f"{name}.safetensors")
    if name in STACKED:  # after transformers read it
        stack_experts(folder / "model.safetensors")
    if name in QUANTISED:
        quantise(folder, packed)
    ranked = logits[0].sort(-1, descending=True).values
    print(f"{name}: smallest lead of a greedy choice {(ranked[:, 0] - ranked[:, 1]).min().item():.4f}, "
          f"entropy {entropy.min().item():.3f} to {entropy.max().item():.3f}")


for number, family in enumerate(FAMILIES):
    if not sys.argv[1:] or family in sys.argv[1:]:
        make(family, 100 + number)
