#!/usr/bin/env python3
"""Installs the build into a folder and uses it from there: the program, its files, the CMake package, the Debian package.

usage: test_install.py --build FOLDER --source FOLDER
"""
import argparse
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

parser = argparse.ArgumentParser()
parser.add_argument("--build", type=pathlib.Path, required=True)
parser.add_argument("--source", type=pathlib.Path, required=True)
options = parser.parse_args()


def run(*command, **more):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, **more)
    if done.returncode != 0:
        sys.exit(f"FAILED ({done.returncode}): {' '.join(map(str, command))}\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
    return done.stdout


def expect(holds, what):
    if not holds:
        sys.exit(f"FAILED: {what}")
    print(f"holds: {what}")


def check_program(root, docs):
    """A prefix with bin/ and share/ holds a program that works without the source tree."""
    program = root / "bin/foresight"
    elsewhere = dict(os.environ, HOME=str(root))
    searched = re.findall(r"Library r(?:un)?path: \[(.*)\]", run("readelf", "--dynamic", program))
    expect(all(folder.startswith("/") for folder in ":".join(searched).split(":")), f"{program} looks for libraries in {searched}")
    expect(run(program, "--version", cwd="/", env=elsewhere).startswith("foresight 0."), f"{program} runs")
    expect((root / "share/foresight/configs/quickstart.yaml").is_file(), "share/foresight/configs has the configs")
    expect((root / docs / "docs/configuration.md").is_file() and (root / docs / "LICENSE").is_file(), f"{docs} has the docs")
    completion = root / "share/bash-completion/completions/foresight"
    expect("complete -F _foresight foresight" in completion.read_text(), "bash completion is installed")


def check_package(prefix, work):
    """find_package(foresight) gives libraries that link and run."""
    consumer = work / "consumer"
    run("cmake", "-S", options.source / "tests/install/consumer", "-B", consumer, "-G", "Ninja", f"-DCMAKE_PREFIX_PATH={prefix}")
    run("cmake", "--build", consumer)
    output = run(consumer / "consumer", prefix / "share/foresight/configs/tiny.yaml", options.source / "tests/reference/llama/tiny")
    expect(output.split()[1:] == ["12", "1"], "a program of find_package(foresight) reads a config and runs a model")
    leaked = [header for header in (prefix / "include").rglob("*") if header.is_file() and header.suffix != ".h"]
    expect(not leaked, "only headers are installed as headers")


def check_debian_package(work):
    if not shutil.which("dpkg-deb"):
        print("NOT RUN: no dpkg-deb here")
        return
    run("cpack", "-G", "DEB", "-B", work / "deb", cwd=options.build)
    packages = list((work / "deb").glob("*.deb"))
    expect(len(packages) == 1, f"cpack makes one package: {[package.name for package in packages]}")
    depends = run("dpkg-deb", "--field", packages[0], "Depends")
    # The package names the package of every Debian library that the program loads.
    owners = set()
    for library in re.findall(r"=> (/\S+)", run("ldd", options.build / "foresight")):
        found = subprocess.run(["dpkg-query", "-S", os.path.realpath(library)], capture_output=True, text=True)
        owners |= {line.split(":")[0] for line in found.stdout.splitlines()}
    named = {re.split(r"[ (]", entry.strip())[0] for entry in depends.split(",")}
    direct = {"libhdf5-103-1", "libicu72", "libopenmpi3", "libpcre2-8-0", "libspdlog1.10", "libssl3", "libyaml-cpp0.7"}
    expect(direct & owners <= named, f"it depends on {sorted(direct & owners)}")
    run("dpkg-deb", "-x", packages[0], work / "unpacked")
    check_program(work / "unpacked/usr", "share/doc/foresight")


with tempfile.TemporaryDirectory() as folder:
    work = pathlib.Path(folder)
    run("cmake", "--install", options.build, "--prefix", work / "prefix")
    check_program(work / "prefix", "share/doc/foresight")
    check_package(work / "prefix", work)
    check_debian_package(work)
