"""The command `foresight` of an installed wheel, with a script in the program's place."""

import subprocess
import sys

import pytest

PROGRAM = """#!/bin/sh
echo "$LD_LIBRARY_PATH|$@"
exit 5
"""
TORCH = '__version__ = "2.11.0+cu130"\n'


@pytest.fixture
def installed(tmp_path):
    """run(*arguments) starts the command of a folder that looks like site-packages, whose torch is in `beside`."""
    from foresight_kv import program

    package = tmp_path / "site/foresight_kv"
    (package / "bin").mkdir(parents=True)
    for name in ("__init__.py", "program.py"):
        (package / name).write_text((program.PROGRAM.parents[1] / name).read_text() if name == "program.py" else "")
    (package / "bin/foresight").write_text(PROGRAM)
    (package / "bin/foresight").chmod(0o755)
    (package / "bin/torch_version").write_text("2.11.0+cu130\n")

    def run(*arguments, given=None):
        script = "import sys; sys.path[:0] = sys.argv[1].split(':'); del sys.argv[1]\nfrom foresight_kv.program import main; main()"
        paths = f"{tmp_path / 'site'}:{tmp_path / 'elsewhere'}"
        environment = {"LD_LIBRARY_PATH": given} if given else {}
        # -I -S: nothing of the environment of the tests, torch least of all
        command = [sys.executable, "-I", "-S", "-c", script, paths, *arguments]
        return subprocess.run(command, capture_output=True, text=True, env=environment)

    run.site, run.elsewhere = tmp_path / "site", tmp_path / "elsewhere"
    return run


def put_torch(folder, version=TORCH):
    (folder / "torch").mkdir(parents=True)
    (folder / "torch/__init__.py").write_text("raise SystemExit('imported')")
    (folder / "torch/version.py").write_text(version)


def test_the_program_is_started_with_arguments_and_its_exit_code(installed):
    put_torch(installed.site)
    done = installed("run", "--config", "a b.yaml")
    assert (done.stdout, done.stderr, done.returncode) == ("|run --config a b.yaml\n", "", 5)


def test_a_torch_that_lies_elsewhere_is_named_to_the_loader(installed):
    put_torch(installed.elsewhere)
    found = installed(given="/own").stdout.split("|")[0].split(":")
    assert found[0] == str(installed.elsewhere / "torch/lib") and found[-1] == "/own"
    assert str(installed.elsewhere / "nvidia/cu13/lib") in found


def test_what_cannot_start_is_an_error_of_one_line(installed):
    def error():
        done = installed("--version")
        assert done.returncode == 3 and done.stderr.count("\n") == 1 and not done.stdout
        return done.stderr

    assert "there is no torch in the environment" in error() and "install torch==2.11.0+cu130" in error()
    put_torch(installed.site, '__version__ = "2.13.0"\n')
    assert f"error: {installed.site}/torch is torch 2.13.0, and the program was linked with 2.11.0+cu130: run `pip" in error()
    (installed.site / "foresight_kv/bin/foresight").unlink()
    assert f"{installed.site}/foresight_kv/bin/foresight: this installation has no program; `pip install .` builds" in error()
