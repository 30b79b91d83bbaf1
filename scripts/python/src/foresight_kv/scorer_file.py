"""A scorer's safetensors file: our formats foresight.scorer.1, .2 and .3, and the authors' judge_model layout."""

import hashlib
import os
import re
from dataclasses import dataclass, field
from pathlib import Path

import safetensors
import safetensors.torch
import torch

from .errors import ForesightError, one_line

FORMAT = "foresight.scorer.2"
FORMAT_WITHOUT_DIGEST = "foresight.scorer.1"
FORMAT_OF_SOME_LAYERS = "foresight.scorer.3"  # of a model some of whose layers do not evict
LAYERS_KEY = "evicting_layers"
DIGEST_KEY = "content_sha256"
PLAIN_FORMAT = "pt"  # metadata 'format' of any file of PyTorch tensors
NORMALISATION = ("feature_mean", "feature_deviation")
HIDDEN = 16  # width of the scorer's hidden layer
STATISTICS_PER_HEAD = 8
FEATURES = ("normalized", "extended", "relative", "serving", "released")
WITH_CONTEXT = ("extended", "relative")  # hold what an entry is among the others, its age too
SERVING_QUERIES = 8  # of a window, that serving features are of
TENSORS = ("fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias")


def statistics_of(features, group):
    """Numbers that a scorer on `features` sees of a candidate besides key and value; group: query heads per KV head."""
    return STATISTICS_PER_HEAD * group + (3 * group + 3 if features in WITH_CONTEXT else 0)


@dataclass(frozen=True)
class ScorerFacts:
    """What a scorer was made for. budget and window count tokens; 0 where the file does not say."""

    features: str = "normalized"  # one of FEATURES
    budget: int = 0
    window: int = 0
    protect_sinks: int = 0  # first tokens of a text that training never evicted
    protect_prompt: bool = False  # nor those of its prompt
    model_fingerprint: str = ""
    dtype: str = ""
    config: str = ""


@dataclass
class StoredScorer:
    """The content of a scorer file, all tensors float32.

    numbers are the model's numbers of the layers, which are those that evict. layers, in the same order, map "fc1.weight"
    [K, F, 16], "fc1.bias" [K, 16], "fc2.weight" [K, 16, 1] and "fc2.bias" [K, 1]; mean and deviation are [layers, K, F], or
    None without normalisation. released: the authors' layout, without facts.
    """

    path: Path
    facts: ScorerFacts
    layers: list = field(default_factory=list)
    mean: torch.Tensor | None = None
    deviation: torch.Tensor | None = None
    released: bool = False
    numbers: list = field(default_factory=list)


def judge_tensor_name(layer, tensor):
    """judge_tensor_name(3, "fc1.bias") is "model.layers.3.self_attn.judge_model.fc1.bias"."""
    return f"model.layers.{layer}.self_attn.judge_model.{tensor}"


def _raw_bytes(tensor):
    return tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()


def scorer_digest(tensors, metadata):
    """SHA-256 (hex) of a scorer's content: what the metadata key content_sha256 holds.

    tensors: {name: (safetensors dtype name, torch.Tensor on the CPU)}; metadata: {key: text}. Keys and names go in byte
    order; every part stands behind its length, "LENGTH:PART"; a tensor is name, dtype, shape ("2,3") and the SHA-256 of
    its values.
    """
    digest = hashlib.sha256()

    def add(part):
        data = part.encode()
        digest.update(b"%d:%s" % (len(data), data))

    for key in sorted(metadata, key=str.encode):
        if key != DIGEST_KEY:
            add(key)
            add(metadata[key])
    for name in sorted(tensors, key=str.encode):
        dtype, tensor = tensors[name]
        for part in (name, dtype, ",".join(map(str, tensor.shape)), hashlib.sha256(_raw_bytes(tensor)).hexdigest()):
            add(part)
    return digest.hexdigest()


def read_scorer(path):
    """Reads a scorer file into a StoredScorer.

    Raises ForesightError naming file and key or tensor: no such file, no safetensors, content that its digest does not
    fit, a file of another format that is not the authors' layout beyond doubt, a fact that is not a number or no known word,
    a missing tensor or one that is not part of a scorer, a shape that does not fit the others, a tensor that is not of
    floating point or holds NaN or Inf.
    """
    path = Path(path)
    metadata, tensors = _read_all(path)
    _require_digest(path, tensors, metadata)
    released = metadata.get("format") not in (FORMAT, FORMAT_WITHOUT_DIGEST, FORMAT_OF_SOME_LAYERS)
    if released:
        _require_released(path, tensors, metadata)
    stored = StoredScorer(path, _facts(path, metadata, released), released=released)
    stored.numbers = _layer_numbers(path, tensors, metadata)
    layers = len(stored.numbers)
    stored.layers = [
        {name: _values(path, tensors, judge_tensor_name(layer, name)) for name in TENSORS} for layer in stored.numbers
    ]
    for layer, weights in zip(stored.numbers, stored.layers, strict=True):
        check_layer_shapes(path, layer, weights, stored.layers[0]["fc1.weight"].shape)
    _require_nothing_else(path, tensors, stored.numbers, released)
    if any(name in tensors for name in NORMALISATION):
        heads, inputs, _ = stored.layers[0]["fc1.weight"].shape
        stored.mean, stored.deviation = (_values(path, tensors, name) for name in NORMALISATION)
        for name, tensor in zip(NORMALISATION, (stored.mean, stored.deviation), strict=True):
            _require_shape(path, name, tensor, (layers, heads, inputs))
    return stored


def write_scorer(path, tensors, facts, layers=None):
    """Writes {name: tensor} as a file of format foresight.scorer.2 with its digest; it appears whole, by rename.

    layers: the numbers of the layers that evict, where not all of the model do; the format is then foresight.scorer.3.

    Where `path` is a symbolic link, the file that it leads to is written. Raises ForesightError where the folder cannot be
    written to, and for a path that is there and no file: a folder, a device, a pipe.
    """
    path = Path(path)
    if path.exists() and not path.is_file():
        raise ForesightError(f"{path}: already exists and is not a file; name a file, or a path that does not exist yet")
    path = path.resolve()
    metadata = {"format": FORMAT, "score": "high = evict"}
    if layers is not None:
        metadata |= {"format": FORMAT_OF_SOME_LAYERS, LAYERS_KEY: " ".join(map(str, layers))}
    values = {key: getattr(facts, key) for key in ScorerFacts.__dataclass_fields__}
    metadata |= {key: str(value).lower() if isinstance(value, bool) else str(value) for key, value in values.items()}
    tensors = {name: tensor.detach().to("cpu", torch.float32).contiguous() for name, tensor in tensors.items()}
    metadata[DIGEST_KEY] = scorer_digest({name: ("F32", tensor) for name, tensor in tensors.items()}, metadata)
    staged = path.with_name(path.name + ".foresight.partial")
    try:
        safetensors.torch.save_file(tensors, staged, metadata=metadata)
        with open(staged, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(staged, path)
    except (OSError, safetensors.SafetensorError) as fault:
        raise ForesightError(f"{path}: cannot be written ({one_line(fault)}); choose a folder that exists and has room") from None


def count_layers(path, names):
    """The number of layers among tensor names of the judge_model layout; they must count 0, 1, 2, ..."""
    pattern = re.compile(r"model\.layers\.(\d+)\.self_attn\.judge_model\.fc1\.weight")
    found = sorted(int(match[1]) for match in map(pattern.fullmatch, names) if match)
    if not found:
        raise ForesightError(
            f"{path}: there is no tensor '{judge_tensor_name(0, 'fc1.weight')}' among its {len(names)} tensors: this is not a "
            "scorer; to extract a scorer from a model's checkpoint, use python -m foresight_kv.import_released"
        )
    if found != list(range(len(found))):
        raise ForesightError(f"{path}: expected scorers of layers 0 to {len(found) - 1}, found those of layers {found}")
    return len(found)


def check_layer_shapes(path, layer, weights, first_shape):
    """Raises ForesightError unless the four tensors of a layer fit each other and layer 0's fc1.weight [K, F, 16]."""
    if len(first_shape) != 3 or first_shape[2] != HIDDEN:
        name = judge_tensor_name(0, "fc1.weight")
        raise ForesightError(f"{path}: tensor '{name}' has shape {list(first_shape)}, expected [KV heads, inputs, {HIDDEN}]")
    heads, inputs, _ = first_shape
    shapes = ((heads, inputs, HIDDEN), (heads, HIDDEN), (heads, HIDDEN, 1), (heads, 1))
    for name, shape in zip(TENSORS, shapes, strict=True):
        _require_shape(path, judge_tensor_name(layer, name), weights[name], shape)


def _read_all(path):
    """(metadata, {name: (dtype name, tensor)}) of a safetensors file."""
    if not path.is_file():
        raise ForesightError(f"{path}: there is no such file; give the path of a scorer's .safetensors file")
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            names = list(file.keys())
            tensors = {name: (file.get_slice(name).get_dtype(), file.get_tensor(name)) for name in names}
            return file.metadata() or {}, tensors
    except (safetensors.SafetensorError, OSError, UnicodeDecodeError) as fault:
        raise ForesightError(f"{path}: damaged, or no safetensors file ({one_line(fault)}); take another copy") from None


def _require_digest(path, tensors, metadata):
    stored = metadata.get(DIGEST_KEY)
    if stored is None:
        if metadata.get("format") in (FORMAT, FORMAT_OF_SOME_LAYERS):
            raise ForesightError(f"{path}: damaged: metadata '{DIGEST_KEY}' is missing; take another copy")
        return
    found = scorer_digest(tensors, metadata)
    if found != stored:
        raise ForesightError(
            f"{path}: damaged: expected content of SHA-256 {one_line(stored)}, found {found}; take another copy"
        )


def _require_released(path, tensors, metadata):
    """A file of the authors' code says nothing of its features: it must be recognisable by all else."""
    to_do = f"take the original file, or save the tensors with its metadata (format {FORMAT}, features and the rest)"
    if metadata.get("format", PLAIN_FORMAT) != PLAIN_FORMAT:
        raise ForesightError(
            f"{path}: metadata 'format' is '{one_line(metadata['format'])}', expected {FORMAT}, {FORMAT_WITHOUT_DIGEST}, or "
            f"{PLAIN_FORMAT} or none for a released file: the file is not a scorer, or a later version wrote it"
        )
    for name in NORMALISATION:
        if name in tensors:
            raise ForesightError(
                f"{path}: holds '{name}' but no metadata 'format': the scorer was saved again without its "
                f"metadata, so its features are unknown; {to_do}"
            )
    if metadata.get("features", "released") != "released":
        raise ForesightError(
            f"{path}: metadata 'features' is '{one_line(metadata['features'])}', but without 'format' only released files are "
            f"read; {to_do}"
        )


def _layer_numbers(path, tensors, metadata):
    """Of which layers a file holds scorers: all, counted from 0, or those that it names."""
    named = metadata.get(LAYERS_KEY)
    if (metadata.get("format") == FORMAT_OF_SOME_LAYERS) != (named is not None):
        raise ForesightError(
            f"{path}: metadata 'format' is '{one_line(metadata.get('format', ''))}' "
            f"{'with' if named is not None else 'without'} '{LAYERS_KEY}': damaged; take another copy"
        )
    if named is None:
        return list(range(count_layers(path, tensors)))
    if not re.fullmatch(r"(0|[1-9][0-9]{0,3})( [1-9][0-9]{0,3})*", named):
        raise ForesightError(f"{path}: metadata '{LAYERS_KEY}': expected layer numbers, got '{one_line(named)}'; take another copy")
    numbers = [int(word) for word in named.split()]
    if numbers != sorted(set(numbers)):
        raise ForesightError(f"{path}: metadata '{LAYERS_KEY}': expected ascending numbers, got '{named}'; take another copy")
    return numbers


def _require_nothing_else(path, names, layers, released):
    """Every tensor is one that a scorer has; a released file may hold norms, which are not used."""
    known = {judge_tensor_name(layer, name) for layer in layers for name in TENSORS}
    if not released:
        known.update(NORMALISATION)
    for name in sorted(names):
        if name not in known and not (released and ".judge_model.feature_norm." in name):
            raise ForesightError(
                f"{path}: tensor '{one_line(name)}' is not part of a scorer; scorers inside a model's checkpoint are taken "
                "out by python -m foresight_kv.import_released"
            )


def _facts(path, metadata, released):
    def count(key):
        text = metadata.get(key, "0")
        if not re.fullmatch(r"[0-9]{1,18}", text):
            raise ForesightError(
                f"{path}: metadata '{key}': expected an integer of at least 0, got '{one_line(text)}'; take another copy"
            )
        return int(text)

    features = "released" if released else metadata.get("features") or "normalized"
    if features not in FEATURES:
        raise ForesightError(
            f"{path}: metadata 'features': expected {', '.join(FEATURES)}, got '{one_line(features)}'; take another copy"
        )
    texts = {key: metadata.get(key, "") for key in ("model_fingerprint", "dtype", "config")}
    protect_prompt = metadata.get("protect_prompt", "false")
    if protect_prompt not in ("true", "false"):
        raise ForesightError(
            f"{path}: metadata 'protect_prompt': expected true or false, got '{one_line(protect_prompt)}'; take another copy"
        )
    return ScorerFacts(
        features=features,
        budget=count("budget"),
        window=count("window"),
        protect_sinks=count("protect_sinks"),
        protect_prompt=protect_prompt == "true",
        **texts,
    )


def _values(path, tensors, name):
    if name not in tensors:
        raise ForesightError(f"{path}: there is no tensor '{name}' among its {len(tensors)} tensors; take another copy")
    return float_values(path, name, tensors[name][1])


def float_values(path, name, tensor):
    """`tensor` as float32; raises ForesightError unless it is of floating point and finite."""
    if not tensor.is_floating_point():
        raise ForesightError(f"{path}: tensor '{name}' is {tensor.dtype}, expected floating point")
    values = tensor.to(torch.float32)
    if not torch.isfinite(values).all():
        raise ForesightError(f"{path}: tensor '{name}' holds NaN or Inf: take a checkpoint from before it diverged")
    return values


def _require_shape(path, name, tensor, shape):
    if tuple(tensor.shape) != tuple(shape):
        raise ForesightError(f"{path}: tensor '{name}' has shape {list(tensor.shape)}, the others need {list(shape)}")
