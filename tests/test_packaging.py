"""What is handed on: the source distribution, the pinned versions, and targets that make no environment unasked."""

import re
import shutil
import subprocess
import sys
import tarfile

import pytest

from tests import project
from tests.project import ENVIRONMENT, ROOT

JUNK = (
    ".dvc/cache/files/md5/ab/cd", ".dvc/config.local", ".dvc/tmp/lock", ".venv/bin/x.py", "data/mine/secret.csv",
    "metrics/compare/index.html", "models/export/student.pot", "src/__pycache__/x.cpython-311.pyc",
    "src/_potstill.abi3.so", "src/potstill/.file.part", "tests/__pycache__/x.cpython-311.pyc",
    "tests/js/node_modules/vega/index.js",
)  # fmt: skip
RESULTS = ("benchmarks/", "metrics/", ".ci/", ".github/", "dvc.lock")


@pytest.mark.slow
def test_the_source_distribution_holds_what_the_tests_need_and_nothing_else(tmp_path):
    sources = [name for name in project.sources() if not name.startswith(RESULTS)]
    for name in (*sources, *JUNK):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes((ROOT / name).read_bytes() if name in sources else b"")
    command = "import sys; from setuptools.build_meta import build_sdist; build_sdist('dist')"
    subprocess.run([sys.executable, "-c", command], cwd=tmp_path, check=True, capture_output=True)
    (archive,) = (tmp_path / "dist").iterdir()
    with tarfile.open(archive) as packed:
        names = {member.name.split("/", 1)[1] for member in packed if member.isfile()}
    made = {name for name in names if name in ("PKG-INFO", "setup.cfg") or ".egg-info/" in name}
    assert names - made == set(sources) - made


def test_versions_are_pinned_and_those_of_cuda_too():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pinned = dict(line.split("==") for line in lines if not line.startswith("#"))
    assert {"torch", "triton", "cuda-toolkit", "nvidia-cublas", "nvidia-cudnn-cu13"} <= pinned.keys()
    assert all(re.fullmatch(r"[0-9.]+(post[0-9]+)?", version) for version in pinned.values())  # of no index but PyPI


def make(folder, *arguments, path=None):
    """What make says, where no environment has been made."""
    environment = ENVIRONMENT | {"PATH": path or ENVIRONMENT["PATH"]}
    command = [shutil.which("make"), f"--file={ROOT / 'Makefile'}", "VENV=none", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


@pytest.mark.parametrize("target", ["compare", "format", "fresh", "pull", "push", "qr", "show", "verify"])
def test_what_does_not_train_or_test_makes_no_environment(tmp_path, target):
    for name in ("pyproject.toml", "constraints.txt"):
        (tmp_path / name).touch()
    assert "-m venv" not in make(tmp_path, "--dry-run", target).stdout
    assert "-m venv" in make(tmp_path, "--dry-run", "repro").stdout
    said = make(tmp_path, target, path=str(tmp_path))
    assert "error: no environment found: run make setup, or activate yours" in said.stderr
    assert said.returncode


def test_an_active_environment_is_used(tmp_path):
    assert make(tmp_path, "there").returncode == 0


def test_a_folder_with_a_blank_in_its_path_will_do(tmp_path):
    folder = tmp_path / "my project"
    folder.mkdir()
    for name in ("pyproject.toml", "constraints.txt"):
        (folder / name).touch()
    python = folder / "python"  # which makes an environment with itself in it
    python.write_text('#!/bin/sh\nif [ "$2" = venv ]; then mkdir -p "$3/bin" && cp "$0" "$3/bin/python"; fi\n')
    python.chmod(0o755)
    made = make(folder, "PYTHON=./python", "setup", "none/.servers", "lock")
    assert (made.returncode, made.stderr) == (0, "")
    assert (folder / "none" / ".ready").is_file()
    assert make(folder, "there").returncode == 0
