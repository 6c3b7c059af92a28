"""`dvc.yaml` says what the code needs, and is short enough to be read."""

import ast
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
from dvc.repo import Repo
from dvc.repo.reproduce import plan_repro
from ruamel.yaml import YAML

from potstill.core import paths
from potstill.core.params import SECTIONS, section
from tests.project import ROOT

SRC = ROOT / "src"
# Of the stages that run once for each teacher, what is done for each.
STAGES = {name: stage.get("do", stage) for name, stage in YAML(typ="safe").load(ROOT / "dvc.yaml")["stages"].items()}


def local_module(name):
    """The file of a module of ours, or None."""
    path = SRC / Path(*name.split("."))
    for candidate in (path.with_suffix(".py"), path / "__init__.py"):
        if candidate.is_file():
            return candidate
    return None


@cache
def imported(path):
    """Every local module that a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        for name in names:
            parts = name.split(".")
            for end in range(1, len(parts) + 1):  # importing a.b runs a/__init__.py too
                if module := local_module(".".join(parts[:end])):
                    found.add(module)
    return found


def needed(stage):
    """The modules that a stage's script reaches.

    Left out are the script, packages with only a docstring, and `potstill/__init__.py`, which has names for users.
    """
    script, names = SRC / f"{stage}.py", SRC / "potstill" / "__init__.py"
    found, waiting = {names}, [script]
    while waiting:
        path = waiting.pop()
        if path not in found:
            found.add(path)
            waiting.extend(imported(path))
    return {path for path in found if len(ast.parse(path.read_text()).body) > 1} - {
        script,
        SRC / "potstill" / "__init__.py",
    }


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_depends_on_the_folders_that_hold_what_it_imports(stage):
    listed = [ROOT / dep for dep in STAGES[stage]["deps"] if dep.startswith("src/")]
    assert SRC / f"{stage}.py" in listed
    folders = [path for path in listed if path != SRC / f"{stage}.py"]
    assert all(folder.is_dir() for folder in folders)
    modules = needed(stage)
    assert [module for module in modules if not any(module.is_relative_to(folder) for folder in folders)] == []
    assert [folder for folder in folders if not any(module.is_relative_to(folder) for module in modules)] == []


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_has_at_most_twelve_dependencies(stage):
    assert len(STAGES[stage]["deps"]) <= 12


def test_the_verdict_does_not_wait_for_the_ablation():
    # The order in which `dvc repro` runs stages that do not depend on each other is that of dvc.yaml.
    with Repo(ROOT) as repo:
        planned = [stage.addressing.split("@")[0] for stage in plan_repro(repo.index.graph)]
    assert planned[-3:] == ["evaluate", "ablate", "report"]


def test_dvc_yaml_has_at_most_300_lines():
    assert len((ROOT / "dvc.yaml").read_text().splitlines()) <= 300


@pytest.mark.parametrize("stage", STAGES)
def test_stage_script_section_and_metrics_share_a_word(stage):
    definition = STAGES[stage]
    assert definition["desc"]
    assert definition["cmd"].startswith(f"python src/{stage}.py")
    metrics = [path for entry in definition.get("metrics", []) for path in entry]
    assert all(path.startswith(f"metrics/{stage}/") for path in metrics)
    if stage != "ensemble":  # it reads `label`
        assert any(param == stage or param.startswith(f"{stage}.") for param in definition["params"])


def test_src_holds_the_stages_and_nothing_else():
    assert {path.stem for path in SRC.glob("*.py")} == set(STAGES)


def test_paths_are_those_of_the_library():
    outs = {
        re.sub(r"/\$.*", "", out if isinstance(out, str) else next(iter(out)))
        for definition in STAGES.values()
        for out in definition.get("outs", [])
    }
    declared = {out for out in outs if not out.startswith("metrics/")}
    known = (
        paths.PREPARED, paths.POOL, paths.LABEL, paths.ENSEMBLE, paths.BASELINE, paths.TEACHER, paths.STUDENT,
        paths.EXPORT, paths.EVALUATE,
    )  # fmt: skip
    assert declared == {str(path) for path in known}


@pytest.mark.parametrize("name", SECTIONS)
def test_the_committed_parameters_are_valid_and_each_has_a_comment(name):
    section(name).load(ROOT / "params.yaml")
    lines = (ROOT / "params.yaml").read_text().splitlines()
    explained = False
    for line in lines[lines.index(f"{name}:") + 1 :]:
        if line and not line.startswith(" "):
            break
        if line.strip().startswith("#"):
            explained = True
        elif not line.strip():
            explained = False
        elif re.match(r"  \w+:", line):
            assert explained, f"{name}: `{line.strip()}` has no comment above it"


def test_teacher_lists_every_parameter_but_the_list_of_checkpoints():
    listed = {param.removeprefix("teacher.").split(".")[0] for param in STAGES["teacher"]["params"]}
    assert listed == set(section("teacher").model_fields) - {"checkpoints"}


def test_importing_potstill_imports_neither_torch_nor_numpy():
    code = "import sys, potstill; sys.exit(bool({'torch', 'transformers', 'pandas', 'numpy'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": str(SRC)}).returncode == 0
