"""What a reader of the documentation types must start."""

import os

from conftest import ROOT


def test_files_that_begin_like_programs_can_be_started():
    files = [file for file in (ROOT / "scripts").rglob("*") if file.is_file() and file.open("rb").read(2) == b"#!"]
    assert len(files) > 20
    assert [str(file) for file in files if not os.access(file, os.X_OK)] == []
