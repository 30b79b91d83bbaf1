"""The package as pip installs it, its scripts and what it promises about itself."""

import ast
import shutil
import subprocess
import sys

import pytest
from conftest import ROOT

PACKAGE = ROOT / "scripts" / "python"
SOURCES = sorted((PACKAGE / "src" / "foresight_kv").rglob("*.py"))


def test_pip_installs_it(tmp_path):
    """The Python package alone; scripts/wheel.sh installs what is compiled too."""
    source = tmp_path / "source"
    shutil.copytree(PACKAGE, source / "scripts/python", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "LICENSE"):
        shutil.copy(ROOT / name, source / name)
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check"]
    options += ["--config-settings", "wheel.cmake=false"]
    subprocess.run(
        [sys.executable, "-m", "pip", "install", *options, "--target", tmp_path / "installed", source], check=True
    )
    script = "import foresight_kv, sys; print(foresight_kv.__file__, foresight_kv.OracleFile.__name__, 'torch' in sys.modules)"
    environment = {"PYTHONPATH": str(tmp_path / "installed")}
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True, env=environment)
    shown = done.stdout.split()
    assert shown[0].startswith(str(tmp_path / "installed")) and shown[1:] == ["OracleFile", "False"]


def test_the_environment_is_complete():
    """setup.sh --check looks at .venv-python, whatever Python runs the tests."""
    done = subprocess.run([PACKAGE / "setup.sh", "--check"], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "unknown option" in subprocess.run([PACKAGE / "setup.sh", "--chekc"], capture_output=True, text=True, cwd=ROOT).stderr


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_public_functions_are_described_and_sizes_kept(path):
    text = path.read_text(encoding="utf-8")
    assert text.count("\n") <= 400
    outer = ast.parse(text).body
    inner = [node for owner in outer if isinstance(owner, ast.ClassDef) for node in owner.body]
    for node in outer + inner:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            assert node.name.startswith("_") or ast.get_docstring(node), f"{path.name}: {node.name} has no docstring"
        if isinstance(node, ast.FunctionDef):
            assert node.end_lineno - node.lineno < 60, f"{path.name}: {node.name} is long"


def test_an_unknown_name_is_an_attribute_error():
    import foresight_kv

    assert "ForesightPress" in dir(foresight_kv)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        foresight_kv.nothing  # noqa: B018
