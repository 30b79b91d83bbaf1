"""The evicting cache layer against the C++ cache, step by step, on queries, keys and values that dump_scores drew."""

import pytest
import safetensors.torch
import torch
from test_scorer import LAYER, rotation_at, steps_of

from foresight_kv import ForesightError, Scorer
from foresight_kv.evicting_layer import EvictingLayer, attention_probabilities
from foresight_kv.scorer import candidate_features

NAMES = ("keys", "values", "window_attention", "window_sum", "cumulative", "decayed")


@pytest.fixture(scope="module", params=["normalized", "extended", "relative", "serving", "released"])
def dumped(request, dump, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    dump("view", folder, request.param, 7)
    return Scorer.load(folder / "scorer.safetensors"), safetensors.torch.load_file(folder / "view.safetensors")


class Recorder:
    """Follows a scorer and keeps what it saw."""

    def __init__(self, scorer):
        self.scorer, self.views, self.features, self.evicted, self.layer = scorer, [], [], [], None

    def __call__(self, view):
        self.views.append({name: getattr(view, name).clone() for name in NAMES} | {"positions": self.layer.positions.clone()})
        self.features.append(candidate_features(view, self.scorer.facts.features))
        self.evicted.append(self.scorer.choose(LAYER, view))
        return self.evicted[-1]


def feed(tensors, recorder, lengths):
    """The layer after all tokens; lengths: an iterator of tokens a pass."""
    queries, keys, values = (tensors[name] for name in ("queries", "keys", "values"))
    rows, heads, total, width = keys.shape
    grouped = queries.view(rows, heads, -1, total, width)
    layer = recorder.layer = EvictingLayer(80, 40, recorder)
    late = first = 0
    while first < total:
        part = slice(first, min(total, first + next(lengths)))
        layer.update(keys[:, :, part], values[:, :, part])
        rotation = rotation_at(torch.arange(part.start, part.stop), tensors["step0.frequencies"])
        late += layer.observe(grouped[:, :, :, part], width**-0.5, rotation=rotation)
        first = part.stop
    return layer, late


def fitting(layer_of):
    while True:
        layer = layer_of()
        yield layer.room() if layer is not None else 80


@pytest.mark.parametrize("lengths", ["single", "windows", "whole"])
def test_every_step_equals_the_programs(dumped, lengths):
    scorer, tensors = dumped
    recorder = Recorder(scorer)
    ways = {"single": iter(lambda: 1, 0), "windows": fitting(lambda: recorder.layer), "whole": iter(lambda: 1000, 0)}
    layer, late = feed(tensors, recorder, ways[lengths])
    assert late == (130 if lengths == "whole" else 0)
    assert (layer.seen, layer.live) == (250, 90)
    assert len(recorder.views) == len(steps_of(tensors)) == 4
    for index, step in enumerate(steps_of(tensors)):
        seen = recorder.views[index]
        assert torch.equal(seen["positions"], tensors[f"{step}.positions"])
        for name in NAMES:
            torch.testing.assert_close(seen[name], tensors[f"{step}.{name}"], rtol=1e-4, atol=1e-5, msg=f"{step} {name}")
        torch.testing.assert_close(recorder.features[index], tensors[f"{step}.features"], rtol=1e-4, atol=1e-4)
        assert torch.equal(recorder.evicted[index], tensors[f"{step}.evicted"])


def test_attention_is_the_softmax_over_what_a_query_sees():
    torch.manual_seed(1)
    queries, keys = torch.randn(1, 2, 3, 4, 8), torch.randn(1, 2, 9, 8)
    found = attention_probabilities(queries, keys, 0.5)
    for token in range(4):
        visible = 9 - 4 + token + 1
        expected = torch.softmax(0.5 * torch.einsum("kgd,knd->kgn", queries[0, :, :, token], keys[0, :, :visible]), -1)
        torch.testing.assert_close(found[0, :, :, token, :visible], expected)
        assert found[0, :, :, token, visible:].abs().max() == 0 if visible < 9 else True


def layer_with(tokens, rows=2):
    layer = EvictingLayer(8, 4, lambda view: torch.arange(4).expand(rows, 1, 4))
    generator = torch.Generator().manual_seed(2)
    for _ in range(tokens):
        keys = torch.randn(rows, 1, 1, 6, generator=generator)
        layer.update(keys, keys)
        layer.observe(torch.randn(rows, 1, 2, 1, 6, generator=generator), 0.4)
    return layer


def test_towards_transformers_it_is_as_long_as_the_text():
    layer = layer_with(30)
    assert layer.get_seq_length() == 30
    assert layer.keys.shape[2] == 10  # 8 after the eviction at token 28, and 2
    assert layer.get_mask_sizes(torch.arange(30, 33)) == (13, 20)
    assert layer.positions[0, 0].tolist() == [20, 21, 22, 23, 24, 25, 26, 27, 28, 29]
    layer.reset()
    assert layer.get_seq_length() == 0 and layer.get_mask_sizes(torch.arange(5)) == (5, 0)


def test_rows_move_with_their_statistics():
    layer = layer_with(30)
    names = ("keys", "values", "positions", "window_attention", "window_sum", "cumulative", "decayed")
    before = {name: getattr(layer, name).clone() for name in names}
    layer.reorder_cache(torch.tensor([1, 0]))
    layer.batch_repeat_interleave(2)
    layer.batch_select_indices(torch.tensor([0, 2]))
    for name in names:
        assert torch.equal(getattr(layer, name), before[name].flip(0)), name
    assert not torch.equal(before["cumulative"], before["cumulative"].flip(0))


def test_what_would_lose_track_is_refused():
    layer = layer_with(10)
    layer.crop(10)
    with pytest.raises(ForesightError, match="a cache of 10 tokens cannot be cut back to 9"):
        layer.crop(-1)
    layer.update(torch.zeros(2, 1, 1, 6), torch.zeros(2, 1, 1, 6))
    with pytest.raises(ForesightError, match="2 queries for 1 new tokens"):
        layer.observe(torch.zeros(2, 1, 2, 2, 6), 0.4)
    with pytest.raises(ForesightError, match="1 tokens of this cache went through the model outside"):
        layer.update(torch.zeros(2, 1, 1, 6), torch.zeros(2, 1, 1, 6))
