#!/usr/bin/env python3
"""Writes the seeds of the fuzz targets, tests/fuzz/corpus/TARGET/. Needs the standard library only.

usage: tests/fuzz/make_corpus.py

A seed is a small valid file, or one with a single fault that a parser must refuse: mutations of it reach code that
mutations of noise do not. Fixtures of the repository (tests/reference) are used where there are some.
"""

import hashlib
import json
import random
import shutil
import struct
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
REFERENCE = FOLDER.parent / "reference"
CONFIGS = FOLDER.parent.parent / "configs"
CORPUS = FOLDER / "corpus"


def put(target, name, content):
    path = CORPUS / target / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())


def compact(value):
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def safetensors(header, data=b""):
    text = (header if isinstance(header, str) else compact(header)).encode()
    return struct.pack("<Q", len(text)) + text + data


def tensor(dtype, shape, begin, end):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def json_seeds():
    put("json", "object", '{"a": [1, -2, 2.5e3, null, true, false], "b": {"c": "ä\\n\\u00e9\\ud83d\\ude00"}}')
    put("json", "numbers", "[0, -0, 1e308, 18446744073709551615, -9223372036854775808, 0.1]")
    put("json", "text", '"\\"\\\\\\/\\b\\f\\n\\r\\t"')
    put("json", "deep", "[" * 12 + '{"k":{}}' + "]" * 12)
    put("json", "too_deep", "[" * 40)
    put("json", "twice", '{"a": 1, "b": {"a": 1}, "a": 2}')


def safetensors_seeds():
    shutil.copy(REFERENCE / "safetensors/mixed.safetensors", CORPUS / "safetensors/mixed")
    two = {"__metadata__": {"format": "pt"}, "a": tensor("F32", [2, 1], 0, 8), "b": tensor("BF16", [], 8, 10)}
    put("safetensors", "two", safetensors(two, bytes(10)))
    put("safetensors", "none", safetensors("{}  "))
    put("safetensors", "overlap", safetensors({"a": tensor("U8", [4], 0, 4), "b": tensor("U8", [4], 2, 6)}, bytes(6)))
    put("safetensors", "gap", safetensors({"a": tensor("U8", [2], 0, 2), "b": tensor("U8", [2], 4, 6)}, bytes(6)))
    put("safetensors", "overflow", safetensors({"a": tensor("F64", [2**62, 4], 0, 0)}))
    put("safetensors", "zero_size", safetensors({"a": tensor("I64", [3, 0], 0, 0)}))
    put("safetensors", "long_header", struct.pack("<Q", 2**40) + b"{}")


def scorer_seeds():
    """For the model of fuzz_scorer.cpp: one layer, one KV head, 20 features."""
    judge = "model.layers.0.self_attn.judge_model."
    sizes = {judge + "fc1.weight": [1, 20, 16], judge + "fc1.bias": [1, 16], judge + "fc2.weight": [1, 16, 1],
             judge + "fc2.bias": [1, 1]}
    normalisation = {"feature_mean": [1, 1, 20], "feature_deviation": [1, 1, 20]}
    facts = {"format": "foresight.scorer.1", "features": "normalized", "budget": "128", "window": "32",
             "model_fingerprint": "a" * 64, "dtype": "float32", "config": "output: runs/a\n"}

    def file(tensors, metadata):
        header, position = {"__metadata__": metadata} if metadata else {}, 0
        for name, shape in tensors.items():
            size = 4
            for length in shape:
                size *= length
            header[name] = tensor("F32", shape, position, position + size)
            position += size
        return safetensors(header, bytes(position))

    put("scorer", "ours", file(sizes | normalisation, facts))
    put("scorer", "ours_digest", file(sizes, facts | {"format": "foresight.scorer.2", "content_sha256": "0" * 64}))
    put("scorer", "ours_plain", file(sizes, facts | {"features": "released"}))
    put("scorer", "released", file(sizes, {}))
    put("scorer", "no_metadata", file(sizes | normalisation, {"format": "pt"}))
    put("scorer", "later_format", file(sizes, facts | {"format": "foresight.scorer.3"}))
    put("scorer", "bad_count", file(sizes, facts | {"budget": "12x"}))
    put("scorer", "bad_shape", file(sizes | {judge + "fc1.bias": [16]}, facts))


def model_seeds():
    shutil.copy(REFERENCE / "llama/tiny/config.json", CORPUS / "model_config/tiny")
    least = {"architectures": ["LlamaForCausalLM"], "num_hidden_layers": 1, "num_attention_heads": 2,
             "hidden_size": 8, "intermediate_size": 8, "vocab_size": 9}
    put("model_config", "least", compact(least))
    put("model_config", "rope", compact(least | {"rope_scaling": {"type": "yarn"}, "eos_token_id": [1, 2]}))
    for family in ["llama3", "mistral", "qwen2", "qwen3_yarn", "gpt_oss_mxfp4"]:
        shutil.copy(REFERENCE / "families" / family / "config.json", CORPUS / "model_config" / family)
    put("model_config", "nested", compact(least | {"hidden_act": [[[["silu"]]]]}))
    put("model_config", "huge", compact(least | {"num_hidden_layers": 2**31, "vocab_size": 2**62}))
    shutil.copy(REFERENCE / "llama/tiny_untied/model.safetensors.index.json", CORPUS / "shard_index/tiny_untied")
    put("shard_index", "least", compact({"weight_map": {"a": "x.safetensors", "b": "x.safetensors"}}))
    put("shard_index", "below", compact({"weight_map": {"a": "x/y/z.safetensors"}}))
    put("shard_index", "elsewhere", compact({"weight_map": {"a": "../x.safetensors"}}))


def row_seeds():
    rows = [{"text": "whole é"}, {"prompt": "p", "completion": "c"}, {"tokens": [3, 0, 2147483647]},
            {"question": "2+2?", "answer": "It is <<2+2=4>>4.\n#### 4"}, {"problem": "P", "solution": "S", "answer": "7"},
            {"messages": [{"role": "user", "content": "Hi"}], "answer": "a <<b"}]
    put("rows", "all_kinds", "\r\n".join(compact(row) for row in rows))
    for number, row in enumerate(rows):
        put("rows", f"kind_{number}", compact(row) + "\n\n")
    put("rows", "bad_utf8", b'{"text": "\xff"}\n')
    put("rows", "deep", "[" * 50 + "\n")


def config_seeds():
    least = "output: runs/one\nmodel: {path: models/small}\ndata:\n  train: [train.jsonl]\n"
    shutil.copy(CONFIGS / "tiny.yaml", CORPUS / "config/tiny")
    put("config", "least", least)
    put("config", "override", least + "\0grpo.steps=3")
    put("config", "override_list", least + "\0evaluation.policies=[full, 'rkv', \"h2o\"]")
    put("config", "block_text", least + "scorer:\n  initial: |\n    a\n    b\n")
    put("config", "quotes", least + "scorer: {initial: \"a\\x41\\u00e9\\n\", features: 'released'}\n")
    put("config", "bomb", "a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\nd: [*c, *c]\n")
    put("config", "deep", "a: " + "[" * 30 + "\n")
    put("config", "tags", "output: !!str x\n--- \nb\n...\n")
    put("config", "environment", least + "traces: {file: '${HOME}/x', prompts: ['${NOT_SET}']}\n")


def tokenizer_seeds():
    small = {"added_tokens": [{"id": 5, "content": "<|end|>", "special": True, "lstrip": True, "single_word": True}],
             "normalizer": {"type": "NFC"},
             "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": True, "use_regex": True},
             "post_processor": None, "decoder": {"type": "ByteLevel"},
             "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "c": 2, "ab": 3, "abc": 4}, "merges": ["a b", ["ab", "c"]]}}
    put("tokenizer", "small", compact(small))
    split = {"type": "Split", "pattern": {"Regex": "(?i:'s|'t)|\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)"},
             "behavior": "Isolated", "invert": False}
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "use_regex": False}
    put("tokenizer", "split", compact(small | {"pre_tokenizer": {"type": "Sequence", "pretokenizers": [split, byte_level]}}))
    digits = [{"type": "Digits", "individual_digits": True},
              {"type": "Split", "pattern": {"String": "b"}, "behavior": "MergedWithNext", "invert": True}, byte_level]
    put("tokenizer", "digits", compact(small | {"pre_tokenizer": {"type": "Sequence", "pretokenizers": digits}}))
    template = {"type": "TemplateProcessing", "special_tokens": {"s": {"id": "s", "ids": [5]}},
                "single": [{"SpecialToken": {"id": "s"}}, {"Sequence": {"id": "A"}}, {"SpecialToken": {"id": "s"}}]}
    put("tokenizer", "template", compact(small | {"post_processor": {"type": "Sequence", "processors": [template]}}))
    decoders = [{"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"},
                {"type": "Fuse"}, {"type": "ByteLevel"}]
    fallback = {"type": "BPE", "byte_fallback": True, "fuse_unk": True, "unk_token": "<unk>", "ignore_merges": True,
                "vocab": {"<unk>": 0, "<0xC4>": 1, "<0xA0>": 2, "a": 3}, "merges": []}
    put("tokenizer", "fallback", compact({"pre_tokenizer": byte_level, "model": fallback,
                                          "decoder": {"type": "Sequence", "decoders": decoders}}))
    sign = {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}
    strip = [{"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"},
             {"type": "Strip", "content": " ", "start": 1, "stop": 0}]
    characters = {"type": "BPE", "byte_fallback": True, "fuse_unk": True, "unk_token": "<unk>",
                  "vocab": {"<unk>": 0, "<0xC3>": 1, "<0xA4>": 2, "▁": 3, "a": 4, "▁a": 5, "b": 6}, "merges": [["▁", "a"]]}
    put("tokenizer", "sentence_piece", compact({
        "normalizer": {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "▁"}, sign]}, "pre_tokenizer": None,
        "added_tokens": [{"id": 7, "content": "b", "normalized": True}], "model": characters,
        "decoder": {"type": "Sequence", "decoders": strip}}))
    metaspace = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": True}
    put("tokenizer", "metaspace", compact({"pre_tokenizer": metaspace, "decoder": metaspace, "model": characters}))
    splits = [{"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False} for pattern in
              ["\\p{N}{1,3}", "[一-龥぀-ゟ゠-ヿ]+", "[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\\r\\n]*|\\s+"]]
    put("tokenizer", "splits", compact(small | {"pre_tokenizer": {"type": "Sequence", "pretokenizers": splits + [byte_level]}}))
    put("tokenizer", "far_id", compact(small | {"added_tokens": [{"id": 16000000, "content": "x"}]}))
    put("tokenizer", "deep", '{"normalizer":' + '{"type":"Sequence","normalizers":[' * 20 + "]}" * 20 + "}")


def chat_template_seeds():
    templates = json.loads((REFERENCE / "tokenizer/chat_templates.json").read_text())["templates"]
    by_family = {entry["family"]: entry["template"] for entry in templates}
    for number, (_, template) in enumerate(sorted(by_family.items())):
        put("chat_template", f"family_{number}", compact({"chat_template": template, "bos_token": {"content": "<s>"}}))
    families = json.loads((REFERENCE / "tokenizer/chat_families.json").read_text())
    for entry in families["templates"]:
        put("chat_template", entry["name"].lower().replace(" ", "_"), compact({"bos_token": "<s>"}) + "\0\0" + entry["template"])
    for number, entry in enumerate(families["snippets"][::10]):
        put("chat_template", f"snippet_{number:02}", "{}\0\0" + entry["template"])
    ends = compact({"eos_token": "a", "chat_template": [{"name": "default", "template": "{{ 'x' }}"}]})
    put("chat_template", "ends", ends + "\0" + compact({"eos_token_id": [0, 1]}))
    put("chat_template", "jinja", "{}\0{}\0{%- for message in messages %}\n{{ message.role }}{% endfor -%}\n")


def manifest_seeds():
    files = {"weights.bin": {"bytes": 3, "sha256": hashlib.sha256(b"abc").hexdigest()}}
    for name, listed in {"whole": files, "more": files | {"a\nb": {}}, "less": {}, "odd": {"weights.bin": [1]}}.items():
        body = {"facts": {"step": 3, "metric": None}, "files": listed}
        digest = hashlib.sha256(json.dumps(body, separators=(",", ":"), sort_keys=True).encode()).hexdigest()
        put("manifest", name, compact(body | {"manifest_version": 1, "digest": digest}))


def oracle_seeds():
    for name in ["good", "good_compressed", "bad_virtual", "bad_external_link", "bad_filter", "bad_claim", "bad_string",
                 "bad_external_storage"]:
        shutil.copy(REFERENCE / f"oracle/{name}.h5", CORPUS / "oracle" / name)


    # fuzz_oracle_made.cpp takes its choices from the bytes; 0 is "as the schema requires it".
    choices = random.Random(1)
    for number in range(24):
        changed = bytearray(160)
        if number > 0:
            changed[choices.randrange(160)] = choices.randrange(1, 8)
        put("oracle_made", f"choices_{number:02}", bytes(changed))


def main():
    shutil.rmtree(CORPUS, ignore_errors=True)
    for target in ["safetensors", "model_config", "shard_index", "config", "oracle"]:
        (CORPUS / target).mkdir(parents=True)
    for write in [json_seeds, safetensors_seeds, scorer_seeds, model_seeds, row_seeds, config_seeds, tokenizer_seeds,
                  chat_template_seeds, manifest_seeds, oracle_seeds]:
        write()
    files = [path for path in CORPUS.glob("*/*") if path.is_file()]
    print(f"{len(files)} seeds, {sum(path.stat().st_size for path in files)} bytes")


if __name__ == "__main__":
    main()
