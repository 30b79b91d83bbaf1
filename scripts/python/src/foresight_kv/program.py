"""The command `foresight` of an installed wheel: starts the C++ program that lies beside this file.

The program looks for torch's libraries where pip puts them, beside this package. Where torch comes from elsewhere (a path file, a
folder of another environment) it is told so. It only runs with the torch that it was linked with, because C++ code has no stable
interface to torch; the operators do (foresight_kv.operators).
"""

import importlib.util
import os
import sys
from pathlib import Path

PROGRAM = Path(__file__).with_name("bin") / "foresight"
# Exit codes of the program: a file is missing or belongs to something else.
WRONG_FILE = 3


def main():
    """Becomes the program, with this process's arguments."""
    try:
        libraries = _torch_libraries()
    except FileNotFoundError as fault:
        sys.exit(_told(str(fault)))
    environment = dict(os.environ)
    if libraries.parent.parent != PROGRAM.parents[2]:
        given = environment.get("LD_LIBRARY_PATH")
        environment["LD_LIBRARY_PATH"] = ":".join([*_folders(libraries), *([given] if given else [])])
    os.execve(PROGRAM, [str(PROGRAM), *sys.argv[1:]], environment)


def _torch_libraries():
    """The folder of libtorch.so. FileNotFoundError where there is no program, no torch, or another torch than the program's."""
    if not PROGRAM.is_file():
        raise FileNotFoundError(f"{PROGRAM}: this installation has no program; `pip install .` builds one (README.md)")
    found = importlib.util.find_spec("torch")
    if found is None or not found.submodule_search_locations:
        raise FileNotFoundError(f"there is no torch in the environment of {sys.executable}; install torch=={_linked_version()}")
    folder = Path(found.submodule_search_locations[0])
    facts = {}
    exec((folder / "version.py").read_text(encoding="utf-8"), facts)  # importing torch takes seconds
    if facts["__version__"].split("+")[0] != _linked_version().split("+")[0]:
        raise FileNotFoundError(
            f"{folder} is torch {facts['__version__']}, and the program was linked with {_linked_version()}: run `pip install .` "
            "again, in this environment"
        )
    return folder / "lib"


def _linked_version():
    return PROGRAM.with_name("torch_version").read_text(encoding="utf-8").strip()


def _folders(libraries):
    """Where torch's libraries and those of the packages that it brings lie."""
    packages = libraries.parents[1]
    return [str(libraries), str(packages / "nvidia/cu13/lib"), str(packages / "nvidia/nccl/lib")]


def _told(message):
    print(f"error: {message}", file=sys.stderr)
    return WRONG_FILE
