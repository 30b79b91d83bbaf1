"""scripts/docker/Dockerfile, checked without docker: the files, scripts and variables that it uses must exist."""
import pathlib
import re
import subprocess
import unittest

ROOT = pathlib.Path(__file__).parents[2]
DOCKERFILE = (ROOT / "scripts/docker/Dockerfile").read_text()


def instructions():
    """(keyword, arguments) of each instruction, continued lines joined."""
    text = re.sub(r"\\\n", " ", "\n".join(line for line in DOCKERFILE.splitlines() if not line.startswith("#")))
    return [tuple(line.split(None, 1)) for line in text.splitlines() if line.strip()]


class Dockerfile(unittest.TestCase):
    def test_every_copied_path_is_in_the_repository(self):
        tracked = subprocess.run(["git", "-C", ROOT, "ls-files", "--cached", "--others", "--exclude-standard"], capture_output=True,
                                 text=True, check=True).stdout.split()
        folders = {str(parent) for name in tracked for parent in pathlib.PurePosixPath(name).parents}
        ignored = (ROOT / "scripts/docker/Dockerfile.dockerignore").read_text().split()
        copied = [source for keyword, rest in instructions() if keyword == "COPY" for source in rest.split()[:-1]]
        self.assertGreater(len(copied), 8)
        for source in copied:
            self.assertTrue(source in tracked or source in folders, source)
            self.assertNotIn(source, ignored)

    def test_every_folder_that_the_build_adds_is_copied(self):
        copied = {source for keyword, rest in instructions() if keyword == "COPY" for source in rest.split()[:-1]}
        cmake = (ROOT / "CMakeLists.txt").read_text()
        for folder in re.findall(r"add_subdirectory\(([\w/]+)\)", cmake):
            if folder != "tests":  # FORESIGHT_TESTS=OFF
                self.assertIn(folder.split("/")[0], copied)
        install = (ROOT / "scripts/cmake/foresight_install.cmake").read_text()
        for folder in re.findall(r"install\(DIRECTORY (\w+)", install) + re.findall(r"[A-Z]+\.md|LICENSE", install):
            self.assertIn(folder, copied)

    def test_scripts_and_options_that_it_names_exist(self):
        commands = " ".join(rest for keyword, rest in instructions() if keyword == "RUN")
        for script in re.findall(r"scripts/\S+\.sh", commands):
            self.assertTrue((ROOT / script).stat().st_mode & 0o100, script)
        declared = (ROOT / "CMakeLists.txt").read_text()
        for option in re.findall(r"-D(\w+)=", commands):
            self.assertIn(option, declared)
        self.assertIn("COMPONENT program", (ROOT / "scripts/cmake/foresight_install.cmake").read_text())

    def test_the_image_has_the_toolkit_that_the_pinned_torch_is_for(self):
        image = re.search(r"ARG CUDA_IMAGE=nvidia/cuda:(\d+)\.(\d+)", DOCKERFILE)
        decisions = (ROOT / "docs/decisions.md").read_text()
        self.assertIn(f"CUDA {image[1]}.{image[2]}", decisions)

    def test_the_program_is_what_a_container_runs(self):
        self.assertIn(("ENTRYPOINT", '["foresight"]'), instructions())


if __name__ == "__main__":
    unittest.main()
