"""Rows of data sets in files: Parquet, Arrow, JSON and JSON lines, compressed or not, one small batch in memory at a time."""

import json
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow
import pyarrow.ipc
import pyarrow.parquet

from .errors import ForesightError, one_line
from .json_objects import JsonObjects

ROWS_AT_ONCE = 32  # rows of long reasoning take some 100 kB each
BUFFER_BYTES = 1 << 20
COMPRESSIONS = {b"\x1f\x8b": "gzip", b"BZh": "bz2", b"\x28\xb5\x2f\xfd": "zstd"}
ENDINGS = (".parquet", ".arrow", ".feather", ".json", ".jsonl", ".json.gz", ".jsonl.gz", ".jsonl.zst", ".json.zst")


@dataclass
class SourceRow:
    """A row as its file has it, and where it stands: `file: row 17`, counted from 1."""

    columns: dict
    file: Path
    number: int

    def fail(self, column, problem):
        """Raises ForesightError about a column of this row."""
        raise ForesightError(f"{self.file}: row {self.number}, column '{one_line(column)}': {problem}")


def data_files(paths, split=None):
    """The files behind `paths` in their order: files as they are, folders of datasets' save_to_disk(), folders of files.

    split: which part of a saved DatasetDict ("train"); elsewhere files whose name or folder begins with it. Raises
    ForesightError for a path that is not there, a folder without rows, and a split that is not there or has to be chosen.
    """
    found = []
    for path in map(Path, paths):
        if not path.exists():
            raise ForesightError(f"{path}: there is no such file or folder")
        found += _files_of_folder(path, split) if path.is_dir() else [path]
    return found


def read_rows(file, columns=None):
    """Yields a SourceRow for each row of a file. columns: those to read of Parquet and Arrow files, None for all.

    Raises ForesightError, naming the file and where it can the row, for a file of another kind and for a damaged one.
    """
    try:
        with open(file, "rb") as opened:
            start = opened.read(8)
    except OSError as fault:
        raise ForesightError(f"{file}: cannot be read: {fault.strerror}") from fault
    number = 0
    with _damage_named(file, lambda: number):
        for columns_of_row in _rows_by_kind(file, start, columns):
            number += 1
            yield SourceRow(columns_of_row, file, number)


@contextmanager
def _damage_named(file, last_row):
    """Turns what a reader throws into a ForesightError that says how far the file could be read."""
    try:
        yield
    except ForesightError:
        raise
    except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as fault:
        raise ForesightError(
            f"{file}: damaged or of another kind behind row {last_row()}: {one_line(fault)}; take another copy"
        ) from fault


def _rows_by_kind(file, start, columns):
    if start[:4] == b"PAR1":
        return _parquet_rows(file, columns)
    if start[:6] == b"ARROW1":
        return _arrow_rows(lambda mapped: _file_batches(pyarrow.ipc.open_file(mapped)), file, columns)
    if start[:4] == b"\xff\xff\xff\xff":
        return _arrow_rows(pyarrow.ipc.open_stream, file, columns)
    if start.startswith((b"PK\x03\x04", b"\xfd7zXZ", b"version ")):
        pointer = start.startswith(b"version ")
        kind = "a pointer of Git LFS: fetch the file itself, git lfs pull" if pointer else "an archive: unpack it first"
        raise ForesightError(f"{file}: is {kind}")
    compression = next((name for magic, name in COMPRESSIONS.items() if start.startswith(magic)), None)
    return _json_rows(file, compression)


def _parquet_rows(file, columns):
    with pyarrow.parquet.ParquetFile(file, buffer_size=BUFFER_BYTES, pre_buffer=False) as parquet:
        present = [name for name in parquet.schema_arrow.names if columns is None or name in columns]
        for batch in parquet.iter_batches(ROWS_AT_ONCE, columns=present, use_threads=False):
            yield from batch.to_pylist()


def _file_batches(reader):
    return (reader.get_batch(index) for index in range(reader.num_record_batches))


def _arrow_rows(batches_of, file, columns):
    with pyarrow.memory_map(str(file)) as mapped:
        for batch in batches_of(mapped):
            present = [name for name in batch.schema.names if columns is None or name in columns]
            for first in range(0, batch.num_rows, ROWS_AT_ONCE):
                yield from batch.select(present).slice(first, ROWS_AT_ONCE).to_pylist()


def _json_rows(file, compression):
    """Objects on lines, one behind another, or in one list; a part of the file is in memory at a time."""
    with pyarrow.input_stream(str(file), compression=compression, buffer_size=BUFFER_BYTES) as stream:
        yield from JsonObjects(stream, file).read()


def _files_of_folder(folder, split):
    parts = folder / "dataset_dict.json"
    if parts.is_file():
        names = _json_of(parts).get("splits", [])
        if split not in names and (split or len(names) != 1):
            wanted = f"no split '{one_line(split)}'" if split else "several splits"
            raise ForesightError(f"{folder}: {wanted}; choose with --split: {', '.join(map(str, names))}")
        return _files_of_folder(folder / (split or names[0]), None)
    state = folder / "state.json"
    if state.is_file():
        described = _json_of(state)
        if described.get("_indices_data_files"):
            raise ForesightError(f"{folder}: rows chosen by an index file of old datasets; save it again after flatten_indices()")
        return [_inside(folder, entry) for entry in described.get("_data_files", [])]
    files = [file for file in sorted(folder.rglob("*")) if file.is_file() and _holds_rows(file, folder, split)]
    if not files:
        named = f" of the split '{one_line(split)}'" if split else ""
        kinds = f"neither a folder of save_to_disk() nor files ending in {', '.join(ENDINGS)}"
        raise ForesightError(f"{folder}: no rows{named}: {kinds}")
    return files


def _holds_rows(file, folder, split):
    inner = file.relative_to(folder)
    if not file.name.endswith(ENDINGS) or any(part.startswith(".") for part in inner.parts):
        return False
    if file.name in ("dataset_info.json", "dataset_infos.json", "state.json", "config.json"):
        return False
    return split is None or any(part == split or part.startswith((f"{split}-", f"{split}.")) for part in inner.parts)


def _json_of(file):
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as fault:
        raise ForesightError(f"{file}: not readable as JSON: {one_line(fault)}; take another copy") from fault
    if not isinstance(value, dict):
        raise ForesightError(f"{file}: expected a JSON object, got {type(value).__name__}")
    return value


def _inside(folder, entry):
    """A file that state.json names; only files in the folder itself are followed."""
    name = entry.get("filename") if isinstance(entry, dict) else None
    if not isinstance(name, str) or Path(name).name != name:
        raise ForesightError(f"{folder}/state.json: '_data_files' names no file of the folder: {one_line(name)}")
    if not (folder / name).is_file():
        raise ForesightError(f"{folder}/state.json: names {one_line(name)}, which is not there; copy the folder whole")
    return folder / name
