"""torch.ops.foresight against the C++ program's scores and evictions, and against brute force in torch: the kernels for the CPU,
and what is registered for CUDA, on tensors of the CPU. Runs under any torch from 2.10 on (scripts/serving_test.sh: under vLLM's as
well)."""

import pytest
import safetensors.torch
import torch
from composed_operators import ComposedOperators
from conftest import write_random_scorer

from foresight_kv import ForesightError, Scorer
from foresight_kv.operators import load_operators
from foresight_kv.paged import Eviction

LAYER = 1  # of dump_scores view


@pytest.fixture(scope="module", params=["cpu", "cuda's"])
def foresight(request):
    return load_operators() if request.param == "cpu" else ComposedOperators()


@pytest.fixture
def random():
    return torch.Generator().manual_seed(7)


@pytest.fixture(scope="module", params=["normalized", "released"])
def dumped(request, dump, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    dump("view", folder, request.param, 5)
    return Scorer.load(folder / "scorer.safetensors"), safetensors.torch.load_file(folder / "view.safetensors")


def packed_weights(scorer, layer):
    return Eviction(scorer, 80, 40).weights[layer]


def raw_statistics(attention, cumulative, decayed):
    """[R, K, N, 8g] of attention [R, K, g, T, N] and the two sums [R, K, g, N]."""
    last = [attention[..., max(0, attention.shape[3] - count) :, :].sum(3) for count in (16, 8, 32)]
    parts = [attention.amax(3), attention.amin(3), attention.sum(3), *last, cumulative, decayed]
    return torch.cat(parts, dim=2).transpose(2, 3).contiguous()


def brute_attention(query, key, scale):
    """Causal softmax of the newest T queries [R, K, g, T, d] over key [R, K, N, d] in float64."""
    tokens, entries = query.shape[3], key.shape[2]
    products = query.double() @ key.double().unsqueeze(2).transpose(-1, -2) * scale
    future = torch.ones(tokens, entries, dtype=torch.bool).triu(entries - tokens + 1)
    return products.masked_fill(future, float("-inf")).softmax(-1)


def paged_copy(dense, table, block_size, blocks, transposed=False):
    """A paged cache [blocks, K, block size, width] with gaps that holds dense [R, K, N, width], a block's keys perhaps transposed."""
    rows, heads, entries, width = dense.shape
    store = torch.full((blocks, heads, block_size * width + 5), 9.0, dtype=dense.dtype)
    inner = (1, block_size) if transposed else (width, 1)
    cache = store.as_strided((blocks, heads, block_size, width), (store.stride(0), store.stride(1), *inner))
    for row in range(rows):
        for entry in range(entries):
            cache[int(table[row, entry // block_size]), :, entry % block_size] = dense[row, :, entry]
    return cache


def read_pages(cache, table, entries):
    places = torch.arange(entries)
    return torch.stack([cache[row[places // cache.shape[2]].long(), :, places % cache.shape[2]] for row in table]).transpose(1, 2)


def test_scores_and_choice_equal_the_programs(dumped, foresight):
    scorer, tensors = dumped
    weights, released = packed_weights(scorer, LAYER), scorer.facts.features == "released"
    steps = sorted({name.split(".")[0] for name in tensors if name.startswith("step")})
    assert len(steps) == 4
    for step in steps:
        part = {name.split(".")[1]: tensor for name, tensor in tensors.items() if name.startswith(step + ".")}
        statistics = raw_statistics(part["window_attention"], part["cumulative"], part["decayed"])[:, :, :80].contiguous()
        keys, values = part["keys"][:, :, :80], part["values"][:, :, :80]
        scores = foresight.score(keys, values, statistics, *weights, released)
        torch.testing.assert_close(scores, part["scores"], rtol=1e-5, atol=1e-5)
        kept = foresight.keep(scores, 40, None)
        stays = torch.ones(kept.shape[:2] + (80,), dtype=torch.bool).scatter(2, part["evicted"], False)
        assert torch.equal(kept.long(), stays.nonzero()[:, 2].view(kept.shape))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_window_statistics_equal_brute_force(dtype, foresight, random):
    query, key = torch.randn(2, 3, 2, 40, 24, generator=random), torch.randn(2, 3, 70, 24, generator=random).to(dtype)
    found = foresight.window_statistics(query, key, 0.3)
    attention = brute_attention(query, key, 0.3)
    zero = torch.zeros(2, 3, 2, 70)
    expected = raw_statistics(attention, zero, zero).float()
    torch.testing.assert_close(found[:, :, :30], expected[:, :, :30], rtol=1e-5, atol=1e-6)  # candidates
    torch.testing.assert_close(found[..., 4:], expected[..., 4:], rtol=1e-5, atol=1e-6)  # sums of the window's own entries too


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_scores_equal_brute_force(dtype, foresight, random, tmp_path):
    scorer = Scorer.load(write_random_scorer(tmp_path / "s.safetensors"))
    keys, values = (torch.randn(3, 2, 32, 16, generator=random).to(dtype) for _ in range(2))
    statistics = torch.rand(3, 2, 32, 16, generator=random)
    inputs = torch.cat([keys.float(), values.float(), torch.log1p(statistics * 100)], dim=-1)
    found = foresight.score(keys, values, statistics, *Eviction(scorer, 32, 8).weights[1], False)
    torch.testing.assert_close(found, scorer.score(1, inputs), rtol=1e-5, atol=1e-5)


@pytest.fixture(scope="module")
def serving(dump, tmp_path_factory):
    """A scorer on serving features; for each step (queries of the window's last 8 tokens [R, K, g, 8, d], the program's tensors)."""
    folder = tmp_path_factory.mktemp("serving")
    dump("view", folder, "serving", 5)
    tensors = safetensors.torch.load_file(folder / "view.safetensors")
    steps = []
    for step in range(4):
        part = {name.split(".")[1]: tensor for name, tensor in tensors.items() if name.startswith(f"step{step}.")}
        seen = 80 + 40 * (step + 1)
        queries = tensors["queries"][:, :, seen - 8 : seen]
        steps.append((queries.reshape(2, 2, 3, 8, 8).contiguous(), part))
    return Scorer.load(folder / "scorer.safetensors"), steps


def test_serving_scores_and_choice_equal_the_programs(serving, foresight):
    scorer, steps = serving
    weights = packed_weights(scorer, LAYER)
    for queries, part in steps:
        scores = foresight.score_serving(queries, part["keys"], part["values"], *weights, 80, 8**-0.5)
        torch.testing.assert_close(scores, part["scores"], rtol=1e-5, atol=1e-5)
        kept = foresight.keep(scores, 40, None)
        stays = torch.ones(kept.shape[:2] + (80,), dtype=torch.bool).scatter(2, part["evicted"], False)
        assert torch.equal(kept.long(), stays.nonzero()[:, 2].view(kept.shape))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("tokens", [1, 3, 8])
def test_serving_scores_equal_brute_force(dtype, tokens, foresight, random, tmp_path):
    scorer = Scorer.load(write_random_scorer(tmp_path / "s.safetensors", "serving"))
    query = 2 * torch.randn(3, 2, 2, tokens, 16, generator=random)
    keys, values = (torch.randn(3, 2, 40, 16, generator=random).to(dtype) for _ in range(2))
    attention = brute_attention(query, keys, 0.4)[..., :30]
    sums = [attention[..., max(0, tokens - last) :, :].sum(3) for last in (8, 4, 2, 1)]
    logarithms = torch.log(1 + 1e6 * attention)
    coarse = [torch.log(1 + 100 * part) for part in (attention.amax(3), *sums)]
    parts = [*coarse, logarithms.amax(3), logarithms.mean(3), logarithms.amin(3)]
    statistics = torch.cat(parts, dim=2).transpose(2, 3).float()
    inputs = torch.cat([keys[:, :, :30].float(), values[:, :, :30].float(), statistics], dim=-1)
    found = foresight.score_serving(query, keys, values, *packed_weights(scorer, 1), 30, 0.4)
    torch.testing.assert_close(found, scorer.score(1, inputs), rtol=1e-5, atol=1e-5)


def test_paged_serving_scores_equal_dense_ones(serving, foresight, random):
    scorer, steps = serving
    (queries, part), weights = steps[2], packed_weights(scorer, LAYER)
    table = torch.randperm(17, generator=random)[:16].view(2, 8).int()
    pages = [paged_copy(part[name], table, 16, 17, name == "keys") for name in ("keys", "values")]
    found = foresight.score_serving_paged(queries, *pages, table, *weights, 120, 80, 8**-0.5)
    assert torch.equal(found, foresight.score_serving(queries, part["keys"], part["values"], *weights, 80, 8**-0.5))


def test_ties_go_to_the_older_entry_and_protected_entries_stay(foresight):
    scores = torch.tensor([[[1.0, 3.0, 3.0, 1.0, 3.0, 1.0]]])
    assert foresight.keep(scores, 4, None).tolist() == [[[3, 5]]]
    assert foresight.keep(scores, 2, torch.tensor([[[False, True, False, False, False, False]]])).tolist() == [[[0, 1, 3, 5]]]
    assert foresight.keep(scores, 0, None).tolist() == [[list(range(6))]]


def test_keep_equals_a_stable_sort(foresight, random):
    scores = torch.randint(0, 9, (4, 3, 50), generator=random).float()
    gone = torch.sort(scores, dim=-1, descending=True, stable=True).indices[..., :20]
    stays = torch.ones(4, 3, 50, dtype=torch.bool).scatter(2, gone, False)
    assert torch.equal(foresight.keep(scores, 20, None).long(), stays.nonzero()[:, 2].view(4, 3, 30))


def kept_of(random, rows, heads, entries, count):
    return torch.rand(rows, heads, entries, generator=random).topk(count).indices.sort().values.int()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("transposed", [False, True])
def test_compaction_equals_gather(dtype, transposed, foresight, random):
    dense = torch.randn(2, 3, 45, 8, generator=random).to(dtype)
    table, kept = torch.randperm(9, generator=random)[:8].view(2, 4).int(), kept_of(random, 2, 3, 45, 20)
    paged = paged_copy(dense, table, 16, 9, transposed)
    untouched = [block for block in range(9) if block not in table.tolist()[0] + table.tolist()[1]]
    before = paged[untouched].clone()
    expected = dense.gather(2, kept.long().unsqueeze(-1).expand(-1, -1, -1, 8))
    foresight.compact_paged_(paged, table, kept)
    assert torch.equal(read_pages(paged, table, 20), expected) and torch.equal(paged[untouched], before)
    foresight.compact_(dense, kept)
    assert torch.equal(dense[:, :, :20], expected)


def test_paged_scores_equal_dense_ones(dumped, foresight, random):
    scorer, tensors = dumped
    weights, released = packed_weights(scorer, LAYER), scorer.facts.features == "released"
    keys, values = tensors["step2.keys"][:, :, :80], tensors["step2.values"][:, :, :80]
    statistics = torch.rand(2, 2, 80, 24, generator=random)
    table = torch.randperm(11, generator=random)[:10].view(2, 5).int()
    pages = [paged_copy(tensor, table, 16, 11, tensor is keys) for tensor in (keys, values, statistics)]
    found = foresight.score_paged(*pages, table, *weights, 80, released)
    assert torch.equal(found, foresight.score(keys, values, statistics, *weights, released))


def calls_of_all(random, tmp_path):
    """{name: arguments} of every operator."""
    weights = Eviction(Scorer.load(write_random_scorer(tmp_path / "s.safetensors")), 32, 8).weights[0]
    query, key = torch.randn(2, 2, 2, 4, 16, generator=random), torch.randn(2, 2, 12, 16, generator=random)
    statistics, table = torch.rand(2, 2, 12, 16, generator=random), torch.tensor([[0], [1]], dtype=torch.int32)
    recent = torch.randn(2, 2, 2, 3, 16, generator=random)
    kept, four = kept_of(random, 2, 2, 12, 5), torch.tensor([4, 4], dtype=torch.int32)
    starts, live = torch.tensor([0, 4, 8], dtype=torch.int32), torch.tensor([12, 9], dtype=torch.int32)
    return {
        "window_statistics": (query, key, 0.5),
        "score": (key, key, statistics, *weights, False),
        "keep": (torch.rand(2, 2, 12, generator=random), 3, torch.zeros(2, 2, 12, dtype=torch.bool)),
        "compact_": (key.clone(), kept),
        "observe_paged_": (query.reshape(8, 4, 16), key, statistics.clone(), table, starts, live, four, 4 + four, 0.5),
        "close_window_paged_": (statistics.clone(), table, 12),
        "score_paged": (key, key, statistics, table, *weights, 10, True),
        "compact_paged_": (key.clone(), table, kept),
        "score_serving": (recent, key, key, *weights, 9, 0.5),
        "score_serving_paged": (recent, key, key, table, *weights, 12, 9, 0.5),
    }


def test_the_operators_keep_torchs_rules(random, tmp_path):
    for name, arguments in calls_of_all(random, tmp_path).items():
        torch.library.opcheck(getattr(load_operators(), name).default, arguments)


def test_what_cuda_runs_is_what_the_cpu_runs(random, tmp_path):
    """Same results, sizes, types and strides; what the schema does not mark as written to stays."""
    names = set()
    for name, arguments in calls_of_all(random, tmp_path).items():
        own, other = ([x.clone() if isinstance(x, torch.Tensor) else x for x in arguments] for _ in range(2))
        expected, found = getattr(load_operators(), name)(*own), getattr(ComposedOperators(), name)(*other)
        written = [argument.alias_info is not None for argument in getattr(load_operators(), name).default._schema.arguments]
        for before, left, right, writes in zip(arguments, own, other, written, strict=True):
            if isinstance(before, torch.Tensor):
                torch.testing.assert_close(left, right, rtol=1e-5, atol=1e-6)
                assert torch.equal(before, right) != writes
        if isinstance(expected, torch.Tensor):
            torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
            assert found.stride() == expected.stride()
        else:
            assert found is None is expected
        names.add(name)
    assert names == {op.split("::")[1] for op in torch._C._dispatch_get_registrations_for_dispatch_key("CUDA") if "foresight::" in op}


def int32(values):
    return torch.tensor(values, dtype=torch.int32)


def serving_scores(f, tokens=3, entries=8, count=5, live=None):
    """Scores of a scorer of zeros."""
    weights = [torch.zeros(1, *shape) for shape in ((2 * 2 + 8, 16), (16,), (16,), ())]
    queries, cache = torch.zeros(1, 1, 1, tokens, 2), torch.zeros(1, 1, entries, 2)
    if live is None:
        return f.score_serving(queries, cache, cache, *weights, count, 1.0)
    return f.score_serving_paged(queries, cache, cache, int32([[0]]), *weights, live, count, 1.0)


FAULTS = {
    "9 queries, expected 1 to the last 8": lambda f: serving_scores(f, tokens=9, entries=20),
    "count is 6, expected 0 to the 5 entries before": lambda f: serving_scores(f, count=6),
    "count is 4, expected 0 to the 3 entries before": lambda f: serving_scores(f, live=6, count=4),
    "has 9 entries in key_cache, expected 9 to 8": lambda f: serving_scores(f, live=9),
    "protected, fewer than the 3 to evict": lambda f: f.keep(torch.zeros(1, 1, 4), 3, torch.ones(1, 1, 4, dtype=torch.bool)),
    "evict is 5, expected 0 to the 4 entries": lambda f: f.keep(torch.zeros(1, 1, 4), 5, None),
    "row 0, KV head 0 is NaN": lambda f: f.keep(torch.full((1, 1, 4), float("nan")), 1, None),
    "the indices must ascend": lambda f: f.compact_(torch.zeros(1, 1, 4, 2), int32([[[2, 1]]])),
    "kept has sizes": lambda f: f.compact_(torch.zeros(1, 2, 4, 2), int32([[[0]]])),
    "kept must be Int": lambda f: f.compact_(torch.zeros(1, 1, 4, 2), torch.tensor([[[0]]])),
    "must be float32, float16 or bfloat16": lambda f: f.compact_(torch.zeros(1, 1, 4, 2).int(), int32([[[0]]])),
    "names block 7 of cache": lambda f: f.compact_paged_(torch.zeros(2, 1, 4, 2), int32([[7]]), int32([[[0]]])),
    "5 queries, expected 1 to the 4 entries": lambda f: f.window_statistics(torch.zeros(1, 1, 1, 5, 2), torch.zeros(1, 1, 4, 2), 1.0),
    "statistics must be float32": lambda f: f.close_window_paged_(torch.zeros(2, 1, 4, 7), int32([[0]]), 4),
    "has 9 entries in statistics, expected 9 to 4": lambda f: f.close_window_paged_(torch.zeros(2, 1, 4, 8), int32([[0]]), 9),
}


@pytest.mark.parametrize("message", FAULTS)
def test_wrong_arguments_are_named(message, foresight):
    with pytest.raises(RuntimeError, match=message):
        FAULTS[message](foresight)


def test_a_missing_library_is_named(monkeypatch):
    from foresight_kv import operators

    monkeypatch.setenv("FORESIGHT_OPS", "/nowhere/libforesight_ops.so")
    monkeypatch.setattr(operators, "_loaded", lambda: False)
    with pytest.raises(ForesightError, match="/nowhere/libforesight_ops.so: the operators' library is not there"):
        load_operators()


def test_features_of_the_operators_are_the_scorers(dumped):
    """The order of statistics that the operators document is that of candidate_features()."""
    scorer, tensors = dumped
    part = {name.split(".")[1]: tensor for name, tensor in tensors.items() if name.startswith("step1.")}
    statistics = raw_statistics(part["window_attention"], part["cumulative"], part["decayed"])[:, :, :80]
    if scorer.facts.features == "normalized":
        torch.testing.assert_close(torch.log1p(statistics * 100), part["features"][..., 16:], rtol=1e-5, atol=1e-5)
