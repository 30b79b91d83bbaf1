#!/usr/bin/env python3
"""Checks the pages (*.md) and citations of them in sources: lines, links, paths and headings.

usage: scripts/check_pages.py [--root FOLDER]

- Prose has at most 125 columns (tables, blocks of commands and notes on test data may have more), README.md at most 120 lines.
- A relative link leads to a file that exists, and its #anchor to a heading of that page.
- A path in `code` that begins with a folder of the repository exists, or is a pattern.
- A comment that cites a page and a "Heading" of it, as trainer/eviction/evicting_cache.h does, names a heading or the start of one.

Prints one line per finding, "path:line: what is wrong", and exits 1 if there is one.
"""
import argparse
import re
import subprocess
import sys
from pathlib import Path

COLUMNS = 125
README_LINES = 120
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
CODE = re.compile(r"`([^`]+)`")
PATH = re.compile(r"[\w.-]+(?:/[\w.-]+)+/?")
CITATION = re.compile(r'(docs/\w+\.md), ((?:"[^"]+"(?:, | and )?)+)')
# Folders that commands make.
MADE_BY_RUNS = ("build", "runs", ".venv")


def headings(page):
    """The titles of a page's headings; `#` in a block of commands begins none."""
    found, code = [], False
    for line in page.read_text().splitlines():
        code ^= line.startswith("```")
        if not code and (heading := re.match(r"#+ +(.*)", line)):
            found.append(heading[1].strip())
    return found


def anchor(title):
    """The #anchor of a heading, as GitHub and mkdocs make it."""
    return re.sub(r"\s+", "-", re.sub(r"[^\w\s-]", "", re.sub(r"[`*]", "", title)).strip().lower())


def prose(page):
    """(line number, line, whether it is prose) of a page; tables, blocks of commands and formulas are not prose."""
    fenced = False
    for number, line in enumerate(page.read_text().splitlines(), 1):
        if line.startswith("```"):
            fenced = not fenced
            yield number, line, False
        else:
            yield number, line, not (fenced or line.startswith(("|", "    ", "![")))


def link_fault(root, page, target):
    if "://" in target or target.startswith("mailto:"):
        return None
    name, _, fragment = target.partition("#")
    file = (page.parent / name).resolve() if name else page
    if not file.exists():
        return f"the link leads to {target}, which does not exist"
    if fragment and file.suffix == ".md" and fragment not in [anchor(title) for title in headings(file)]:
        return f"the link leads to {target}, but {file.relative_to(root)} has no such heading"
    return None


def path_fault(root, folders, text):
    """What is wrong with `text` of a page if it is a path that begins with a folder of the repository."""
    if not PATH.fullmatch(text) or text.split("/")[0] not in folders or text.startswith(MADE_BY_RUNS):
        return None
    # A header or source may be named without its ending: `trainer/model/few_rows`.
    if (root / text).exists() or any((root / text).parent.glob((root / text).name + ".*")):
        return None
    return f"`{text}` is not a file or folder of the repository"


def page_faults(root, page, folders):
    for number, line, is_prose in prose(page):
        if is_prose and len(line) > COLUMNS and page.relative_to(root).parts[0] != "tests":
            yield number, f"{len(line)} columns of prose, more than {COLUMNS}"
        if is_prose or line.startswith(("|", "![")):
            for target in LINK.findall(line):
                if fault := link_fault(root, page, target):
                    yield number, fault
            for text in CODE.findall(line):
                if fault := path_fault(root, folders, text):
                    yield number, fault


def citation_faults(root, file):
    # A citation may continue on the comment's next line.
    text = re.sub(r"\n[ \t]*(?:///?|#)?[ \t]*", "\n", file.read_text(errors="replace"))
    for match in CITATION.finditer(text.replace("\n", " ")):
        number = text.count("\n", 0, match.start()) + 1
        if not (root / match[1]).exists():
            yield number, f"{match[1]} is cited and does not exist"
            continue
        for cited in re.findall(r'"([^"]+)"', match[2]):
            if not any(title.startswith(cited) for title in headings(root / match[1])):
                yield number, f'{match[1]} has no heading "{cited}"'


def listed(root, *patterns):
    names = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--deduplicate", "--", *patterns],
                           cwd=root, capture_output=True, text=True, check=True).stdout.split("\0")
    return [root / name for name in names if name and (root / name).is_file()]


def findings(root):
    folders = {file.relative_to(root).parts[0] for file in listed(root)}
    for page in listed(root, "*.md"):
        for number, fault in page_faults(root, page, folders):
            yield f"{page.relative_to(root)}:{number}: {fault}"
    for file in listed(root, "*.h", "*.cpp", "*.py", "*.sh"):
        for number, fault in citation_faults(root, file):
            yield f"{file.relative_to(root)}:{number}: {fault}"
    lines = len((root / "README.md").read_text().splitlines())
    if lines > README_LINES:
        yield f"README.md:{lines}: {lines} lines, more than {README_LINES}"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--root", type=Path, default=Path(__file__).parents[1])
    found = list(findings(parser.parse_args().root.resolve()))
    print(*found, sep="\n", end="\n" if found else "")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
