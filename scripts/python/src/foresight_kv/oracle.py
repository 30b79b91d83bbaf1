"""Reads oracle files (docs/hdf5_format.md) into NumPy arrays.

Symbols: L tokens, w tokens of a query block, N = ceil(L / w) blocks, K KV heads, E packed elements of a KV head.
"""

import hashlib
from pathlib import Path

import h5py
import numpy as np

from .child_reader import require_survival
from .errors import ForesightError, one_line

SCHEMA_VERSION = 1
SCHEMA_VERSION_OF_SOME_LAYERS = 2  # of a model some of whose layers do not evict
LAYERS = "layer_numbers"
INTEGER_LIMITS = {"layers": 4096, "kv_heads": 4096, "tokens": 1 << 22, "block_tokens": 1 << 22}
TEXTS = ("trace_id", "model_fingerprint", "tokenizer_fingerprint", "config_yaml", "code_version", "dtype")
TOKEN_DATASETS = {"token_ids": "<i4", "loss": "<f4", "entropy": "<f4", "completion": "|u1"}
ATTENTION_GROUP = "future_attention"
MAX_CHUNK_BYTES = 16 << 20
MAX_DEFLATE_RATIO = 1000
FILTERS = {h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_FLETCHER32}


class OracleFile:
    """An oracle file. What belongs to tokens is read and checked at once, the attention of a layer when it is asked for.

    Attributes: layers, kv_heads, tokens (L), block_tokens (w), blocks (N), packed_elements (E); layer_numbers, the model's
    numbers of the recorded layers, which are those that evict; trace_id,
    model_fingerprint, tokenizer_fingerprint, config_yaml, code_version, dtype (texts); and arrays [L]: token_ids int32,
    loss and entropy float32 (nats, of predicting token t from those before it; 0 for token 0), completion bool.
    """

    def __init__(self, path):
        """Opens the file. Raises ForesightError naming file and attribute or dataset where it is not as documented."""
        self.path = Path(path)
        if not self.path.is_file():
            raise ForesightError(f"{path}: there is no such file; give the path of an oracle file (oracle/train-000000.h5)")
        try:
            self._opened(self._read)
        except (OSError, RuntimeError, KeyError) as fault:  # what h5py raises for damaged structures
            self._fail(f"damaged, or no HDF5 file ({one_line(fault)}); record it again")

    # Reading ----------------------------------------------------------------------------------------------------------

    def attention(self, layer):
        """Future attention of a layer, [K, N, L] float32: the mean attention that the queries of a block pay to a key.

        layer is the model's own number, one of layer_numbers.

        Blocks pay nothing to keys behind their end: zeros. Raises ForesightError for a layer that is not there, or that is
        damaged.
        """
        packed = self.packed_attention(layer)
        attention = np.zeros((self.kv_heads, self.blocks, self.tokens), np.float32)
        start = 0
        for block in range(self.blocks):
            keys = self._keys_of(block)
            attention[:, block, :keys] = packed[:, start : start + keys]
            start += keys
        return attention

    def packed_attention(self, layer):
        """The same as it is stored, [K, E] float16. Raises ForesightError like attention()."""
        if layer not in self.layer_numbers:
            raise ForesightError(f"{self.path}: there is no layer {layer}; choose one of {self._layers_text()}")
        name = self._layer_name(layer)
        try:
            shape = (self.kv_heads, self.packed_elements)
            packed = self._opened(lambda file: self._dataset(file, name, "<f2", shape))
        except (OSError, RuntimeError, KeyError) as fault:
            self._fail(f"/{name}: damaged ({one_line(fault)}); record it again")
        found = hashlib.sha256(packed.tobytes()).hexdigest()
        if found != self._layer_digests[layer]:
            self._fail(f"/{name}: damaged: expected SHA-256 {self._layer_digests[layer]}, found {found}; record it again")
        return packed

    def window_attention(self, layer, window):
        """Future attention in blocks of `window` tokens, [K, ceil(L / window), L] float32: the mean over their queries.

        Raises ForesightError where window is not a multiple of the recorded block.
        """
        if window < 1 or window % self.block_tokens != 0:
            raise ForesightError(
                f"{self.path}: window {window} is not a multiple of the recorded block of {self.block_tokens} tokens; choose "
                "another window or record the oracle again"
            )
        attention = self.attention(layer)
        if window == self.block_tokens:
            return attention
        queries = np.minimum(self.block_tokens, self.tokens - np.arange(self.blocks) * self.block_tokens).astype(np.float32)
        starts = np.arange(0, self.blocks, window // self.block_tokens)
        sums = np.add.reduceat(attention * queries[:, None], starts, axis=1)
        return sums / np.add.reduceat(queries, starts)[:, None]

    def golden_scores(self, layer, budget, window):
        """Long-term contribution of every token at every eviction step, [K, S, L] float32; the oracle evicts the lowest.

        Step s happens after p_s = budget + (s + 1) window tokens, if more follow. A token's contribution is the greatest
        attention that any block from p_s on pays to it; tokens from p_s on, which are not cached yet, are NaN. Raises
        ForesightError where budget is not a multiple of window, or window none of the recorded block.
        """
        if window < 1 or budget < window or budget % window != 0:
            raise ForesightError(f"golden scores: budget {budget} must be a multiple of window {window}")
        attention = self.window_attention(layer, window)
        greatest_to_come = np.maximum.accumulate(attention[:, ::-1], axis=1)[:, ::-1]
        seen = np.arange(budget + window, self.tokens, window)  # p_s
        scores = greatest_to_come[:, seen // window]  # a copy
        scores[:, np.arange(self.tokens) >= seen[:, None]] = np.nan
        return scores

    # Checking ---------------------------------------------------------------------------------------------------------

    def _opened(self, read):
        """What `read` makes of the open file. It is tried in a process of its own first, as libhdf5 can be made to crash."""

        def open_and_read():
            with h5py.File(self.path, "r", locking=False) as file:  # published whole: no lock is needed, nor always there
                return read(file)

        require_survival(self.path, open_and_read)
        return open_and_read()

    def _fail(self, message):
        raise ForesightError(f"{self.path}: {message}") from None

    def _read(self, file):
        version = self._integer(file, "schema_version", 1 << 31)
        if version not in (SCHEMA_VERSION, SCHEMA_VERSION_OF_SOME_LAYERS):
            self._fail(
                f"schema version {version}, expected {SCHEMA_VERSION} or {SCHEMA_VERSION_OF_SOME_LAYERS}; record it again"
            )
        for name, most in INTEGER_LIMITS.items():
            setattr(self, name, self._integer(file, name, most))
        self.layer_numbers = list(range(self.layers))
        if version == SCHEMA_VERSION_OF_SOME_LAYERS:
            self.layer_numbers = self._numbers(file)
        self.blocks = -(-self.tokens // self.block_tokens)
        self.packed_elements = sum(map(self._keys_of, range(self.blocks)))
        for name in TEXTS:
            setattr(self, name, self._text(file, name))
        self._require_members(file, {*TOKEN_DATASETS, ATTENTION_GROUP})
        group = self._member(file, ATTENTION_GROUP, h5py.Group)
        self._require_members(group, {self._layer_name(layer).rpartition("/")[2] for layer in self.layer_numbers})
        arrays = {name: self._dataset(file, name, kind, (self.tokens,)) for name, kind in TOKEN_DATASETS.items()}
        layers = [self._member(file, self._layer_name(layer), h5py.Dataset) for layer in self.layer_numbers]
        digests = [self._text(layer, "sha256") for layer in layers]
        self._layer_digests = dict(zip(self.layer_numbers, digests, strict=True))
        self._require_digest(file, version, arrays)
        self.token_ids, self.loss, self.entropy = (arrays[name] for name in ("token_ids", "loss", "entropy"))
        self.completion = arrays["completion"].astype(bool)

    def _keys_of(self, block):
        """Keys that the queries of a block can see."""
        return min((block + 1) * self.block_tokens, self.tokens)

    @staticmethod
    def _layer_name(layer):
        return f"{ATTENTION_GROUP}/layer_{layer:03d}"

    def _attribute(self, owner, name):
        if name not in owner.attrs:
            self._fail(f"{owner.name}: attribute '{name}' is missing; record it again")
        return owner.attrs.get_id(name)

    def _integer(self, file, name, most):
        attribute = self._attribute(file, name)
        if attribute.dtype != np.dtype("<i8") or attribute.shape != ():
            self._fail(f"attribute '{name}' is {attribute.dtype} {attribute.shape}, expected one int64; record it again")
        value = int(file.attrs[name])
        if not 1 <= value <= most:
            self._fail(f"attribute '{name}' is {value}, expected 1 to {most}; record it again")
        return value

    def _numbers(self, file):
        """The model's numbers of the layers, ascending, of a file with some of them: "1 3 5"."""
        text = self._text(file, LAYERS)
        numbers = [int(word) for word in text.split() if word.isdecimal()]
        ascending = numbers == sorted(set(numbers)) and all(number < INTEGER_LIMITS["layers"] for number in numbers)
        if " ".join(map(str, numbers)) != text or len(numbers) != self.layers or not ascending:
            self._fail(f"attribute '{LAYERS}' is '{one_line(text)}', expected {self.layers} ascending numbers; record it again")
        return numbers

    def _layers_text(self):
        """Which layers there are: "0 to 3", or "1, 3, 5" where others are between."""
        if self.layer_numbers == list(range(self.layers)):
            return f"0 to {self.layers - 1}"
        return ", ".join(map(str, self.layer_numbers))

    def _text(self, owner, name):
        attribute = self._attribute(owner, name)
        if attribute.dtype.kind != "S" or attribute.shape != ():
            self._fail(f"{owner.name}: attribute '{name}' is not a text of fixed length; record it again")
        try:
            return bytes(owner.attrs[name]).rstrip(b"\0").decode()
        except UnicodeDecodeError:
            return self._fail(f"{owner.name}: attribute '{name}' is not UTF-8; record it again")

    def _require_members(self, group, expected):
        found = set(group)
        if found != expected:
            missing, extra = sorted(expected - found)[:3], sorted(found - expected)[:3]
            self._fail(f"{group.name}: missing {missing}, not expected {one_line(extra)}; record it again")

    def _member(self, file, name, kind):
        link = file.get(name, getlink=True)
        if not isinstance(link, h5py.HardLink) or file.get(name, getclass=True) is not kind:
            self._fail(f"/{name}: expected a {kind.__name__.lower()} in this file; record it again")
        return file[name]

    def _dataset(self, file, name, dtype, shape):
        """The values of a dataset after its type, shape and storage were checked: nothing large is read on trust."""
        data = self._member(file, name, h5py.Dataset)
        if data.dtype.str != dtype or data.shape != shape:
            found = f"{data.dtype.str} {list(data.shape)}"
            self._fail(f"/{name}: expected {dtype} {list(shape)}, found {found}; record it again")
        if data.chunks is None or data.is_virtual or data.external:
            self._fail(f"/{name}: is not stored in chunks in this file; record it again")
        if any(chunk > size for chunk, size in zip(data.chunks, shape, strict=True)):
            self._fail(f"/{name}: chunks {data.chunks} are larger than the data; record it again")
        if np.prod(data.chunks, dtype=np.int64) * data.dtype.itemsize > MAX_CHUNK_BYTES:
            self._fail(f"/{name}: chunks {data.chunks} of more than {MAX_CHUNK_BYTES} bytes; record it again")
        plist = data.id.get_create_plist()
        filters = {plist.get_filter(index)[0] for index in range(plist.get_nfilters())}
        if not filters <= FILTERS:
            self._fail(f"/{name}: filters {sorted(filters - FILTERS)} are not expected; record it again")
        ratio = MAX_DEFLATE_RATIO if h5py.h5z.FILTER_DEFLATE in filters else 1
        if data.nbytes > data.id.get_storage_size() * ratio:
            self._fail(f"/{name}: claims {data.nbytes} bytes, the file holds {data.id.get_storage_size()}; record it again")
        return data[...]

    def _require_digest(self, file, version, arrays):
        digest = hashlib.sha256(b"schema_version=%d\n" % version)
        for name in INTEGER_LIMITS:
            digest.update(f"{name}={getattr(self, name)}\n".encode())
        if version == SCHEMA_VERSION_OF_SOME_LAYERS:
            numbers = " ".join(map(str, self.layer_numbers)).encode()
            digest.update(b"%s=%d:%s\n" % (LAYERS.encode(), len(numbers), numbers))
        for name in TEXTS:
            value = getattr(self, name).encode()
            digest.update(b"%s=%d:%s\n" % (name.encode(), len(value), value))
        for array in arrays.values():
            digest.update(array.tobytes())
        for layer in self._layer_digests.values():
            digest.update(layer.encode() + b"\n")
        stored = self._text(file, "digest")
        if digest.hexdigest() != stored:
            self._fail(f"damaged: expected SHA-256 {one_line(stored)}, found {digest.hexdigest()}; record it again")
