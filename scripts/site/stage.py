#!/usr/bin/env python3
"""Copies the pages of the documentation site, and the files that they link to, into a folder like the repository.

usage: stage.py FOLDER

The folder mirrors the repository, so that a link that works there works on the site. What a page links to and does not exist is not
copied; mkdocs then reports the link (scripts/docs.sh runs it strictly).
"""
import pathlib
import re
import shutil
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGES = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "data/scorers/README.md", "scripts/python/README.md"]
LINK = re.compile(r"\]\(([^)\s#]+)[^)]*\)")


def pages(root):
    """The pages of the site, relative to the repository."""
    return sorted([pathlib.PurePosixPath(name) for name in PAGES] +
                  [pathlib.PurePosixPath("docs", file.name) for file in (root / "docs").glob("*.md")])


def linked_files(root, page):
    """The files that a page links to and that exist, relative to the repository."""
    found = set()
    for target in LINK.findall((root / page).read_text()):
        file = (root / page).parent / target
        if "://" not in target and file.is_file():
            found.add(pathlib.PurePosixPath(file.resolve().relative_to(root)))
    return found


def stage(root, folder):
    shutil.rmtree(folder, ignore_errors=True)
    names = set(pages(root))
    for page in pages(root):
        names |= linked_files(root, page)
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(root / name, folder / name)
    shutil.copyfile(root / "scripts/site/site.css", folder / "site.css")


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1] in ("-h", "--help"):
        sys.exit(__doc__)
    stage(ROOT, pathlib.Path(sys.argv[1]))
