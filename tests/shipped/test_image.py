"""The image, checked without a container engine: the build context, the build, and the command."""

import fnmatch
import json
import pathlib
import re
import shutil
import subprocess
import tempfile
import tomllib
import unittest

from options import ROOT, documented

MANIFEST = tomllib.loads((ROOT / "Cargo.toml").read_text())
# Without comments, and each instruction on one line.
DOCKERFILE = re.sub(r"^#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE).replace("\\\n", " ")
BUILD, IMAGE = re.split(r"^(?=FROM )", DOCKERFILE, flags=re.MULTILINE)[1:]


def instructions(stage, name):
    return re.findall(rf"^\s*{name} +(.*)$", stage, re.MULTILINE)


def ignored(path):
    """Whether .dockerignore keeps a path of the clone from the builder; the last pattern that matches it decides."""
    parents = [str(path), *map(str, path.parents)]
    kept_out = False
    for pattern in (ROOT / ".dockerignore").read_text().splitlines():
        exception, pattern = pattern.startswith("!"), pattern.removeprefix("!")
        if pattern and not pattern.startswith("#") and any(fnmatch.fnmatch(parent, pattern) for parent in parents):
            kept_out = not exception
    return kept_out


def context(folder):
    """Copies the files that the build stage copies; all must exist."""
    for copied in instructions(BUILD, "COPY"):
        *sources, target = copied.split()
        for source in sources:
            paths = [found.relative_to(ROOT) for found in [ROOT / source, *(ROOT / source).rglob("*")] if found.is_file()]
            paths = [path for path in paths if not ignored(path)]
            assert paths, f"expected `{source}` in what the builder gets, found it kept out or not there"
            for path in paths:
                to = folder / target / path.relative_to(source if (ROOT / source).is_dir() else ".")
                to.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(ROOT / path, to)


class Image(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.folder = pathlib.Path(scratch.name)
        context(self.folder)
        [self.build] = re.findall(r"cargo build [^;]*", BUILD)

    def test_the_texts_in_the_program_are_among_the_copied_files(self):
        included = re.compile(r'include_str!\((?:concat!\()?"([^"]+)"')
        for source in (self.folder / "src").rglob("*.rs"):
            if "tests" not in source.parts and source.name != "tests.rs":
                for path in included.findall(source.read_text()):
                    self.assertTrue((source.parent / path).exists(), f"{source.relative_to(self.folder)}: {path}")

    def test_cargo_finds_the_program_in_the_copied_files(self):
        command = ["cargo", "metadata", "--offline", "--no-deps", "--format-version=1"]
        found = subprocess.run(command, cwd=self.folder, capture_output=True, text=True)
        self.assertEqual(found.returncode, 0, found.stderr)
        [package] = json.loads(found.stdout)["packages"]
        [program] = [target for target in package["targets"] if "bin" in target["kind"] and target["name"] == "bridge"]
        self.assertIn("--bin bridge", self.build)
        self.assertIn("--features " + ",".join(program["required-features"]), self.build)
        self.assertRegex(BUILD, r"/release/bridge\b.* /image/")
        self.assertIn("/image/bridge /usr/local/bin/bridge", " ".join(instructions(IMAGE, "COPY")))

    def test_included_files_are_copied(self):
        included = []
        for source in (self.folder / "src").rglob("*.rs"):
            if "tests" in source.relative_to(self.folder).with_suffix("").parts:
                continue
            code = source.read_text().split("#[cfg(test)]")[0]
            included += [source.parent / name for name in re.findall(r'include_(?:str|bytes)!\(\s*"([^"]+)"', code)]
        self.assertGreater(len(included), 5)
        self.assertEqual([str(file) for file in included if not file.exists()], [])

    def test_the_lock_file_decides_and_the_compiler_is_new_enough(self):
        self.assertIn("--locked", self.build)
        self.assertIn("--release", self.build)
        self.assertTrue((self.folder / "Cargo.lock").exists())
        # It would make rustup fetch a compiler other than the tag's.
        self.assertFalse((self.folder / "rust-toolchain.toml").exists())
        version = re.search(r"rust:([\d.]+)-", BUILD)[1]
        numbers = lambda text: [int(number) for number in text.split(".")]
        self.assertGreaterEqual(numbers(version), numbers(MANIFEST["package"]["rust-version"]))

    def test_both_stages_have_the_same_debian(self):
        self.assertIn("bookworm", BUILD.splitlines()[0])
        self.assertIn("debian12", IMAGE.splitlines()[0])

    def test_it_runs_a_single_program_not_as_root(self):
        self.assertEqual(instructions(IMAGE, "RUN"), [])
        self.assertEqual(instructions(IMAGE, "ENTRYPOINT"), ['["bridge"]'])
        [user] = instructions(IMAGE, "USER")
        self.assertGreater(int(user.split(":")[0]), 0)
        self.assertIn(f"--chown={user} ", " ".join(instructions(IMAGE, "COPY")))

    def test_the_health_check_uses_the_listening_port(self):
        [variables] = instructions(IMAGE, "ENV")
        variables = dict(pair.split("=", 1) for pair in variables.split())
        [probe] = [json.loads(check.split("CMD ", 1)[1]) for check in instructions(IMAGE, "HEALTHCHECK")]
        self.assertEqual(probe[:2], ["bridge", "health"])
        port = re.search(r"127\.0\.0\.1:(\d+)/live$", probe[2])[1]
        self.assertEqual(instructions(IMAGE, "EXPOSE"), [port])
        for variable in ["LISTEN", "HEALTH_LISTEN"]:
            self.assertEqual(variables[variable], f"0.0.0.0:{port}")
        self.assertEqual(set(variables) - documented(), {"LISTEN", "STATE_DIRECTORY"})


if __name__ == "__main__":
    unittest.main()
