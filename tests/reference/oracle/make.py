"""Writes oracle files with h5py: good ones, and one for each fault that a reader must refuse.

Needs: h5py, numpy. Run in this folder: python make.py
"""

import hashlib
import json

import h5py
import numpy as np
from schema import PER_TOKEN, check, digest, packed_elements

INTEGERS = {"layers": 2, "kv_heads": 2, "tokens": 10, "block_tokens": 4}
TEXTS = {"trace_id": "train-000003", "model_fingerprint": "a" * 64, "tokenizer_fingerprint": "b" * 64,
         "config_yaml": "seed: 1\nname: größe\n", "code_version": "", "dtype": "float32"}
random = np.random.default_rng(11)
TOKENS = INTEGERS["tokens"]
ARRAYS = {"token_ids": random.integers(0, 50000, TOKENS).astype("<i4"), "loss": random.random(TOKENS).astype("<f4"),
          "entropy": random.random(TOKENS).astype("<f4"), "completion": (np.arange(TOKENS) > 6).astype("u1")}
ATTENTION = random.random((INTEGERS["layers"], INTEGERS["kv_heads"],
                           packed_elements(TOKENS, INTEGERS["block_tokens"]))).astype("<f2")


def text(value):
    return np.array(value.encode(), dtype=h5py.string_dtype("utf-8", max(len(value.encode()), 1)))


def write(name, change=None, options=None, integers=INTEGERS, skip=(), version=1, numbers=""):
    """A good file, with datasets in `skip` left out and `change(file)` called at the end; `numbers` are those of its layers."""
    options = options or {"chunks": True, "fletcher32": True}
    with h5py.File(name, "w", libver=("v110", "v110")) as file:
        file.attrs["schema_version"] = np.int64(version)
        for key, value in integers.items():
            file.attrs[key] = np.int64(value)
        if numbers:
            file.attrs["layer_numbers"] = text(numbers)
        for key, value in TEXTS.items():
            file.attrs[key] = text(value)
        for key in PER_TOKEN:
            if key not in skip:
                file.create_dataset(key, data=ARRAYS[key], **options)
        group = file.create_group("future_attention")
        digests = []
        for layer in range(integers["layers"]):
            digests.append(hashlib.sha256(ATTENTION[layer].tobytes()).hexdigest())
            key = f"layer_{int(numbers.split()[layer]) if numbers else layer:03d}"
            if key not in skip:
                data = group.create_dataset(key, data=ATTENTION[layer], **options)
                data.attrs["sha256"] = text(digests[-1])
        file.attrs["digest"] = text(digest(integers, TEXTS, ARRAYS, digests, version, numbers))
        if change:
            change(file)


def virtual(file):
    layout = h5py.VirtualLayout(shape=(TOKENS,), dtype="<f4")
    layout[:] = h5py.VirtualSource("other.h5", "loss", shape=(TOKENS,))
    file.create_virtual_dataset("loss", layout)


def unallocated(file):
    file.attrs["tokens"] = np.int64(1 << 22)
    for key, dtype in PER_TOKEN.items():
        del file[key]
        file.create_dataset(key, shape=(1 << 22,), dtype=dtype, chunks=(1 << 18,), fletcher32=True)


def flip_layer_digest(file):
    file["future_attention/layer_001"].attrs["sha256"] = text("0" * 64)


def set_value(key, value):
    def change(file):
        file[key][3] = value
    return change


write("good.h5")
write("good_compressed.h5", options={"chunks": True, "fletcher32": True, "shuffle": True, "compression": 6})
write("good_some_layers.h5", version=2, numbers="1 5")
write("bad_schema.h5", version=3)
write("bad_numbers_missing.h5", version=2)
write("bad_numbers_order.h5", version=2, numbers="5 1")
write("bad_numbers_count.h5", version=2, numbers="1 5", change=lambda file: file.attrs.__setitem__("layer_numbers", text("1 5 7")))
write("bad_numbers_words.h5", version=2, numbers="1 5", change=lambda file: file.attrs.__setitem__("layer_numbers", text("1 five")))
write("bad_soft_link.h5", lambda file: file.__setitem__("loss", h5py.SoftLink("/entropy")), skip=["loss"])
write("bad_external_link.h5", lambda file: file.__setitem__("loss", h5py.ExternalLink("good.h5", "/loss")), skip=["loss"])
write("bad_virtual.h5", virtual, skip=["loss"])
write("bad_external_storage.h5", skip=["loss"],
      change=lambda file: file.create_dataset("loss", data=ARRAYS["loss"], external=[("/dev/null", 0, h5py.h5f.UNLIMITED)]))
write("bad_filter.h5", options={"chunks": True, "compression": "lzf"})
write("bad_type.h5", lambda file: file.create_dataset("loss", data=ARRAYS["loss"].astype("<f8"), chunks=True), skip=["loss"])
write("bad_shape.h5", lambda file: file.create_dataset("loss", data=ARRAYS["loss"][:-1], chunks=True), skip=["loss"])
write("bad_missing.h5", skip=["layer_001"])
write("bad_extra.h5", lambda file: file.create_dataset("more", data=[1]))
write("bad_group.h5", lambda file: file.create_group("loss"), skip=["loss"])
write("bad_claim.h5", unallocated)
write("bad_chunk.h5", skip=["loss"], change=lambda file: file.create_dataset(
    "loss", shape=(TOKENS,), maxshape=(None,), dtype="<f4", chunks=(1 << 28,), fletcher32=True))
write("bad_contiguous.h5", lambda file: file.create_dataset("loss", data=ARRAYS["loss"]), skip=["loss"])
write("bad_digest.h5", set_value("loss", 0.25))
write("bad_layer.h5", lambda file: file["future_attention/layer_001"].write_direct(ATTENTION[0]))
write("bad_layer_digest.h5", flip_layer_digest)
write("bad_string.h5", lambda file: file.attrs.__setitem__("trace_id", "of variable length"))
write("bad_string_space.h5", lambda file: file.attrs.__setitem__("trace_id", np.array([b"a", b"b"])))
write("bad_string_type.h5", lambda file: file.attrs.__setitem__("trace_id", np.int64(3)))
write("bad_integer_type.h5", lambda file: file.attrs.__setitem__("layers", np.float64(2)))
write("bad_integer_missing.h5", lambda file: file.attrs.__delitem__("layers"))
write("bad_layers.h5", lambda file: file.attrs.__setitem__("layers", np.int64(1 << 40)))
write("bad_block.h5", lambda file: file.attrs.__setitem__("block_tokens", np.int64(0)))
with h5py.File("bad_other.h5", "w") as other:
    other.create_dataset("loss", data=ARRAYS["loss"])

for name in ["good.h5", "good_compressed.h5", "good_some_layers.h5"]:
    check(name)
with open("good.json", "w", encoding="utf-8") as expected:
    json.dump({"integers": INTEGERS, "texts": TEXTS, "token_ids": ARRAYS["token_ids"].tolist(),
               "loss": ARRAYS["loss"].astype(float).tolist(), "entropy": ARRAYS["entropy"].astype(float).tolist(),
               "completion": ARRAYS["completion"].tolist(), "attention_bits": ATTENTION.view("<u2").tolist()},
              expected, ensure_ascii=False)
    expected.write("\n")
