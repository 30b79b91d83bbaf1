"""The reader of oracle files against fixtures, `foresight inspect` and the C++ golden plans."""

import json
import os
import resource
import signal
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from conftest import ROOT, run

from foresight_kv import ForesightError, OracleFile

FIXTURES = ROOT / "tests" / "reference" / "oracle"
BAD = sorted(path.name for path in FIXTURES.glob("bad_*.h5"))


def reference():
    return json.loads((FIXTURES / "good.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", ["good.h5", "good_compressed.h5"])
def test_a_good_file_is_read_whole(name):
    expected, oracle = reference(), OracleFile(FIXTURES / name)
    for attribute, value in (expected["integers"] | expected["texts"]).items():
        assert getattr(oracle, attribute) == value
    assert (oracle.blocks, oracle.packed_elements) == (3, 22)
    assert oracle.token_ids.tolist() == expected["token_ids"] and oracle.token_ids.dtype == np.int32
    assert oracle.completion.tolist() == [bool(mark) for mark in expected["completion"]]
    np.testing.assert_array_equal(oracle.loss, np.float32(expected["loss"]))
    np.testing.assert_array_equal(oracle.entropy, np.float32(expected["entropy"]))
    packed = np.uint16(expected["attention_bits"]).view(np.float16)  # [layers, K, E]
    for layer in range(2):
        attention = oracle.attention(layer)
        assert attention.shape == (2, 3, 10) and attention.dtype == np.float32
        # docs/hdf5_format.md's example of L = 10 and w = 4: elements 0..3, 4..11 and 12..21
        np.testing.assert_array_equal(attention[:, 0, :4], packed[layer][:, 0:4])
        np.testing.assert_array_equal(attention[:, 1, :8], packed[layer][:, 4:12])
        np.testing.assert_array_equal(attention[:, 2], packed[layer][:, 12:22])
        assert not attention[:, 0, 4:].any() and not attention[:, 1, 8:].any()


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_refused_by_name(name):
    with pytest.raises(ForesightError) as refusal:
        oracle = OracleFile(FIXTURES / name)
        for layer in range(oracle.layers):
            oracle.attention(layer)
    assert name in str(refusal.value) and "\n" not in str(refusal.value)


def test_a_file_of_some_layers_is_read_by_the_models_numbers():
    some, whole = OracleFile(FIXTURES / "good_some_layers.h5"), OracleFile(FIXTURES / "good.h5")
    assert (some.layer_numbers, whole.layer_numbers) == ([1, 5], [0, 1])
    for number, layer in zip(some.layer_numbers, whole.layer_numbers, strict=True):
        assert np.array_equal(some.attention(number), whole.attention(layer))
    with pytest.raises(ForesightError, match=r"there is no layer 0; choose one of 1, 5"):
        some.attention(0)


def test_there_are_bad_files():
    assert len(BAD) > 20


@pytest.mark.parametrize("name", ["forged_segmentation_fault.h5", "forged_division.h5"])
def test_a_forged_file_does_not_crash_the_reader(name):
    """h5py's libhdf5 may survive what Debian's does not: then it is read, or refused like any other."""
    try:
        oracle = OracleFile(FIXTURES / name)
        for layer in range(oracle.layers):
            oracle.attention(layer)
    except ForesightError as refusal:
        assert name in str(refusal) and "\n" not in str(refusal)


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGFPE, signal.SIGABRT])
def test_a_crash_of_the_library_is_an_error(monkeypatch, number):
    monkeypatch.setattr(OracleFile, "_read", lambda self, file: os.kill(os.getpid(), number))
    with pytest.raises(ForesightError, match=r"good\.h5: reading it crashed"):
        OracleFile(FIXTURES / "good.h5")


def test_an_endless_read_is_an_error(monkeypatch):
    def spin(self, file):
        resource.setrlimit(resource.RLIMIT_CPU, (1, 1))  # of the child: the parent never gets here
        while True:
            pass

    monkeypatch.setattr(OracleFile, "_read", spin)
    with pytest.raises(ForesightError, match="took too much of the processor's time"):
        OracleFile(FIXTURES / "good.h5")


def test_damage_anywhere_is_noticed(tmp_path):
    """Truncated files, and files with one byte changed: refused, or read as they were."""
    whole = (FIXTURES / "good.h5").read_bytes()
    good, target, noticed = OracleFile(FIXTURES / "good.h5"), tmp_path / "damaged.h5", 0
    for place in range(0, len(whole), 97):
        damaged = bytearray(whole)
        damaged[place] ^= 0x10
        for content in (damaged, whole[:place]):
            target.write_bytes(content)
            try:
                oracle = OracleFile(target)
                attention = [oracle.attention(layer) for layer in range(2)]
            except ForesightError:
                noticed += 1
            else:
                assert oracle.trace_id == good.trace_id and np.array_equal(oracle.loss, good.loss)
                assert np.array_equal(attention[1], good.attention(1))
    assert noticed > len(whole) / 97


def test_the_programs_file_says_what_inspect_says(foresight, tiny_run):
    for path in sorted((tiny_run / "oracle").glob("*.h5")):
        told, oracle = json.loads(run(foresight, "inspect", path)), OracleFile(path)
        for name, value in told["dimensions"].items():
            assert getattr(oracle, name) == value
        for name, value in told["provenance"].items():
            assert getattr(oracle, name) == value
        assert oracle.trace_id == told["trace"]["trace_id"]
        assert int(oracle.completion.sum()) == told["trace"]["completion_tokens"]
        assert oracle.loss[1:].mean(dtype=float) == pytest.approx(told["trace"]["mean_loss_nats"], rel=1e-6)
        assert oracle.entropy[1:].mean(dtype=float) == pytest.approx(told["trace"]["mean_entropy_nats"], rel=1e-6)
        # Every query's attention sums to 1, and a block averages over its queries: float16 rounds each value.
        np.testing.assert_allclose(oracle.attention(0).sum(axis=2), 1, atol=5e-3)


@pytest.mark.parametrize(("budget", "window"), [(32, 16), (64, 32), (48, 48)])
def test_golden_scores_equal_the_programs_contributions(budget, window, dump, tiny_run, tmp_path):
    path = next(iter(sorted((tiny_run / "oracle").glob("*.h5"))))
    dump("golden", path, budget, window, tmp_path / "golden.safetensors")
    plans, oracle = safetensors.numpy.load_file(tmp_path / "golden.safetensors"), OracleFile(path)
    for layer in range(oracle.layers):
        candidates = plans[f"layer{layer}.candidates"]  # [K, S, B]
        scores = oracle.golden_scores(layer, budget, window)
        assert scores.shape == (oracle.kv_heads, candidates.shape[1], oracle.tokens) and candidates.shape[1] > 0
        found = np.take_along_axis(scores, candidates, axis=2)
        np.testing.assert_allclose(found, plans[f"layer{layer}.contribution"], rtol=1e-6)
        # What the program evicts at the first step are the lowest, the older first.
        first = np.argsort(scores[:, 0, :budget], axis=1, kind="stable")[:, :window]
        np.testing.assert_array_equal(first, plans[f"layer{layer}.evicted"][:, 0])


def test_golden_scores_by_their_definition():
    oracle = OracleFile(FIXTURES / "good.h5")  # L = 10, w = 4
    scores, attention = oracle.golden_scores(1, 4, 4), oracle.attention(1)
    assert scores.shape == (2, 1, 10)  # one step, after 8 tokens: block 2 follows
    np.testing.assert_array_equal(scores[:, 0, :8], attention[:, 2, :8])
    assert np.isnan(scores[:, 0, 8:]).all()
    merged = oracle.window_attention(1, 8)  # blocks 0 and 1 together, block 2 alone
    np.testing.assert_allclose(merged[:, 0], (4 * attention[:, 0] + 4 * attention[:, 1]) / 8, rtol=1e-6)
    np.testing.assert_allclose(merged[:, 1], attention[:, 2], rtol=1e-6)
    whole = oracle.window_attention(1, 12)  # the last block has two queries only
    np.testing.assert_allclose(whole[:, 0], (4 * attention[:, 0] + 4 * attention[:, 1] + 2 * attention[:, 2]) / 10, rtol=1e-6)


def test_wrong_requests_are_refused(tmp_path):
    oracle = OracleFile(FIXTURES / "good.h5")
    for call, message in (
        (lambda: oracle.attention(2), "there is no layer 2; choose one of 0 to 1"),
        (lambda: oracle.attention(-1), "there is no layer -1"),
        (lambda: oracle.window_attention(0, 6), "window 6 is not a multiple of the recorded block of 4 tokens"),
        (lambda: oracle.golden_scores(0, 6, 4), "budget 6 must be a multiple of window 4"),
        (lambda: OracleFile(Path("absent.h5")), "there is no such file"),
    ):
        with pytest.raises(ForesightError, match=message):
            call()
