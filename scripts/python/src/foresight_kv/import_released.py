"""Takes the scorers out of a checkpoint of the authors' code and writes them as one file that Foresight reads.

usage: python -m foresight_kv.import_released IN OUT [--prefix P] [--budget B] [--window W] [--model FOLDER]
"""

import argparse
import json
import pickle
import re
import sys
from pathlib import Path

import safetensors
import torch

from .errors import ForesightError, one_line
from .scorer_file import (
    HIDDEN,
    STATISTICS_PER_HEAD,
    ScorerFacts,
    check_layer_shapes,
    count_layers,
    float_values,
    judge_tensor_name,
    write_scorer,
)

KEY = re.compile(r"(?P<prefix>.*?)layers\.(?P<layer>\d+)\.self_attn\.judge_model\.(?P<tensor>fc[12]\.(?:weight|bias))")


def read_judges(source):
    """The judge_model tensors of a checkpoint: {prefix: {(layer, "fc1.weight"): tensor}}; feature_norm is left out.

    source: a .safetensors file, a state dict saved by torch (.bin, .pt, .pth; read without running code), or a folder of
    such files, as save_pretrained() writes a large model. The prefix is what stands before "layers.", for example
    "model.". Raises ForesightError for files that cannot be read, and for a tensor that two files hold.
    """
    source = Path(source)
    found = {}
    for file in _files(source):
        for key, tensor in _judge_tensors(file):
            match = KEY.fullmatch(key)
            place = (int(match["layer"]), match["tensor"])
            if place in found.setdefault(match["prefix"], {}):
                raise ForesightError(f"{file}: tensor '{one_line(key)}' is also in another file of {source} too; keep one of them")
            found[match["prefix"]][place] = tensor
    if not found:
        raise ForesightError(
            f"{source}: no tensor is named like 'model.layers.0.self_attn.judge_model.fc1.weight': this checkpoint holds no "
            "scorers"
        )
    return found


def import_released(source, target, prefix=None, budget=0, window=0, model=None):
    """Writes the scorers of a released checkpoint (see read_judges) to `target`, float32, with released features.

    prefix: which scorers, where a checkpoint holds several. budget, window: tokens that they were trained with, 0 where
    unknown. model: a model folder whose config.json they must fit, or None. Returns (layers, KV heads, inputs). Raises
    ForesightError where the scorers are not complete, do not fit each other or the model, and where `target` is a file
    that is read.
    """
    found = read_judges(source)
    if prefix is None and len(found) > 1:
        choices = ", ".join(repr(one_line(name)) for name in sorted(found))
        raise ForesightError(f"{source}: holds scorers under several prefixes: choose one with --prefix, of {choices}")
    prefix = next(iter(found)) if prefix is None else prefix
    if prefix not in found:
        raise ForesightError(f"{source}: no scorers with prefix '{prefix}', only {', '.join(map(repr, sorted(found)))}")
    tensors = {}
    for (layer, name), tensor in found[prefix].items():
        full = judge_tensor_name(layer, name)
        tensors[full] = float_values(source, full, tensor)
    shape = _check(source, tensors)
    if Path(target).exists() and any(file.samefile(target) for file in _files(Path(source))):
        raise ForesightError(f"{target}: is the checkpoint that is read; name another file")
    if model is not None:
        _require_model(source, shape, Path(model))
    write_scorer(target, tensors, ScorerFacts(features="released", budget=budget, window=window))
    return shape


def _files(source):
    if source.is_file():
        return [source]
    for pattern in ("*.safetensors", "*.bin", "*.pt", "*.pth"):
        files = sorted(source.glob(pattern))
        if files:
            return files
    raise ForesightError(f"{source}: there is no such file, and no folder with .safetensors, .bin, .pt or .pth files in it")


def _judge_tensors(file):
    """(key, tensor) of every judge_model weight of a file."""
    if file.suffix == ".safetensors":
        try:
            with safetensors.safe_open(file, framework="pt") as opened:
                return [(key, opened.get_tensor(key)) for key in opened.keys() if KEY.fullmatch(key)]  # noqa: SIM118
        except (safetensors.SafetensorError, OSError) as fault:
            raise ForesightError(f"{file}: damaged, or no safetensors file ({one_line(fault)})") from None
    return [(key, tensor) for key, tensor in _state_dict(file).items() if KEY.fullmatch(str(key))]


def _state_dict(file):
    """A torch file's mapping of names to tensors, itself or one level down ("state_dict", "model", ...)."""
    try:
        content = torch.load(file, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError, KeyError) as fault:
        raise ForesightError(
            f"{file}: is not a state dict that torch loads without running code ({one_line(fault)}); save it again with "
            "torch.save(model.state_dict(), FILE)"
        ) from None
    levels = [content, *content.values()] if isinstance(content, dict) else []
    for level in levels:
        if isinstance(level, dict) and any(isinstance(key, str) and KEY.fullmatch(key) for key in level):
            return {key: tensor for key, tensor in level.items() if isinstance(tensor, torch.Tensor)}
    return {}


def _check(source, tensors):
    layers = count_layers(source, tensors)
    first = tensors[judge_tensor_name(0, "fc1.weight")].shape
    for layer in range(layers):
        weights = {}
        for name in ("fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias"):
            full = judge_tensor_name(layer, name)
            if full not in tensors:
                raise ForesightError(f"{source}: the scorer of layer {layer} has no '{name}'; take a complete checkpoint")
            weights[name] = tensors[full]
        check_layer_shapes(source, layer, weights, first)
    if len(tensors) != 4 * layers:
        raise ForesightError(f"{source}: expected four tensors for each of {layers} layers, found {len(tensors)} tensors")
    return layers, first[0], first[1]


def _require_model(source, shape, folder):
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        heads, kv_heads = config["num_attention_heads"], config.get("num_key_value_heads", config["num_attention_heads"])
        width = config.get("head_dim") or config["hidden_size"] // heads
        needed = (config["num_hidden_layers"], kv_heads, 2 * width + STATISTICS_PER_HEAD * heads // kv_heads)
    except (OSError, ValueError, KeyError, TypeError) as fault:
        raise ForesightError(f"{folder}: no config.json of a language model ({one_line(repr(fault))})") from None
    if shape != needed:
        raise ForesightError(
            f"{source}: scorers for {shape[0]} layers, {shape[1]} KV heads and {shape[2]} inputs, {folder} needs {needed[0]}, "
            f"{needed[1]} and {needed[2]}: they belong to another model"
        )


def main(arguments=None):
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m foresight_kv.import_released", description=__doc__.splitlines()[0])
    parser.add_argument("source", metavar="IN", help="a .safetensors, .bin, .pt or .pth file, or a folder of them")
    parser.add_argument("target", metavar="OUT", help="the .safetensors file to write")
    parser.add_argument("--prefix", help="which scorers, where the checkpoint holds several: what stands before 'layers.'")
    parser.add_argument("--budget", type=int, default=0, help="tokens of the budget they were trained with (default: unknown)")
    parser.add_argument("--window", type=int, default=0, help="tokens of their window (default: unknown)")
    parser.add_argument("--model", help="a model folder; its config.json must fit")
    given = parser.parse_args(arguments)
    if given.budget < 0 or given.window < 0:
        parser.error("--budget and --window count tokens, at least 0")
    try:
        shape = import_released(given.source, given.target, given.prefix, given.budget, given.window, given.model)
    except ForesightError as fault:
        print(f"error: {fault}", file=sys.stderr)
        return 1
    print(f"{given.target}: scorers of {shape[0]} layers, {shape[1]} KV heads, {shape[2]} inputs, {HIDDEN} hidden")
    return 0


if __name__ == "__main__":
    sys.exit(main())
