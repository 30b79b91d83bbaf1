#!/usr/bin/env python3
"""Trains small tokenizers with the `tokenizers` library (0.22.2) and writes their tokens of many texts.

    make_fixture.py [MODEL_FOLDER]    (with MODEL_FOLDER: the ids of that model's tokenizer.json too, as smollm2.json)

Each NAME/ holds tokenizer.json and, but for smollm2, tokenizer_config.json. Each fixture.json (smollm2.json) holds
  ids              for each line of texts.json, encode(text, add_special_tokens=False)
  special_ids      the same with add_special_tokens=True, where the tokenizer adds any
  ends             one past the last character of each token (offsets), where recorded; null where NFC changes the text
  decoded          {index: text} where decode(ids, skip_special_tokens=False) is not the text itself
  decoded_plain    {index: text} where skip_special_tokens=True gives something else than False
  random_ids, random_decoded    decoding of random ids, which is seldom valid UTF-8
"""

import json
import random
import sys
import unicodedata
from pathlib import Path

from texts import fixture_texts, training_text
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

HERE = Path(__file__).parent
LLAMA3_STYLE = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
                r"|\s*[\r\n]+|\s+(?!\S)|\s+")


def write(path, value):
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(value, ensure_ascii=True, separators=(",", ":")) + "\n")


def train(tokenizer, size, special, alphabet=True):
    trainer = trainers.BpeTrainer(vocab_size=size, special_tokens=special, show_progress=False,
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet() if alphabet else [])
    tokenizer.train_from_iterator(training_text(), trainer)
    return tokenizer


def smollm_like():
    """Digits and ByteLevel; added tokens of every kind."""
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)])
    t.decoder = decoders.ByteLevel()
    train(t, 1500, ["<|endoftext|>", "<|im_start|>", "<|im_end|>"])
    t.add_tokens([AddedToken("<mask>", lstrip=True), AddedToken("<pad>", rstrip=True),
                  AddedToken("word", single_word=True, normalized=False), AddedToken("<|im_start|>x")])
    return t, {"eos_token": "<|im_end|>"}


def llama3_like():
    """Split, NFC, ignore_merges, a beginning token."""
    t = Tokenizer(models.BPE(ignore_merges=True))
    t.normalizer = normalizers.NFC()
    t.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(LLAMA3_STYLE), "isolated"),
                                               pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    t.decoder = decoders.ByteLevel()
    train(t, 1400, ["<|begin_of_text|>", "<|im_end|>"])
    t.add_tokens([AddedToken("caf\u00e9", normalized=True), AddedToken("token", normalized=False)])
    t.post_processor = processors.Sequence([
        processors.ByteLevel(trim_offsets=False),
        processors.TemplateProcessing(single="<|begin_of_text|> $A", special_tokens=[("<|begin_of_text|>", 0)])])
    return t, {"eos_token": {"content": "<|im_end|>", "lstrip": False}}


def gpt2_like():
    """ByteLevel with a prefix space, tokens before and behind, merges in the old form."""
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    t.decoder = decoders.ByteLevel()
    train(t, 1200, ["<|bos|>", "<|endoftext|>"])
    t.post_processor = processors.TemplateProcessing(
        single="<|bos|> $A <|endoftext|>", special_tokens=[("<|bos|>", 0), ("<|endoftext|>", 1)])
    return t, {"eos_token": "<|endoftext|>"}


def fallback_like():
    """A vocabulary without most bytes: unknown and fallback tokens, and the decoder chain of converted models."""
    t = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    t.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=False),
                                               pre_tokenizers.ByteLevel(add_prefix_space=True)])
    trainer = trainers.BpeTrainer(vocab_size=500, special_tokens=["<unk>", "<0xC3>", "<0x84>", "<0x85>", "<0x41>"],
                                  show_progress=False, limit_alphabet=90)
    t.train_from_iterator(training_text()[90:], trainer)
    t.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Fuse(), decoders.Replace("\u2581", " "),
                                   decoders.ByteLevel()])
    return t, {}


def record(tokenizer, texts, with_ends):
    """The fixture of one tokenizer."""
    result = {"ids": [], "special_ids": [], "ends": [], "decoded": {}, "decoded_plain": {}}
    for index, text in enumerate(texts):
        encoding = tokenizer.encode(text, add_special_tokens=False)
        special = tokenizer.encode(text).ids
        result["ids"].append(encoding.ids)
        result["special_ids"].append(special if special != encoding.ids else None)
        if with_ends:
            # Inside a composed stretch the libraries align differently (character by character, or the whole stretch).
            changed = tokenizer.normalizer is not None and unicodedata.normalize("NFC", text) != text
            result["ends"].append(None if changed else [end for _, end in encoding.offsets])
        decoded = tokenizer.decode(encoding.ids, skip_special_tokens=False)
        if decoded != text:
            result["decoded"][str(index)] = decoded
        plain = tokenizer.decode(encoding.ids, skip_special_tokens=True)
        if plain != decoded:
            result["decoded_plain"][str(index)] = plain
    if all(ids is None for ids in result["special_ids"]):
        result["special_ids"] = []
    rng = random.Random(3)
    size = tokenizer.get_vocab_size()
    result["random_ids"] = [[rng.randrange(size) for _ in range(rng.randint(1, 8))] for _ in range(60)]
    # Low ids are single bytes: these are the damaged texts.
    result["random_ids"] += [[rng.randrange(min(size, 270)) for _ in range(rng.randint(1, 8))] for _ in range(120)]
    result["random_decoded"] = [tokenizer.decode(ids, skip_special_tokens=False) for ids in result["random_ids"]]
    return result


def pre_tokenizer_cases(texts):
    """Every Split behaviour, as the pieces' ends in characters."""
    patterns = {"digits": {"Regex": r"\d+"}, "spaces": {"Regex": r"\s+"}, "word": {"Regex": r"\w+"}, "han": {"Regex": r"\p{Han}"},
                "not_word": {"Regex": r"\W"}, "empty": {"Regex": r"x*"}, "line_end": {"Regex": r"$"},
                "text": {"String": "a."}, "punctuation": {"Regex": r"[\p{P}\p{S}\s]"}}
    cases = []
    some = texts[:60:2] + texts[140:420:14]
    for name, pattern in patterns.items():
        for behavior in ("Isolated", "Removed", "MergedWithPrevious", "MergedWithNext", "Contiguous"):
            for invert in (False, True):
                byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
                split = {"type": "Split", "pattern": pattern, "behavior": behavior, "invert": invert}
                description = {"type": "Sequence", "pretokenizers": [split, byte_level]}
                holder = json.loads(Tokenizer(models.BPE()).to_str())
                holder["pre_tokenizer"] = description
                pre = Tokenizer.from_str(json.dumps(holder)).pre_tokenizer
                ends = [[place for _, place in pre.pre_tokenize_str(text)] for text in some]
                cases.append({"name": f"{name} {behavior} {invert}", "pre_tokenizer": description, "pieces": ends})
    return {"texts": some, "cases": cases}


def main():
    texts = fixture_texts()
    write(HERE / "texts.json", texts)
    for build, with_ends in ((smollm_like, True), (llama3_like, True), (gpt2_like, False), (fallback_like, False)):
        tokenizer, config = build()
        folder = HERE / build.__name__
        description = json.loads(tokenizer.to_str())
        if build is gpt2_like:
            description["model"]["merges"] = [" ".join(merge) for merge in description["model"]["merges"]]
        write(folder / "tokenizer.json", description)
        write(folder / "tokenizer_config.json", config)
        write(folder / "fixture.json", record(Tokenizer.from_file(str(folder / "tokenizer.json")), texts, with_ends))
    write(HERE / "pre_tokenizers.json", pre_tokenizer_cases(texts))
    if len(sys.argv) > 1:
        tokenizer = Tokenizer.from_file(str(Path(sys.argv[1]) / "tokenizer.json"))
        write(HERE / "smollm2.json", record(tokenizer, texts, True))


if __name__ == "__main__":
    main()
