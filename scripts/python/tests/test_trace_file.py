"""The file that foresight-traces writes: torn rows, a crash between its two files, what is refused."""

import errno
import json
import os

import pytest

from foresight_kv import trace_file
from foresight_kv.errors import ForesightError
from foresight_kv.trace_file import TraceFile

REQUESTS = {f"digest{number}": {"model": "m", "seed": 1, "sample": number, "request": f"digest{number}"} for number in range(4)}
ROWS = {digest: {"completion": "é" * 5, "sampling": settings} for digest, settings in REQUESTS.items()}


def kept(path, digests, finish=False):
    """A file with rows of these digests, put there in this order."""
    with TraceFile(path, REQUESTS) as file:
        for digest in digests:
            file.keep(digest, ROWS[digest])
        if finish:
            file.finish()
    return path.with_name(path.name + ".unfinished")


def test_the_file_appears_in_order_when_all_rows_are_there(tmp_path):
    path = tmp_path / "t.jsonl"
    unfinished = kept(path, ["digest2", "digest0"])
    assert not path.exists() and unfinished.read_bytes().count(b"\n") == 2
    kept(path, ["digest3", "digest1"], finish=True)
    assert [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] == list(ROWS.values())
    assert list(tmp_path.iterdir()) == [path]


def test_a_row_that_is_torn_anywhere_is_made_again(tmp_path):
    path = tmp_path / "t.jsonl"
    unfinished = kept(path, ["digest2", "digest0"])
    whole = unfinished.read_bytes()
    first = whole.index(b"\n") + 1
    for cut in range(first, len(whole)):
        unfinished.write_bytes(whole[:cut] + b"\0" * (cut % 3))
        warned = []
        with TraceFile(path, REQUESTS, warned.append) as file:
            assert set(file.done) == {"digest2"} and unfinished.read_bytes() == whole[:first]
            file.keep("digest0", ROWS["digest0"])
        torn = cut > first or cut % 3
        assert unfinished.read_bytes() == whole and len(warned) == bool(torn)
        assert not torn or "its last row is torn and is sampled again" in warned[0]


def test_a_crash_between_the_two_files_leaves_the_whole_one(tmp_path):
    path = tmp_path / "t.jsonl"
    unfinished = kept(path, REQUESTS)
    rows = unfinished.read_bytes()
    kept(path, [], finish=True)
    unfinished.write_bytes(rows)
    with TraceFile(path, REQUESTS) as file:
        assert set(file.done) == set(REQUESTS)
        before = path.stat().st_mtime_ns
        file.finish()
    assert path.stat().st_mtime_ns == before and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    "line, said",
    [
        ('{"sampling": {"request": "other", "model": "n", "seed": 1}}', "sampled with model n, and this command has m"),
        ('{"sampling": {"request": "other", "model": "m", "seed": 1}}', "belongs to a prompt or a sample"),
        ('{"sampling": "x"}', "not a row that foresight-traces wrote"),
        ("torn in the middle", "not a row that foresight-traces wrote; move the file away"),
    ],
)
@pytest.mark.parametrize("ending", ["", ".unfinished"])
def test_other_rows_are_refused_and_stay(line, said, ending, tmp_path):
    file = tmp_path / f"t.jsonl{ending}"
    text = f"{json.dumps(ROWS['digest0'])}\n{line}\n{json.dumps(ROWS['digest1'])}\n"
    file.write_text(text)
    with pytest.raises(ForesightError) as caught, TraceFile(tmp_path / "t.jsonl", REQUESTS):
        pass
    assert f"{file}:2: " in str(caught.value) and said in str(caught.value) and "choose another --out" in str(caught.value)
    assert file.read_text() == text and list(tmp_path.iterdir()) == [file]


def test_a_second_command_is_refused_until_the_first_ends(tmp_path):
    path = tmp_path / "t.jsonl"
    with TraceFile(path, REQUESTS) as file:
        file.keep("digest0", ROWS["digest0"])
        with pytest.raises(ForesightError, match="another command is writing it"), TraceFile(path, REQUESTS):
            pass
        assert path.with_name("t.jsonl.unfinished").exists()
    with TraceFile(path, REQUESTS) as file:
        assert set(file.done) == {"digest0"}


def test_a_file_system_without_locks_is_warned_about_and_another_fault_ends_the_command(tmp_path, monkeypatch):
    def refuse(number):
        def flock(*_):
            raise OSError(number, os.strerror(number))

        return flock

    warned = []
    monkeypatch.setattr(trace_file.fcntl, "flock", refuse(errno.ENOLCK))
    with TraceFile(tmp_path / "t.jsonl", REQUESTS, warned.append):
        pass
    assert "this file system has no locks; do not let two commands write it at once" in warned[0]
    monkeypatch.setattr(trace_file.fcntl, "flock", refuse(errno.EIO))
    with pytest.raises(ForesightError, match="unfinished: cannot be written: Input/output error"):
        kept(tmp_path / "t.jsonl", [])


def test_folders_and_disks_that_take_nothing_are_named(tmp_path, monkeypatch):
    with pytest.raises(ForesightError, match="none/t.jsonl.unfinished: cannot be written: No such file or directory"):
        kept(tmp_path / "none" / "t.jsonl", [])
    path = tmp_path / "t.jsonl"
    kept(path, ["digest0"])
    written = os.write

    def full(descriptor, data):
        if len(data) < 20:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return written(descriptor, data[:-10])

    monkeypatch.setattr(trace_file.os, "write", full)
    with pytest.raises(ForesightError, match="No space left on device; finished rows are kept"):
        kept(path, ["digest1"])
    monkeypatch.undo()
    with TraceFile(path, REQUESTS, lambda text: None) as file:
        assert set(file.done) == {"digest0"}
