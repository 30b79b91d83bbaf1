"""The files of a model folder, as the program knows them."""

import functools
import hashlib
import json
from pathlib import Path

from .errors import ForesightError, one_line

BLOCK_BYTES = 1 << 20

@functools.lru_cache(maxsize=4)
def model_fingerprint(folder):
    """The SHA-256 (hex) by which the program tells models apart: of the digests of config.json and of the weights' files, in
    order. Reads all of them. Raises ForesightError naming the file that is not there or not readable."""
    digests = [_digest(file) for file in (Path(folder) / "config.json", *weight_files(folder))]
    return hashlib.sha256("".join(digests).encode()).hexdigest()


def weight_files(folder):
    """model.safetensors, or the shards that model.safetensors.index.json names, by name. Raises ForesightError."""
    index = Path(folder) / "model.safetensors.index.json"
    single = Path(folder) / "model.safetensors"
    if single.exists() or not index.exists():
        return [single]
    try:
        names = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
        return [Path(folder) / name for name in sorted(names, key=str.encode)]
    except (OSError, ValueError, LookupError, AttributeError, TypeError) as fault:
        raise ForesightError(f"{index}: no index of a model's weights: {one_line(fault)}; take another copy") from fault


def _digest(file):
    digest = hashlib.sha256()
    try:
        with open(file, "rb") as opened:
            while block := opened.read(BLOCK_BYTES):
                digest.update(block)
        return digest.hexdigest()
    except OSError as fault:
        raise ForesightError(f"{file}: cannot be read: {fault.strerror}; take another copy of the model") from fault
