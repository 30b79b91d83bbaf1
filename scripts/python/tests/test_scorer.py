"""Scorer files, features and scores against what the C++ program writes (tests/python/dump_scores.cpp)."""

import dataclasses
import os
import random

import pytest
import safetensors
import safetensors.torch
import torch
from conftest import random_tensors, write_random_scorer

from foresight_kv import ForesightError, Scorer
from foresight_kv.scorer import EvictionView, candidate_features, relative_keys
from foresight_kv.scorer_file import ScorerFacts, read_scorer, write_scorer

LAYER = 1  # the layer that dump_scores records


@pytest.fixture(scope="module", params=["normalized", "extended", "relative", "serving", "released"])
def dumped(request, dump, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    dump("view", folder, request.param, 5)
    return request.param, folder, safetensors.torch.load_file(folder / "view.safetensors")


def steps_of(tensors):
    return sorted({name.split(".")[0] for name in tensors if name.startswith("step")}, key=lambda name: int(name[4:]))


def rotation_at(positions, frequencies):
    """Cosine and sine [1, T, r / 2] by which RoPE turns tokens of these positions [T]."""
    angles = positions[:, None].double() * frequencies
    return angles.cos()[None].float(), angles.sin()[None].float()


def view_of(tensors, step, budget=80, window=40):
    others = ("budget", "window", "protected", "rotation")
    names = [field.name for field in dataclasses.fields(EvictionView) if field.name not in others]
    newest = rotation_at(tensors[f"{step}.positions"][0, 0, -1:], tensors[f"{step}.frequencies"])
    rotation = tuple(part[:, 0] for part in newest)
    return EvictionView(**{name: tensors[f"{step}.{name}"] for name in names}, budget=budget, window=window, rotation=rotation)


def test_features_scores_and_choice_equal_the_programs(dumped):
    kind, folder, tensors = dumped
    scorer = Scorer.load(folder / "scorer.safetensors")
    assert len(steps_of(tensors)) == 4
    for step in steps_of(tensors):
        view = view_of(tensors, step)
        features = candidate_features(view, kind)
        torch.testing.assert_close(features, tensors[f"{step}.features"], rtol=1e-5, atol=1e-5)
        scores = scorer.score(LAYER, features)
        torch.testing.assert_close(scores, tensors[f"{step}.scores"], rtol=1e-4, atol=1e-4)
        assert torch.equal(scorer.choose(LAYER, view), tensors[f"{step}.evicted"])


def test_the_kinds_of_features_differ_where_they_should(dumped):
    kind, _, tensors = dumped
    other = {"normalized": "released", "released": "serving", "serving": "normalized", "extended": "released", "relative": None}[kind]
    stored = tensors["step0.features"]
    if kind == "extended":  # the normalized ones with more behind them
        known = candidate_features(view_of(tensors, "step0"), "normalized")
        torch.testing.assert_close(stored[..., : known.shape[-1]], known, rtol=1e-5, atol=1e-5)
        stored = stored[..., : known.shape[-1]]
    if kind == "relative":  # the extended ones, but for the keys
        known = candidate_features(view_of(tensors, "step0"), "extended")
        torch.testing.assert_close(stored[..., 8:], known[..., 8:], rtol=1e-5, atol=1e-5)
        assert torch.equal(stored[..., 6:8], known[..., 6:8])  # dimensions that positions do not turn
        assert (stored[..., :6] - known[..., :6]).abs().amax(dim=(0, 1, 2)).min() > 1e-3
        return
    difference = (candidate_features(view_of(tensors, "step0"), other) - stored).abs()
    assert difference[..., :16].max() == 0  # keys and values
    assert difference[..., 16:].amax(dim=(0, 1, 2)).min() > 1e-3  # each statistic


def test_a_relative_key_is_the_key_as_it_was_before_rotation_turned_to_its_distance():
    torch.manual_seed(1)
    frequencies, before = torch.tensor([1.0, 0.01]), torch.randn(6)  # of 6 dimensions 4 are turned
    turned = []
    for position in (3, 40, 41):
        angles = position * frequencies
        pairs = torch.view_as_complex(torch.stack([before[:2], before[2:4]], dim=-1)) * torch.polar(torch.ones(2), angles)
        turned.append(torch.cat([pairs.real, pairs.imag, before[4:]]))
    keys = torch.stack(turned).view(1, 1, 3, 6)
    sums, rotation = torch.zeros(1, 1, 1, 3), tuple(part[:, 0] for part in rotation_at(torch.tensor([41]), frequencies))
    view = EvictionView(keys, keys, None, None, sums, sums, sums, budget=3, window=0, rotation=rotation)
    found = relative_keys(view)[0, 0]
    torch.testing.assert_close(found[2], before)  # at distance 0
    angles = torch.tensor([-38.0]) * frequencies
    pairs = torch.view_as_complex(torch.stack([before[:2], before[2:4]], dim=-1)) * torch.polar(torch.ones(2), angles)
    torch.testing.assert_close(found[0], torch.cat([pairs.real, pairs.imag, before[4:]]))


def test_ties_go_to_the_older_entry():
    scorer = Scorer.__new__(Scorer)
    scorer.score = lambda layer, features: torch.tensor([[[1.0, 3.0, 3.0, 1.0, 3.0, 1.0]]])
    scorer.facts = dataclasses.make_dataclass("Facts", ["features"])("released")
    entries, sums = torch.zeros(1, 1, 10, 2), torch.zeros(1, 1, 1, 10)
    positions = torch.arange(10).view(1, 1, 10)
    view = EvictionView(entries, entries, positions, torch.zeros(1, 1, 1, 4, 10), sums, sums, sums, budget=6, window=4)
    assert scorer.choose(0, view).tolist() == [[[1, 2, 4, 0]]]


def test_facts_are_read(dumped):
    kind, folder, _ = dumped
    stored = read_scorer(folder / "scorer.safetensors")
    assert (stored.facts.features, stored.facts.budget, stored.facts.window) == (kind, 80, 40)
    assert stored.facts.config == "output: größe\n" and not stored.released
    assert (stored.mean is not None) and (bool(stored.mean.any()) == (kind != "released"))


def test_the_released_layout_is_read_without_facts(dump, tmp_path):
    dump("view", tmp_path, "released", 6)
    stored = read_scorer(tmp_path / "released.safetensors")
    assert stored.facts.features == "released" and stored.mean is None
    with safetensors.safe_open(tmp_path / "released.safetensors", "pt") as file:  # as the authors write it
        tensors, metadata = {name: file.get_tensor(name) for name in file.keys()}, file.metadata()
    assert metadata["features"] == "released"
    tensors |= {name.replace("fc1.bias", "feature_norm.weight"): torch.ones(3) for name in tensors if "fc1.bias" in name}
    safetensors.torch.save_file(tensors, tmp_path / "plain.safetensors", {"format": "pt"})
    plain = read_scorer(tmp_path / "plain.safetensors")
    assert plain.released and plain.facts.features == "released" and plain.facts.budget == 0
    assert torch.equal(plain.layers[1]["fc1.weight"], stored.layers[1]["fc1.weight"])


def test_a_file_of_the_first_format_is_read_without_a_digest_and_one_of_the_second_is_not(dumped, tmp_path):
    _, folder, _ = dumped
    with safetensors.safe_open(folder / "scorer.safetensors", "pt") as file:
        tensors, metadata = {name: file.get_tensor(name) for name in file.keys()}, dict(file.metadata())
    del metadata["content_sha256"]
    safetensors.torch.save_file(tensors, tmp_path / "second.safetensors", metadata)
    with pytest.raises(ForesightError, match="second.safetensors: damaged: metadata 'content_sha256' is missing"):
        read_scorer(tmp_path / "second.safetensors")
    safetensors.torch.save_file(tensors, tmp_path / "first.safetensors", metadata | {"format": "foresight.scorer.1"})
    assert read_scorer(tmp_path / "first.safetensors").facts.budget == 80


def test_a_flipped_byte_is_noticed_or_changes_nothing(dumped, tmp_path):
    _, folder, _ = dumped
    whole = (folder / "scorer.safetensors").read_bytes()
    expected, target = read_scorer(folder / "scorer.safetensors"), tmp_path / "flipped.safetensors"
    choice, noticed, header = random.Random(1), 0, int.from_bytes(whole[:8], "little")
    places = [*range(0, header, 23), *choice.sample(range(header, len(whole)), 100)]
    for place in places:
        damaged = bytearray(whole)
        damaged[place] ^= 1 << place % 8
        target.write_bytes(damaged)
        try:
            found = read_scorer(target)
        except ForesightError as fault:
            assert "flipped.safetensors" in str(fault) and "\n" not in str(fault)
            noticed += 1
        else:
            assert found.facts == expected.facts
            assert torch.equal(found.layers[1]["fc2.weight"], expected.layers[1]["fc2.weight"])
    assert noticed >= len(places) - 1  # all but the header's padding


def changed(name, change):
    def apply(tensors, metadata):
        tensors[name] = change(tensors[name])

    return apply


def test_a_file_that_lost_its_metadata_is_not_taken_for_a_released_one(tmp_path):
    with safetensors.safe_open(write_random_scorer(tmp_path / "good.safetensors"), "pt") as file:
        tensors, metadata = {name: file.get_tensor(name) for name in file.keys()}, dict(file.metadata())
    target = tmp_path / "again.safetensors"
    safetensors.torch.save_file(tensors, target)
    with pytest.raises(ForesightError, match="again.safetensors: holds 'feature_mean' .* saved again without its metadata"):
        read_scorer(target)
    plain = {name: tensor for name, tensor in tensors.items() if not name.startswith("feature_")}
    safetensors.torch.save_file(plain, target, {"format": "pt", "features": "normalized"})
    with pytest.raises(ForesightError, match="metadata 'features' is 'normalized'"):
        read_scorer(target)
    safetensors.torch.save_file(plain, target, {"format": "foresight.scorer.4"})
    with pytest.raises(ForesightError, match="'format' is 'foresight.scorer.4', expected foresight.scorer.2"):
        read_scorer(target)
    safetensors.torch.save_file(plain | {"lm_head.weight": torch.ones(4)}, target, {"format": "pt"})
    with pytest.raises(ForesightError, match="'lm_head.weight' is not part of a scorer"):
        read_scorer(target)
    safetensors.torch.save_file(tensors, target, metadata)  # as the message says
    assert read_scorer(target).facts.window == 8


def test_what_is_no_file_is_not_written_over(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ForesightError, match="pipe: already exists and is not a file"):
        write_random_scorer(tmp_path / "pipe")
    assert (tmp_path / "pipe").is_fifo()
    (tmp_path / "deep").mkdir()
    (tmp_path / "link").symlink_to("deep/scorer.safetensors")
    write_random_scorer(tmp_path / "link")
    assert (tmp_path / "link").is_symlink() and read_scorer(tmp_path / "deep/scorer.safetensors").facts.window == 8


FC1 = "model.layers.1.self_attn.judge_model.fc1.weight"
FAULTS = {
    "there is no tensor '.*fc1.bias'": lambda tensors, metadata: tensors.pop(FC1.replace("weight", "bias")),
    "layers 0 to 0, found those of layers \\[1\\]": lambda tensors, metadata: tensors.pop(FC1.replace("layers.1", "layers.0")),
    "has shape \\[2, 48, 8\\]": changed(FC1, lambda tensor: tensor[..., :8]),
    "is torch.int64, expected floating point": changed(FC1, lambda tensor: tensor.long()),
    "holds NaN or Inf": changed(FC1, lambda tensor: tensor / 0),
    "'feature_mean' has shape \\[1, 2, 48\\]": changed("feature_mean", lambda tensor: tensor[:1]),
    "metadata 'budget': expected an integer": lambda tensors, metadata: metadata.update(budget="many"),
    "expected normalized, extended, relative, serving, released, got 'both'": lambda tensors, metadata: metadata.update(features="both"),
    "this is not a scorer": lambda tensors, metadata: [tensors.pop(name) for name in list(tensors) if "fc1.weight" in name],
}


@pytest.mark.parametrize("message", FAULTS)
def test_faults_of_a_file_are_named(message, tmp_path):
    with safetensors.safe_open(write_random_scorer(tmp_path / "good.safetensors"), "pt") as file:
        tensors, metadata = {name: file.get_tensor(name) for name in file.keys()}, dict(file.metadata())
    FAULTS[message](tensors, metadata)
    metadata["format"] = "foresight.scorer.1"
    del metadata["content_sha256"]
    tensors = {name: tensor.contiguous() for name, tensor in tensors.items()}
    safetensors.torch.save_file(tensors, tmp_path / "x.safetensors", metadata)
    with pytest.raises(ForesightError, match=f"x.safetensors: .*{message}"):
        read_scorer(tmp_path / "x.safetensors")


def test_what_is_no_safetensors_file_is_refused(tmp_path):
    with pytest.raises(ForesightError, match="there is no such file"):
        read_scorer(tmp_path / "absent.safetensors")
    (tmp_path / "text").write_text("no tensors")
    with pytest.raises(ForesightError, match="damaged, or no safetensors file"):
        read_scorer(tmp_path / "text")


def test_a_scorer_of_some_layers_is_read_by_the_models_numbers(tmp_path):
    path = write_random_scorer(tmp_path / "s.safetensors", layers=[2, 5])
    scorer = Scorer.load(path)
    assert (scorer.layers, scorer.layer_numbers) == (2, [2, 5])
    scorer.check_model([2, 5], 2, 16, 2)
    with pytest.raises(ForesightError, match=r"is of layers \[2, 5\], in this model layers \[0, 1\] evict"):
        scorer.check_model(2, 2, 16, 2)
    tensors = random_tensors([2, 5], 2, 48)
    for layers, message in (
        ([5, 2], "expected ascending numbers, got '5 2'"),
        (["x"], "expected layer numbers, got 'x'"),
        ([2, 5, 7], "model.layers.7.self_attn.judge_model"),
        ([2], "model.layers.5.self_attn.judge_model"),
    ):
        write_scorer(path, tensors, ScorerFacts(), layers)
        with pytest.raises(ForesightError, match=message):
            Scorer.load(path)


def test_a_scorer_of_another_model_is_refused(tmp_path):
    scorer = Scorer.load(write_random_scorer(tmp_path / "s.safetensors"))
    scorer.check_model(2, 2, 16, 2)
    with pytest.raises(ForesightError, match="2 layers, 2 KV heads and 48 inputs, this model needs 30, 3 and 152"):
        scorer.check_model(30, 3, 64, 3)
    with pytest.raises(ForesightError, match="features of 2 KV heads and 40 inputs"):
        scorer.score(0, torch.zeros(1, 2, 5, 40))
    with pytest.raises(ForesightError, match="expected normalized, extended, relative, serving, released"):
        candidate_features(None, "raw")


def test_a_scorer_that_python_wrote_is_read_by_the_program(tmp_path, foresight):
    from conftest import run

    path = write_random_scorer(tmp_path / "s.safetensors")
    described = run(foresight, "inspect", path)
    assert '"content_sha256"' in described and '"foresight.scorer.2"' in described
