"""Reading data sets: what `datasets` and pyarrow write, and what Python's json reads, are the reference."""

import bz2
import gzip
import io
import json
import random
import subprocess
import sys

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from foresight_kv import json_objects
from foresight_kv.errors import ForesightError
from foresight_kv.json_objects import JsonObjects
from foresight_kv.row_files import data_files, read_rows

ROWS = [
    {"problem": f"Wie groß ist {i}? 𝄞", "marks": [True, i % 2 == 0], "turns": [{"role": "user", "content": "é"}]}
    for i in range(70)
]


def everything(paths, split=None):
    return [row.columns for file in data_files(paths, split) for row in read_rows(file)]


def refusal(*paths, split=None):
    with pytest.raises(ForesightError) as caught:
        everything(paths, split)
    return str(caught.value)


def json_lines(rows):
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def test_every_kind_of_file_gives_the_same_rows(tmp_path):
    table = pa.Table.from_pylist(ROWS)
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=30)
    with pa.ipc.new_file(tmp_path / "b.arrow", table.schema) as writer:
        writer.write_table(table, max_chunksize=40)
    with pa.ipc.new_stream(tmp_path / "c.arrow", table.schema) as writer:
        writer.write_table(table, max_chunksize=40)
    (tmp_path / "d.jsonl").write_text("\ufeff" + json_lines(ROWS) + "\n\n", encoding="utf-8")
    (tmp_path / "e.json").write_text(json.dumps(ROWS, indent=2), encoding="utf-8")
    members = [gzip.compress(json_lines(rows).encode()) for rows in (ROWS[:9], ROWS[9:])]
    (tmp_path / "f.jsonl.gz").write_bytes(b"".join(members))
    (tmp_path / "g.bin").write_bytes(bz2.compress(json.dumps(ROWS).encode()))
    for file in sorted(tmp_path.iterdir()):
        assert everything([file]) == ROWS, file.name
    assert everything([tmp_path / "a.parquet", tmp_path / "d.jsonl"]) == ROWS + ROWS


def test_folders_of_save_to_disk_are_read_in_the_order_of_their_parts(tmp_path):
    whole = datasets.Dataset.from_list(ROWS)
    whole.save_to_disk(tmp_path / "whole", num_shards=3)
    datasets.DatasetDict({"train": whole.select(range(60)), "test": whole.select(range(60, 70))}).save_to_disk(tmp_path / "parts")
    assert everything([tmp_path / "whole"]) == ROWS
    assert everything([tmp_path / "parts"], "test") == ROWS[60:]
    assert "choose with --split: train, test" in refusal(tmp_path / "parts")
    assert "no split 'dev'" in refusal(tmp_path / "parts", split="dev")
    (tmp_path / "whole" / "data-00001-of-00003.arrow").unlink()
    assert "state.json: names data-00001-of-00003.arrow, which is not there" in refusal(tmp_path / "whole")


def test_a_state_that_names_a_file_elsewhere_is_refused(tmp_path):
    (tmp_path / "state.json").write_text('{"_data_files": [{"filename": "../secret.arrow"}]}')
    assert "names no file of the folder" in refusal(tmp_path)


def test_a_downloaded_folder_gives_its_files_and_a_split_chooses_among_them(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / ".cache").mkdir()
    parts = {"train-00000-of-00002": ROWS[:5], "train-00001-of-00002": ROWS[5:9], "test-00000-of-00001": ROWS[9:12]}
    for name, rows in parts.items():
        pq.write_table(pa.Table.from_pylist(rows), tmp_path / "data" / f"{name}.parquet")
    (tmp_path / ".cache" / "x.json").write_text("[")
    (tmp_path / "dataset_infos.json").write_text("[")
    (tmp_path / "README.md").write_text("a card")
    assert everything([tmp_path], "train") == ROWS[:9]
    assert everything([tmp_path], "test") == ROWS[9:12]
    assert "no rows of the split 'dev'" in refusal(tmp_path, split="dev")
    assert "there is no such file or folder" in refusal(tmp_path / "nothing")


@pytest.mark.parametrize("buffer", [1, 2, 3, 7, 64])
def test_json_is_read_the_same_however_it_is_cut(buffer, monkeypatch):
    monkeypatch.setattr(json_objects, "BUFFER_BYTES", buffer)
    generator = random.Random(buffer)
    values = [1, -2.5e-3, True, False, None, "ü\\ \" \u20ac 𝄞\n", [], {}, ["]", {"}": "{"}]]
    rows = [{f"k{j}": generator.choice(values) for j in range(generator.randrange(4))} for _ in range(40)]
    forms = [json.dumps(rows), json.dumps(rows, indent=1, ensure_ascii=False), json_lines(rows), "".join(map(json.dumps, rows))]
    forms += ["[]", " "]
    for text in forms:
        read = list(JsonObjects(io.BytesIO(text.encode()), "f").read())
        assert read == (rows if len(text) > 2 else [])


@pytest.mark.parametrize(
    "text, expected",
    [
        ('{"a": 1}\n{"a": }\n', "f: row 2: not JSON: Expecting value (sign 7 of the row)"),
        ('{"a": 1}\n3\n', "f: row 2: expected a JSON object, found what begins with '3'"),
        ('[{"a": 1} {"a": 2}]', "f: row 2: expected ',' or ']' before it, found '{'"),
        ('[{"a": 1},', "f: row 2: expected it or ']' in front of the end of the list"),
        ('{"a": "1', "f: row 1: not JSON: Unterminated string"),
        ('{"a": ' + "[" * 100000, "f: row 1: not JSON that can be read: it is nested too deeply"),
    ],
)
def test_a_faulty_json_row_is_named(text, expected):
    with pytest.raises(ForesightError) as caught:
        list(JsonObjects(io.BytesIO(text.encode()), "f").read())
    assert str(caught.value).startswith(expected)


def test_text_that_is_not_utf8_is_named():
    for data in (b'{"a": "\xff"}', b'{"a": "\xc3'):
        with pytest.raises(ForesightError, match="f: behind row 0: not UTF-8"):
            list(JsonObjects(io.BytesIO(data), "f").read())


def test_cut_and_foreign_files_are_refused_by_name(tmp_path):
    lines = json_lines([{"text": "".join(random.Random(i).choices("abcdefgh", k=200))} for i in range(50)]).encode()
    (tmp_path / "cut.jsonl.gz").write_bytes(gzip.compress(lines)[:-300])
    pq.write_table(pa.Table.from_pylist(ROWS), tmp_path / "whole.parquet")
    (tmp_path / "cut.parquet").write_bytes((tmp_path / "whole.parquet").read_bytes()[:-20])
    with pa.ipc.new_stream(tmp_path / "whole.arrow", pa.schema({"text": pa.string()})) as writer:
        writer.write_table(pa.table({"text": ["x" * 1000] * 50}), max_chunksize=10)
    (tmp_path / "cut.arrow").write_bytes((tmp_path / "whole.arrow").read_bytes()[:-20000])
    (tmp_path / "pointer.parquet").write_text("version https://git-lfs.github.com/spec/v1\n")
    (tmp_path / "a.zip").write_bytes(b"PK\x03\x04....")
    for name in ("cut.jsonl.gz", "cut.parquet", "cut.arrow"):
        assert refusal(tmp_path / name).startswith(f"{tmp_path / name}: "), name
    assert "damaged or of another kind behind row 30" in refusal(tmp_path / "cut.arrow")
    assert "git lfs pull" in refusal(tmp_path / "pointer.parquet")
    assert "unpack it first" in refusal(tmp_path / "a.zip")


@pytest.mark.parametrize("kind", ["parquet", "arrow", "jsonl"])
def test_memory_does_not_grow_with_the_file(kind, tmp_path):
    """160 MB of text, in Parquet one row group of many pages, read with less than 64 MB beside what the libraries take."""
    generator = random.Random(1)
    texts = [generator.randbytes(50_000).hex() for _ in range(1600)]
    file = tmp_path / f"big.{kind}"
    if kind == "parquet":
        pq.write_table(pa.table({"text": texts}), file, row_group_size=10_000, use_dictionary=False, write_batch_size=8)
    elif kind == "arrow":
        with pa.ipc.new_stream(file, pa.schema({"text": pa.string()})) as writer:
            writer.write_table(pa.table({"text": texts}), max_chunksize=100)
    else:
        file.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    script = (
        "import sys; from foresight_kv.row_files import read_rows\n"
        "def anonymous(): return int(next(l for l in open('/proc/self/status') if l.startswith('RssAnon')).split()[1])\n"
        "start = most = anonymous()\n"
        "for i, row in enumerate(read_rows(sys.argv[1])): most = max(most, anonymous()) if i % 16 == 0 else most\n"
        "print(i + 1, (most - start) // 1024)"
    )
    done = subprocess.run([sys.executable, "-c", script, file], capture_output=True, text=True, check=True)
    rows, grown = map(int, done.stdout.split())
    assert rows == 1600 and grown < 64, grown
