"""The importer of the authors' checkpoints; what it writes is run by `foresight evaluate`."""

import json

import pytest
import safetensors.torch
import torch
from conftest import run, tiny_overrides
from random_scorers import random_tensors

from foresight_kv import ForesightError
from foresight_kv.import_released import import_released, main
from foresight_kv.scorer_file import judge_tensor_name, read_scorer


def checkpoint(prefix="model.", dtype=torch.bfloat16, layers=2, seed=1):
    """What a whole model saved by the authors' code holds: scorers, their unused norms, and weights of the model."""
    tensors = {name.replace("model.", prefix, 1): tensor for name, tensor in random_tensors(layers, 2, 48, seed).items()}
    for layer in range(layers):
        tensors[f"{prefix}layers.{layer}.self_attn.judge_model.feature_norm.weight"] = torch.ones(48)
        tensors[f"{prefix}layers.{layer}.self_attn.q_proj.weight"] = torch.ones(4, 4)
    return {name: tensor.to(dtype) for name, tensor in tensors.items()}


def save(tensors, path):
    if path.suffix == ".safetensors":
        safetensors.torch.save_file(tensors, path)
    else:
        torch.save(tensors, path)
    return path


@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin", "checkpoint.pt"])
@pytest.mark.parametrize("prefix", ["model.", "module.model.", ""])
def test_scorers_are_taken_out_of_a_checkpoint(name, prefix, tmp_path, capsys):
    source = save(checkpoint(prefix), tmp_path / name)
    assert main([str(source), str(tmp_path / "out.safetensors"), "--budget", "32", "--window", "16"]) == 0
    assert "scorers of 2 layers, 2 KV heads, 48 inputs" in capsys.readouterr().out
    stored, expected = read_scorer(tmp_path / "out.safetensors"), random_tensors(2, 2, 48)
    assert (stored.facts.features, stored.facts.budget, stored.facts.window) == ("released", 32, 16)
    for layer in range(2):
        for tensor, values in stored.layers[layer].items():
            assert torch.equal(values, expected[judge_tensor_name(layer, tensor)].bfloat16().float())


def test_nested_state_dicts_and_folders_of_shards_are_read(tmp_path):
    nested = save({"step": 3, "state_dict": checkpoint()}, tmp_path / "nested.pt")
    assert import_released(nested, tmp_path / "a.safetensors") == (2, 2, 48)
    tensors, folder = checkpoint(), tmp_path / "shards"
    folder.mkdir()
    names = sorted(tensors)
    for index, part in enumerate((names[:7], names[7:])):
        save({name: tensors[name] for name in part}, folder / f"model-0000{index}-of-00002.safetensors")
    assert import_released(folder, tmp_path / "b.safetensors") == (2, 2, 48)
    assert torch.equal(*(read_scorer(tmp_path / name).layers[1]["fc1.bias"] for name in ("a.safetensors", "b.safetensors")))


def test_one_of_several_scorers_is_chosen_by_its_prefix(tmp_path):
    both = save(checkpoint("model.", seed=1) | checkpoint("reference.model.", seed=2), tmp_path / "both.safetensors")
    with pytest.raises(ForesightError, match="several prefixes: choose one with --prefix, of 'model.', 'reference.model.'"):
        import_released(both, tmp_path / "out.safetensors")
    import_released(both, tmp_path / "out.safetensors", prefix="reference.model.")
    expected = random_tensors(2, 2, 48, seed=2)[judge_tensor_name(0, "fc2.bias")].bfloat16().float()
    assert torch.equal(read_scorer(tmp_path / "out.safetensors").layers[0]["fc2.bias"], expected)
    with pytest.raises(ForesightError, match="no scorers with prefix 'x.'"):
        import_released(both, tmp_path / "out.safetensors", prefix="x.")


def test_the_checkpoint_is_not_written_over(tmp_path):
    source = save(checkpoint(), tmp_path / "model.safetensors")
    before = source.read_bytes()
    for read in (source, tmp_path):
        with pytest.raises(ForesightError, match="model.safetensors: is the checkpoint that is read"):
            import_released(read, tmp_path / "model.safetensors")
    assert source.read_bytes() == before


def without(fragment):
    return {name: tensor for name, tensor in checkpoint().items() if fragment not in name}


FAULTS = {
    "holds no scorers": lambda: without("judge_model"),
    "the scorer of layer 1 has no 'fc2.bias'": lambda: without("layers.1.self_attn.judge_model.fc2.bias"),
    "expected scorers of layers 0 to 0, found those of layers \\[1\\]": lambda: without("layers.0."),
    "expected four tensors for each of 1 layers, found 7": lambda: without("layers.1.self_attn.judge_model.fc1.weight"),
    "has shape \\[2, 48, 8\\]": lambda: checkpoint() | {judge_tensor_name(1, "fc1.weight"): torch.ones(2, 48, 8)},
    "holds NaN or Inf": lambda: checkpoint() | {judge_tensor_name(1, "fc1.bias"): torch.full((2, 16), float("nan"))},
    "expected floating point": lambda: checkpoint() | {judge_tensor_name(1, "fc1.bias"): torch.ones(2, 16).int()},
}


@pytest.mark.parametrize("message", FAULTS)
def test_what_is_no_complete_set_of_scorers_is_refused(message, tmp_path):
    source = save(FAULTS[message](), tmp_path / "bad.safetensors")
    with pytest.raises(ForesightError, match=f"bad.safetensors: .*{message}"):
        import_released(source, tmp_path / "out.safetensors")
    assert not list(tmp_path.glob("out*"))


class Evil:
    """Runs code where a pickle is trusted."""

    def __reduce__(self):
        return (print, ("code from a pickle was run",))


def test_a_pickle_runs_no_code(tmp_path, capsys):
    source = save({judge_tensor_name(0, "fc1.weight"): Evil()}, tmp_path / "evil.pt")
    assert main([str(source), str(tmp_path / "out.safetensors")]) == 1
    shown = capsys.readouterr()
    assert "without running code" in shown.err and "code from a pickle was run" not in shown.out
    (tmp_path / "text.bin").write_text("not a checkpoint")
    assert main([str(tmp_path / "text.bin"), str(tmp_path / "out.safetensors")]) == 1
    assert main([str(tmp_path / "absent.bin"), str(tmp_path / "out.safetensors")]) == 1
    assert main([str(save(checkpoint(), tmp_path / "good.pt")), str(tmp_path / "no folder" / "out.safetensors")]) == 1
    assert "cannot be written" in capsys.readouterr().err


def test_the_program_evaluates_an_imported_scorer(foresight, tiny_model_folder, tiny_run, tmp_path):
    source, target = save(checkpoint(), tmp_path / "model.safetensors"), tmp_path / "imported.safetensors"
    assert main([str(source), str(target), "--budget", "32", "--window", "16", "--model", str(tiny_model_folder)]) == 0
    overrides = tiny_overrides(tiny_model_folder, tiny_run)
    run(foresight, "evaluate", "--config", "configs/tiny.yaml", *overrides, f"evaluation.policies=[full, {target}]")
    evaluation = json.loads((tiny_run / "evaluation.json").read_text())
    assert str(target) in json.dumps(evaluation)


def test_a_scorer_of_another_model_is_refused(tiny_model_folder, tmp_path, capsys):
    config = json.loads((tiny_model_folder / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 3}))
    source = save(checkpoint(), tmp_path / "model.bin")
    assert main([str(source), str(tmp_path / "out.safetensors"), "--model", str(tmp_path)]) == 1
    assert "needs 3, 2 and 48: they belong to another model" in capsys.readouterr().err
    assert main([str(source), str(tmp_path / "out.safetensors"), "--model", str(tmp_path / "absent")]) == 1
    assert "no config.json" in capsys.readouterr().err
