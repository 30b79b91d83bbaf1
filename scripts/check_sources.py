#!/usr/bin/env python3
"""Checks what the compiler does not: folders include only folders below them, and a library stays in its one module,
and no two headers define a type of the same name.

usage: scripts/check_sources.py [--root FOLDER]

The folders below a folder are those that its CMakeLists.txt links (foresight_library, foresight_test, foresight_fuzz); no other list says so.
Includes are followed through the project's headers, so that a library cannot leave its module by way of a header.
Prints one line per finding, "path:line: what is wrong", and exits 1 if there is one.
"""

import argparse
import re
import sys
from pathlib import Path, PurePosixPath

# Start of a header's name -> the one folder whose files, and their tests, may reach it. Fuzz targets may reach all.
LIBRARY_MODULES = {
    "spdlog/": "trainer/base",
    "openssl/": "trainer/base",
    "yaml-cpp/": "trainer/config",
    "pcre2.h": "trainer/text",
    "hdf5.h": "data",
    "CLI/": "trainer/app",
    "mpi.h": "trainer/comm",
    "nccl.h": "trainer/comm",
}
# A file or folder -> what no other code of the program may use, and what to use instead. Tests may use it.
OWN_PLACES = {
    "trainer/base/standard_output.cpp": (re.compile(r"std::cout|std::printf|std::puts|\bstdout\)|STDOUT_FILENO"), "print()"),
}
TORCH_HEADERS = ("torch/", "ATen/", "c10/")
MAX_LINES = 400

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')
TYPE = re.compile(r"^(?:struct|class|enum class) (\w+)\b(?!::)(?!.*;\s*(?://.*)?$)")  # a definition: no line that ends in ;
NAMESPACE = re.compile(r"^namespace (\w[\w:]*) \{")
TARGET = re.compile(r"foresight_(library|test|fuzz)\(\s*([\w/]+)([^)]*)\)")


def tests_of(folder):
    """The folder of a folder's tests."""
    return f"tests/{PurePosixPath(folder).name}"


class Targets:
    """The folders that have a CMake target, and what each links."""

    def __init__(self, root):
        self.links = {}  # folder -> names of the project's targets that it links
        self.with_torch = set()  # folders
        self.fuzz = set()  # folders
        self.folder_of = {}  # target name -> folder
        for cmake_file in sorted(root.glob("[!.]*/**/CMakeLists.txt")):
            place = cmake_file.parent.relative_to(root)
            if place.parts[0].startswith("build"):
                continue
            for kind, name, arguments in TARGET.findall(cmake_file.read_text()):
                folder = str(place) if kind == "library" else str(place / name)
                words = arguments.split()
                self.links[folder] = {word for word in words if word.startswith("foresight_")}
                if "TORCH" in words:
                    self.with_torch.add(folder)
                if kind == "library":
                    self.folder_of[name] = folder
                if kind == "fuzz":
                    self.fuzz.add(folder)

    def owner(self, file):
        """The innermost folder with a target that holds `file`; None for files that belong to no target (tests/catch.h)."""
        return next((str(parent) for parent in PurePosixPath(file).parents if str(parent) in self.links), None)

    def visible(self, folder):
        """`folder` and all that it links, directly or through others; for a folder of tests, their tests' helpers too."""
        reached, waiting = set(), [folder]
        while waiting:
            current = waiting.pop()
            if current not in reached:
                reached.add(current)
                waiting += [self.folder_of[name] for name in self.links[current] if name in self.folder_of]
        if folder.startswith("tests/"):
            reached |= {tests_of(below) for below in reached}
        return reached


class Sources:
    """Every .h and .cpp file below the folders that have targets, by its path from the root."""

    def __init__(self, root, targets):
        tops = {PurePosixPath(folder).parts[0] for folder in targets.links}
        files = [file for top in sorted(tops) for file in sorted((root / top).glob("**/*")) if file.suffix in (".h", ".cpp")]
        self.lines = {file.relative_to(root).as_posix(): file.read_text().splitlines() for file in files}
        self.includes = {path: list(self._includes(lines)) for path, lines in self.lines.items()}

    @staticmethod
    def _includes(lines):
        """(line number, whether in quotes, header) of every include."""
        for number, line in enumerate(lines, 1):
            match = INCLUDE.match(line)
            if match:
                yield number, match[1] == '"', match[2]

    def reached_libraries(self, path):
        """header -> line of `path` through which it is reached, for every <header>, also through the project's own headers."""
        found, seen = {}, {path}
        waiting = [(header, quoted, number) for number, quoted, header in self.includes[path]]
        while waiting:
            header, quoted, number = waiting.pop()
            if not quoted:
                found.setdefault(header, number)
            elif header in self.includes and header not in seen:
                seen.add(header)
                waiting += [(inner, inner_quoted, number) for _, inner_quoted, inner in self.includes[header]]
        return found


def check_includes(path, sources, targets):
    """Findings (line, text) about the project's own headers."""
    folder = targets.owner(path)
    visible = targets.visible(folder) if folder else None
    for number, quoted, header in sources.includes[path]:
        if not quoted:
            continue
        if header not in sources.includes:
            yield number, f'"{header}" is no file of the project; name it from the repository root, or write <{header}>'
            continue
        other = targets.owner(header)
        if visible is not None and other is not None and other not in visible:
            yield number, f'"{header}" belongs to {other}, which {folder} does not link'


def check_libraries(path, sources, targets):
    """Findings (line, text) about headers of other projects."""
    folder = targets.owner(path)
    if folder is None:
        return
    for header, number in sources.reached_libraries(path).items():
        module = next((m for start, m in LIBRARY_MODULES.items() if header.startswith(start)), None)
        if module and folder not in (module, tests_of(module), *targets.fuzz):
            yield number, f"reaches <{header}>, which only {module} may use"
        if header.startswith(TORCH_HEADERS) and folder not in targets.with_torch:
            yield number, f"reaches <{header}>, but the target of {folder} is without TORCH"


def types_of_headers(sources):
    """"namespace::Type" -> [(path, line)] of every type that a header defines at the start of a line."""
    places = {}
    for path, lines in sources.lines.items():
        if not path.endswith(".h") or path.startswith("tests/"):
            continue
        namespace = ""
        for number, line in enumerate(lines, 1):
            opened, defined = NAMESPACE.match(line), TYPE.match(line)
            namespace = opened[1] if opened else namespace
            if defined:
                places.setdefault(f"{namespace}::{defined[1]}", []).append((path, number))
    return places


def check_types(path, types):
    """Findings (line, text) about types with the same name, which the linker silently takes for one type."""
    for name, places in types.items():
        for other, number in places[1:]:
            if other == path:
                yield number, f"{name} is defined in {places[0][0]}:{places[0][1]} too: rename one"


def check_text(path, sources):
    """Findings (line, text) of checks that need only one file."""
    lines = sources.lines[path]
    if len(lines) > MAX_LINES:
        yield len(lines), f"{len(lines)} lines, at most {MAX_LINES}: split it by what it does"
    if path.endswith(".h") and "#pragma once" not in lines:
        yield 1, "a header without #pragma once"
    for place, (forbidden, instead) in OWN_PLACES.items():
        if path.startswith(("tests/", place)):
            continue
        for number, line in enumerate(lines, 1):
            if forbidden.search(line):
                yield number, f"only {place} may do this: use {instead}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=Path, default=Path(__file__).resolve().parent.parent)
    root = parser.parse_args().root
    targets = Targets(root)
    sources = Sources(root, targets)
    types = types_of_headers(sources)
    findings = 0
    for path in sources.lines:
        checks = (
            check_includes(path, sources, targets),
            check_libraries(path, sources, targets),
            check_types(path, types),
            check_text(path, sources),
        )
        for number, text in sorted(finding for check in checks for finding in check):
            print(f"{path}:{number}: {text}")
            findings += 1
    print(f"{len(sources.lines)} files, {findings} findings")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
