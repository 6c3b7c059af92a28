"""What is handed on: the source distribution, the pinned versions, and targets that make no environment unasked."""

import json
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from importlib import metadata

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from ruamel.yaml import YAML

import potstill
from potstill.commands import serve
from potstill.terminal import Parser
from tests import project
from tests.project import ENVIRONMENT, ROOT
from tools import release

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


@pytest.mark.slow
def test_one_wheel_serves_all_versions_of_python_and_tells_type_checkers(tmp_path):
    for name in project.sources():
        if name.startswith("src/") or name in ("pyproject.toml", "README.md", "LICENSE", "MANIFEST.in"):
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, tmp_path / name)
    command = "import sys; from setuptools.build_meta import build_wheel; build_wheel('dist')"
    subprocess.run([sys.executable, "-c", command], cwd=tmp_path, check=True, capture_output=True)
    (wheel,) = (tmp_path / "dist").iterdir()
    assert re.fullmatch(r"potstill-[\d.]+-cp311-abi3-\w+\.whl", wheel.name)
    names = zipfile.ZipFile(wheel).namelist()
    assert {"potstill/py.typed", "potstill/web/student.js", "_potstill.abi3.so"} <= set(names)


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


def requirements(*extras):
    """Return the packages that potstill with extras brings, by what is installed here."""
    found, waiting = set(), [("potstill", frozenset(extras))]
    while waiting:
        name, chosen = waiting.pop()
        if (name, chosen) in found:
            continue
        found.add((name, chosen))
        if name == "potstill":
            project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
            needed = [*project["dependencies"], *(line for extra in chosen for line in optional(project, extra))]
        else:
            needed = metadata.requires(name) or []
        for line in needed:
            requirement = Requirement(line)
            if not requirement.marker or any(requirement.marker.evaluate({"extra": extra}) for extra in ("", *chosen)):
                waiting.append((canonicalize_name(requirement.name), frozenset(requirement.extras)))
    return {name for name, _ in found}


def optional(project, extra):
    return project["optional-dependencies"][extra]


def test_the_image_of_the_service_has_no_torch_and_listens_on_all_addresses_only_if_told():
    image = (ROOT / "Dockerfile").read_text()
    [extras] = re.findall(r'"\$wheel\[(.*)\]"', image)
    installed = requirements(*extras.split(","))
    assert {"fastapi", "numpy", "onnxruntime", "uvicorn"} <= installed
    assert not {"torch", "transformers", "pandas", "dvc"} & installed
    assert requirements() == {"potstill", "numpy"}
    arguments = YAML(typ="safe").load(ROOT / "compose.yaml")["services"]["potstill"]["command"]
    parser = Parser()
    serve.arguments(parser)
    assert parser.parse_args(["student.pot"]).host == "127.0.0.1"
    for given in (json.loads(re.search("^CMD (.*)", image, re.MULTILINE)[1]), arguments):
        args = parser.parse_args(given)
        assert (str(args.model), args.host, args.port) == ("/models/student.pot", "0.0.0.0", 8000)
    assert args.allowed_host == ["potstill"]  # so that other services of the file reach it by its name


def test_what_the_image_copies_is_not_ignored():
    image, ignored = (ROOT / "Dockerfile").read_text(), (ROOT / ".dockerignore").read_text().splitlines()
    copied = [name for line in re.findall(r"^COPY (?!--from)(.*) \S+$", image, re.MULTILINE) for name in line.split()]
    assert all(any(rule.startswith(f"!{name}") for rule in ignored) for name in copied)


def test_no_message_tells_anybody_to_install_potstill_from_an_index():
    """The name on PyPI may belong to somebody else."""
    for name in project.sources():
        if name.startswith(("src/", "docs/", "README", "CONTRIBUTING", "recipes/", "Makefile", "models/")):
            assert not re.search(rb"pip3? install[^\n`]* ['\"]?potstill(?![\w/-])", (ROOT / name).read_bytes()), name


def test_a_release_is_of_the_version_and_in_the_changelog():
    changelog = "# Changelog\n\n## Unreleased\n\n- b\n\n## 0.2.0 (2026-12-01)\n\n- a\n- c\n\n## 0.1.0\n\n- first\n"
    package = '__version__ = "0.2.0"'
    assert release.notes("v0.2.0", changelog, package) == "- a\n- c"
    with pytest.raises(SystemExit, match=r"__init__.py: not version 0.1.0. Set __version__"):
        release.notes("v0.1.0", changelog, package)
    with pytest.raises(SystemExit, match=r"no section '## 0.3.0'"):
        release.notes("v0.3.0", changelog, '__version__ = "0.3.0"')
    assert re.search("^## Unreleased|^## " + re.escape(potstill.__version__), (ROOT / "CHANGELOG.md").read_text(), re.M)
