"""The oracle file format as docs/hdf5_format.md describes it, in Python: an implementation apart from the C++ one."""

import hashlib

import h5py
import numpy as np

INTEGERS = ["layers", "kv_heads", "tokens", "block_tokens"]
TEXTS = ["trace_id", "model_fingerprint", "tokenizer_fingerprint", "config_yaml", "code_version", "dtype"]
PER_TOKEN = {"token_ids": "<i4", "loss": "<f4", "entropy": "<f4", "completion": "u1"}


def packed_elements(tokens, block_tokens):
    return sum(min(end, tokens) for end in range(block_tokens, tokens + block_tokens, block_tokens))


def digest(integers, texts, per_token, layer_digests, version=1, numbers=""):
    content = b"schema_version=%d\n" % version
    for name in INTEGERS:
        content += b"%s=%d\n" % (name.encode(), integers[name])
    if numbers:
        content += b"layer_numbers=%d:%s\n" % (len(numbers), numbers.encode())
    for name in TEXTS:
        text = texts[name].encode()
        content += b"%s=%d:%s\n" % (name.encode(), len(text), text)
    for name, dtype in PER_TOKEN.items():
        content += np.asarray(per_token[name], dtype).tobytes()
    for layer_digest in layer_digests:
        content += layer_digest.encode() + b"\n"
    return hashlib.sha256(content).hexdigest()


def check(path):
    """Reads `path` and checks everything that it says about itself. Returns its arrays."""
    with h5py.File(path, "r") as file:
        version = int(file.attrs["schema_version"])
        assert version in (1, 2)
        integers = {name: int(file.attrs[name]) for name in INTEGERS}
        texts = {name: file.attrs[name].decode() for name in TEXTS}
        per_token = {name: file[name][:] for name in PER_TOKEN}
        assert set(file) == {*PER_TOKEN, "future_attention"}
        width = packed_elements(integers["tokens"], integers["block_tokens"])
        attention, digests = [], []
        numbers = file.attrs["layer_numbers"].decode() if version == 2 else ""
        layers = [int(number) for number in numbers.split()] if numbers else range(integers["layers"])
        assert len(layers) == integers["layers"] and list(layers) == sorted(set(layers))
        for layer in layers:
            data = file[f"future_attention/layer_{layer:03d}"]
            assert data.dtype == np.float16 and data.shape == (integers["kv_heads"], width) and data.fletcher32
            assert np.prod(data.chunks) * 2 <= 2**20
            attention.append(data[:])
            digests.append(data.attrs["sha256"].decode())
            assert hashlib.sha256(attention[-1].tobytes()).hexdigest() == digests[-1]
        assert len(file["future_attention"]) == integers["layers"]
        for name, dtype in PER_TOKEN.items():
            assert file[name].dtype == np.dtype(dtype) and file[name].shape == (integers["tokens"],)
        assert file.attrs["digest"].decode() == digest(integers, texts, per_token, digests, version, numbers)
    return {"integers": integers, "texts": texts, "per_token": per_token, "attention": np.stack(attention)}
