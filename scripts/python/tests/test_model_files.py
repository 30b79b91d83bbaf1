"""The fingerprint of a model's files, as the program records it."""

import json
import shutil

import pytest
from conftest import load_model, run, tiny_overrides

from foresight_kv import OracleFile
from foresight_kv.errors import ForesightError
from foresight_kv.model_files import model_fingerprint, weight_files


def test_it_is_the_programs(tiny_model_folder, tiny_run):
    recorded = OracleFile(next((tiny_run / "oracle").glob("*.h5"))).model_fingerprint
    assert model_fingerprint(str(tiny_model_folder)) == recorded


def test_it_is_the_programs_for_a_model_in_shards(foresight, tiny_model_folder, tmp_path):
    folder = tmp_path / "shards"
    load_model(tiny_model_folder).save_pretrained(folder, max_shard_size="60KB")
    for name in ("tokenizer.json", "train.jsonl", "evaluation.jsonl"):
        shutil.copy(tiny_model_folder / name, folder)
    run(foresight, "oracle", "--config", "configs/tiny.yaml", *tiny_overrides(folder, tmp_path / "run"))
    recorded = OracleFile(next((tmp_path / "run" / "oracle").glob("*.h5"))).model_fingerprint
    assert len(weight_files(folder)) > 2 and model_fingerprint(str(folder)) == recorded


def test_files_that_are_not_there_are_named(tmp_path):
    with pytest.raises(ForesightError, match="config.json: cannot be read: No such file or directory"):
        model_fingerprint(str(tmp_path))
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ForesightError, match="model.safetensors: cannot be read: No such file"):
        model_fingerprint(str(tmp_path))
    for content in ("torn", "[]", json.dumps({"weight_map": 3})):
        (tmp_path / "model.safetensors.index.json").write_text(content)
        with pytest.raises(ForesightError, match="index.json: no index of a model's weights"):
            model_fingerprint(str(tmp_path))
