"""Tests of scripts/check_pages.py on a repository of its own."""

import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

import check_pages  # noqa: E402


class Pages(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.root = Path(temporary.name).resolve()
        subprocess.run(["git", "init", "-q", self.root], check=True)
        self.write("README.md", "# A page\nSome prose.\n")
        self.write("docs/method.md", "# The method\n## The cache: what is held\n## A `key` of two words\n")

    def write(self, name, text):
        (self.root / name).parent.mkdir(parents=True, exist_ok=True)
        (self.root / name).write_text(text)

    def found(self):
        return list(check_pages.findings(self.root))

    def test_a_page_without_faults_gives_no_finding(self):
        self.write("README.md", "See [the method](docs/method.md#the-cache-what-is-held), [a key](docs/method.md#a-key-of-two-words),\n"
                                "[up](#top), `docs/method.md`\nand <https://example.org>.\n# Top\n")
        self.assertEqual(self.found(), [])

    def test_links_lead_to_files_and_headings(self):
        self.write("docs/a.md", "[gone](gone.md)\n\n| [cell](method.md#nowhere) |\n[here](#missing)\n")
        self.assertEqual(self.found(), [
            "docs/a.md:1: the link leads to gone.md, which does not exist",
            "docs/a.md:3: the link leads to method.md#nowhere, but docs/method.md has no such heading",
            "docs/a.md:4: the link leads to #missing, but docs/a.md has no such heading"])

    def test_a_heading_in_a_block_of_commands_is_none(self):
        self.write("docs/a.md", "```\n# Top\n```\n[here](#top)\n")
        self.assertEqual(len(self.found()), 1)

    def test_prose_has_a_width_and_tables_and_commands_have_none(self):
        wide = "word " * 26
        self.write("docs/a.md", f"{wide}\n| {wide} |\n```\n{wide}\n```\n    {wide}\n")
        self.assertEqual(self.found(), ["docs/a.md:1: 130 columns of prose, more than 125"])

    def test_paths_in_code_exist(self):
        self.write("docs/a.md", "`docs/method.md` `docs/method` `docs/gone.cpp` `runs/made/later` `a/b` `docs/*.md`\n")
        self.assertEqual(self.found(), ["docs/a.md:1: `docs/gone.cpp` is not a file or folder of the repository"])

    def test_citations_name_pages_and_headings(self):
        page, gone = "docs/method.md", "docs/b.md"
        self.write("a.cpp", f'// Right: {page}, "The cache" and\n// "A `key`".\n\n/// {page}, "The caches". {gone}, "X".\n')
        self.assertEqual(self.found(), ['a.cpp:4: docs/method.md has no heading "The caches"', "a.cpp:4: docs/b.md is cited and does not exist"])

    def test_the_readme_is_short(self):
        self.write("README.md", "line\n" * 121)
        self.assertEqual(self.found(), ["README.md:121: 121 lines, more than 120"])


if __name__ == "__main__":
    unittest.main()
