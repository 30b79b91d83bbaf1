#!/usr/bin/env python3
"""Uses an installed wheel: the program on the PATH, the tiny pipeline, the press, the operators. Run by the Python of the
environment that the wheel is installed in (scripts/wheel.sh), outside of the sources."""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

CONFIG = pathlib.Path(__file__).resolve().parents[2] / "configs/tiny.yaml"
SMALL = ["data.max_train_traces=2", "data.validation_traces=1", "evaluation.max_traces=1", "supervised.steps=4", "grpo.steps=2",
         "supervised.save_every=4", "supervised.evaluate_every=4", "grpo.save_every=2", "grpo.evaluate_every=2", "runtime.threads=1"]
# What a manylinux tag promises of a machine (the runtimes of C and C++, zlib), and what MPI is and loads.
EVERYWHERE = {"libc", "libm", "libstdc++", "libgcc_s", "libpthread", "libdl", "librt", "libutil", "libresolv", "libz"}
MPI = re.compile(r"lib(mpi|open-rte|open-pal|hwloc|event\w*|udev|nl\w*|ibverbs|pmix|munge|cap)")


def run(*command):
    done = subprocess.run([str(word) for word in command], capture_output=True)
    output, errors = (stream.decode(errors="replace") for stream in (done.stdout, done.stderr))
    if done.returncode != 0:
        sys.exit(f"FAILED ({done.returncode}): {' '.join(map(str, command))}\n{output[-3000:]}{errors[-3000:]}")
    return output


def expect(holds, what):
    if not holds:
        sys.exit(f"FAILED: {what}")
    print(f"holds: {what}")


def check_libraries(package):
    """The program needs nothing of the machine but the C library, and finds the rest by relative paths."""
    program = package / "bin/foresight"
    searched = re.findall(r"Library r(?:un)?path: \[(.*)\]", run("readelf", "--dynamic", program))
    expect(searched and all(folder.startswith("$ORIGIN/") for folder in searched[0].split(":")), f"it searches {searched[0]}")
    needed, missing = {}, []
    for line in run("ldd", program).splitlines():
        if found := re.match(r"\s+(\S+)\.so\S* => (.*) \(", line):
            needed[found[1]] = os.path.normpath(found[2])
        missing += [line.strip()] if "not found" in line else []
    expect(not missing, f"every library is found {' '.join(missing)}")
    outside = {name for name, path in needed.items() if not pathlib.Path(path).is_relative_to(sys.prefix)}
    mpi = {name for name in outside if MPI.match(name)} if "libmpi" in needed else set()
    expect(outside - mpi <= EVERYWHERE, f"from the machine come {sorted(outside)} alone")
    expect(pathlib.Path(needed["libtorch_cpu"]).is_relative_to(package.parent / "torch"), "torch is the environment's")


def check_pipeline(work):
    """Every stage on the tiny model, then the exported scorer under the press: the program's tokens."""
    os.chdir(work)
    run("foresight", "make-tiny-model", "runs/tiny-model")
    run("foresight", "run", "--config", CONFIG, *SMALL)
    exported = run("foresight", "export", "--config", CONFIG, "--policy", "grpo", *SMALL)
    scorer = work / "runs/tiny/exports/grpo.safetensors"
    expect(scorer.is_file(), f"a run ended with a scorer ({exported.strip()})")

    import torch
    from foresight_kv import ForesightPress, generate
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    logging.disable_progress_bar()
    text = "ann has 3 and gets 4, so ann has 7. bob has 10 and gets 20, so bob"
    shown = run("foresight", "generate", "--config", CONFIG, "--raw", "--prompt", text, "generation.policy=grpo", "generation.temperature=0",
                "generation.max_new_tokens=40", *SMALL)
    model = AutoModelForCausalLM.from_pretrained("runs/tiny-model", dtype=torch.float32).eval()
    tokens = generate(model, list(text.encode()), ForesightPress(scorer), max_new_tokens=40)[0].tolist()
    written = bytes(token for token in tokens if token < 256).decode(errors="replace")
    expect(len(written) > 8 and written == shown.removesuffix("\n"), "the press writes the program's tokens")


def check_operators():
    import torch
    from foresight_kv.operators import library_path, load_operators

    expect(library_path().is_file(), f"{library_path().name} lies in the package")
    scores = torch.tensor([[[1.0, 3.0, 3.0, 1.0]]])
    expect(load_operators().keep(scores, 2, None).tolist() == [[[0, 3]]], "the operators run")


program = pathlib.Path(shutil.which("foresight") or "/nothing")
expect(program.parent == pathlib.Path(sys.prefix) / "bin", f"{program} is on the PATH")
expect(run("foresight", "--version").startswith("foresight 0."), "foresight --version")
import foresight_kv  # noqa: E402

installed = pathlib.Path(foresight_kv.__file__).parent
expect(installed.is_relative_to(sys.prefix), f"the package is {installed}")
check_libraries(installed)
with tempfile.TemporaryDirectory() as folder:
    check_pipeline(pathlib.Path(folder))
check_operators()
