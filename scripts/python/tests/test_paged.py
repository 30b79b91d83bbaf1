"""The paged cache that the vLLM plugin keeps, without vLLM: against the C++ cache and against the exact press's layer."""

import random

import pytest
import safetensors.torch
import torch
from composed_operators import ComposedOperators
from conftest import write_random_scorer
from paged_simulator import PagedSimulator

from foresight_kv import ForesightError, Scorer
from foresight_kv.evicting_layer import EvictingLayer
from foresight_kv.paged import Eviction, live_entries, plan_rounds
from foresight_kv.paged_serving import query_places, request_places


def stepwise(seen, new, budget, window):
    """Token by token: (live entries before it, its place in the window, whether an eviction follows)."""
    live = steps = 0
    for token in range(seen + new):
        evicts = live + 1 == budget + window
        if token >= seen:
            yield live, token if token < budget else live - budget, evicts
        live, steps = budget if evicts else live + 1, steps + evicts


@pytest.mark.parametrize(("budget", "window"), [(8, 4), (4, 4), (12, 1)])
def test_rounds_are_the_walk_token_by_token(budget, window):
    choice = random.Random(3)
    for _ in range(100):
        seen, new = [choice.randrange(60) for _ in range(4)], [choice.randrange(40) for _ in range(4)]
        walks = [list(stepwise(behind, count, budget, window)) for behind, count in zip(seen, new, strict=True)]
        done = [0] * 4
        for part in plan_rounds(seen, new, budget, window):
            for index, row in enumerate(part.rows):
                walk = walks[row][done[row] : done[row] + part.tokens[index]]
                assert part.start[index] == sum(new[:row]) + done[row]
                assert (part.before[index], part.first[index]) == walk[0][:2]
                assert [step[0] for step in walk] == list(range(walk[0][0], walk[0][0] + len(walk)))
                assert [step[2] for step in walk] == [False] * (len(walk) - 1) + [index in part.full]
                done[row] += part.tokens[index]
                assert (index in part.closing) == (seen[row] + done[row] == budget)
        assert done == new
    assert [live_entries(seen, 8, 4) for seen in (0, 8, 11, 12, 13, 16)] == [0, 8, 11, 8, 9, 8]


@pytest.mark.parametrize("operators", ["cpu", "cuda's"])
@pytest.mark.parametrize("kind", ["normalized", "serving", "released"])
def test_evictions_equal_the_programs(kind, operators, dump, tmp_path):
    dump("view", tmp_path, kind, 5)
    tensors = safetensors.torch.load_file(tmp_path / "view.safetensors")
    eviction = Eviction.of(Scorer.load(tmp_path / "scorer.safetensors"), 80, 40)
    if operators != "cpu":
        eviction.operators = ComposedOperators()
    engine = PagedSimulator(eviction, 1, kv_heads=2, group=3, width=8)
    choice, done = random.Random(4), {0: 0, 1: 0}
    while min(done.values()) < 250:  # the two rows as two requests, out of step
        batch = {}
        for row in done:
            part = slice(done[row], min(done[row] + choice.choice([0, 1, 1, 7, 90]), 250))
            if part.stop > part.start:
                batch[row] = tuple(tensors[name][row][:, part] for name in ("queries", "keys", "values"))
                done[row] = part.stop
        if batch:
            engine.forward(batch)
    for row in done:
        expected = [
            tensors[f"step{step}.positions"][row].gather(1, tensors[f"step{step}.evicted"][row]).sort().values for step in range(4)
        ]
        assert torch.equal(torch.stack(engine.requests[row]["evicted"]), torch.stack(expected))


class Reference:
    """A request in an EvictingLayer, whose arithmetic is the exact press's."""

    def __init__(self, scorer, budget, window):
        self.layer, self.scorer = EvictingLayer(budget, window, self.choose), scorer
        self.evicted = []

    def choose(self, view):
        chosen = self.scorer.choose(0, view)
        self.evicted.append(self.layer.positions.gather(2, chosen)[0].sort().values)
        return chosen

    def forward(self, queries, keys, values):
        for token in range(queries.shape[1]):
            part = slice(token, token + 1)
            self.layer.update(keys[None, :, part], values[None, :, part])
            self.layer.observe(queries[:, part].view(1, 2, 2, 1, 16), 0.25)


@pytest.mark.parametrize(
    ("kind", "budget", "window"), [("normalized", 32, 8), ("serving", 32, 8), ("serving", 24, 12), ("serving", 30, 5)]
)
def test_requests_of_any_phase_with_aborts_and_preemption_equal_single_ones(kind, budget, window, tmp_path):
    blocks = 40
    scorer = Scorer.load(write_random_scorer(tmp_path / "s.safetensors", kind))
    engine = PagedSimulator(Eviction.of(scorer, budget, window), 0, kv_heads=2, group=2, width=16, blocks=blocks)
    choice, generator = random.Random(5), torch.Generator().manual_seed(5)
    texts, done, aborted, preempted = {}, {}, 0, 0
    for name in range(24):
        length = choice.randrange(1, 150)
        texts[name] = [torch.randn(heads, length, 16, generator=generator) for heads in (4, 2, 2)]
    waiting, running, finished = list(texts), [], []
    while waiting or running:
        while waiting and len(running) < 6:
            running.append(waiting.pop(0))
            done[running[-1]] = 0
        batch = {}
        for name in running:
            count = min(choice.choice([1, 1, 1, 13, 60]), texts[name][0].shape[1] - done[name])
            batch[name] = tuple(tensor[:, done[name] : done[name] + count] for tensor in texts[name])
            done[name] += count
        engine.forward(batch)
        # ceil(40 / 16), however long; on serving features ceil((B + W + 8) / 16) where a window of 8 or more ends
        assert all(len(engine.requests[name]["blocks"]) <= 3 for name in running)
        for name in list(running):
            fate = choice.random()
            if done[name] == texts[name][0].shape[1]:
                finished.append((name, engine.requests[name]["evicted"]))
            elif fate < 0.02:
                aborted += 1
            elif fate < 0.05:  # starts again from nothing, in blocks that others wrote to
                preempted += 1
                waiting.insert(0, name)
            else:
                continue
            engine.drop(name)
            running.remove(name)
    assert sorted(engine.free) == list(range(blocks)) and not engine.requests
    assert aborted > 0 and preempted > 0 and len(finished) > 12
    steps = 0
    for name, evicted in finished:
        reference = Reference(scorer, budget, window)
        reference.forward(*texts[name])
        assert len(evicted) == len(reference.evicted)
        assert all(torch.equal(found, expected) for found, expected in zip(evicted, reference.evicted, strict=True))
        steps += len(evicted)
    assert steps > 50


@pytest.mark.parametrize("kind", ["normalized", "serving"])
def test_a_rank_of_some_heads_chooses_as_all_heads_together(kind, tmp_path):
    scorer, generator = Scorer.load(write_random_scorer(tmp_path / "s.safetensors", kind)), torch.Generator().manual_seed(6)
    text = [torch.randn(heads, 90, 16, generator=generator) for heads in (4, 2, 2)]
    whole = PagedSimulator(Eviction.of(scorer, 32, 8), 1, kv_heads=2, group=2, width=16)
    whole.forward({"x": text})
    for head in range(2):
        part = PagedSimulator(Eviction.of(scorer, 32, 8, slice(head, head + 1)), 1, kv_heads=1, group=2, width=16)
        part.forward({"x": (text[0][2 * head : 2 * head + 2], text[1][head : head + 1], text[2][head : head + 1])})
        assert torch.equal(torch.stack(part.requests["x"]["evicted"])[:, 0], torch.stack(whole.requests["x"]["evicted"])[:, head])


@pytest.mark.parametrize(("window", "group", "places"), [(32, 3, 12), (8, 3, 12), (8, 1, 4), (5, 3, 8), (1, 1, 1)])
def test_a_windows_last_queries_take_half_as_many_places(window, group, places):
    spare, budget = query_places(window, group), 2 * window
    assert spare == places  # two queries of a head of the group to a place
    lengths = [1, budget, budget + window - min(8, window), budget + window - min(8, window) + 1, budget + window, 1000]
    whole = budget + window + spare
    assert [request_places(tokens, budget, window, spare) for tokens in lengths] == [*lengths[:3], whole, whole, whole]
    assert [request_places(tokens, budget, window, 0) for tokens in lengths] == [*lengths[:5], budget + window]


@pytest.mark.parametrize(("budget", "window"), [(30, 8), (0, 8), (8, 0)])
def test_an_impossible_size_is_refused(budget, window, tmp_path):
    with pytest.raises(ForesightError, match=f"budget {budget} must be a multiple of window {window}, both at least 1"):
        Eviction(Scorer.load(write_random_scorer(tmp_path / "s.safetensors")), budget, window)


@pytest.mark.parametrize("kind", ["extended", "relative"])
def test_a_scorer_on_the_age_of_entries_is_refused(kind, tmp_path):
    scorer = Scorer.load(write_random_scorer(tmp_path / "s.safetensors", kind))
    with pytest.raises(ForesightError, match=f"on {kind} features, for which a paged cache would have to know the age"):
        Eviction.of(scorer, 32, 8)
