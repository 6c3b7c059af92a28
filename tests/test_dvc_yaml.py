import ast
import re
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from potstill import paths
from potstill.params.ablate import AblateParams
from potstill.params.baseline import BaselineParams
from potstill.params.evaluate import EvaluateParams
from potstill.params.export import ExportParams
from potstill.params.label import LabelParams
from potstill.params.network import NetworkParams
from potstill.params.pool import PoolParams
from potstill.params.prepare import PrepareParams
from potstill.params.report import ReportParams
from potstill.params.student import StudentParams
from potstill.params.teacher import TeacherParams
from project import ROOT

SRC = ROOT / "src"
# Of the stages that run once for each teacher, what is done for each.
STAGES = {name: stage.get("do", stage) for name, stage in YAML(typ="safe").load(ROOT / "dvc.yaml")["stages"].items()}
SECTIONS = {
    model.section: model
    for model in (
        PrepareParams, BaselineParams, TeacherParams, PoolParams, LabelParams, StudentParams, ExportParams,
        AblateParams, EvaluateParams, ReportParams,
    )
}  # fmt: skip


def local_module(name):
    """The file of a module of ours, or None."""
    path = SRC / Path(*name.split("."))
    for candidate in (path.with_suffix(".py"), path / "__init__.py"):
        if candidate.is_file():
            return candidate
    return None


def imported(path):
    """Every local module that a file imports, anywhere in it but for type checkers."""
    tree = ast.parse(path.read_text())
    blocks = [node for node in ast.walk(tree) if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"]
    typing_only = {node for block in blocks for node in ast.walk(block)}
    for node in ast.walk(tree):
        if node in typing_only:
            continue
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        for name in names:
            parts = name.split(".")
            for end in range(1, len(parts) + 1):  # importing a.b runs a/__init__.py too
                if module := local_module(".".join(parts[:end])):
                    yield module


def needed(script):
    """A script, the local modules it reaches, and the data files that lie beside them and that they name."""
    found, waiting = set(), [script]
    while waiting:
        path = waiting.pop()
        if path not in found:
            found.add(path)
            waiting.extend(imported(path))
    beside = {f for path in found for f in path.parent.iterdir() if f.suffix in (".json", ".html", ".md")}
    data: set[Path] = set()
    while new := {f for f in beside - data if any(f'"{f.name}"' in path.read_text() for path in found | data)}:
        data |= new
    return {str(path.relative_to(ROOT)) for path in found | data}


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_depends_on_exactly_the_modules_it_imports(stage):
    listed = [dep for dep in STAGES[stage]["deps"] if dep.startswith("src/")]
    assert sorted(listed) == sorted(needed(SRC / f"{stage}.py"))


@pytest.mark.parametrize("stage", STAGES)
def test_stage_script_section_and_metrics_share_a_word(stage):
    definition = STAGES[stage]
    assert definition["desc"]
    assert definition["cmd"].startswith(f"python src/{stage}.py")
    metrics = [path for entry in definition.get("metrics", []) for path in entry]
    assert all(path.startswith(f"metrics/{stage}/") for path in metrics)
    if stage != "transfer":  # it reads `label`
        assert any(param == stage or param.startswith(f"{stage}.") for param in definition["params"])


def test_paths_are_those_of_the_library():
    outs = {
        re.sub(r"/\$.*", "", out if isinstance(out, str) else next(iter(out)))
        for definition in STAGES.values()
        for out in definition.get("outs", [])
    }
    declared = {out for out in outs if not out.startswith("metrics/")}
    known = (
        paths.PREPARED,
        paths.POOL,
        paths.LABEL,
        paths.TRANSFER,
        paths.BASELINE,
        paths.TEACHER,
        paths.STUDENT,
        paths.EXPORT,
        paths.EVALUATE,
    )
    assert declared == {str(path) for path in known}


@pytest.mark.parametrize("section", SECTIONS)
def test_the_committed_parameters_are_valid_and_each_has_a_comment(section):
    SECTIONS[section].load(ROOT / "params.yaml")
    lines = (ROOT / "params.yaml").read_text().splitlines()
    start = lines.index(f"{section}:")
    explained = False
    for line in lines[start + 1 :]:
        if line and not line.startswith(" "):
            break
        if line.strip().startswith("#"):
            explained = True
        elif not line.strip():
            explained = False
        elif re.match(r"  \w+:", line):
            assert explained, f"{section}: `{line.strip()}` has no comment above it"


@pytest.mark.parametrize("section", SECTIONS)
def test_the_readme_names_every_parameter(section):
    text = (ROOT / "README.md").read_text()
    row = next(line for line in text.splitlines() if line.startswith(f"| {section} | ") and "`" in line)
    shared = set(NetworkParams.model_fields) if section == "baseline" else set()
    assert {name for name in SECTIONS[section].model_fields if f"`{name}`" not in row} <= shared


def test_teacher_lists_every_parameter_but_the_list_of_checkpoints():
    listed = {param.removeprefix("teacher.").split(".")[0] for param in STAGES["teacher"]["params"]}
    assert listed == set(TeacherParams.model_fields) - {"checkpoints"}


def test_importing_potstill_imports_neither_torch_nor_numpy():
    import subprocess
    import sys

    code = "import sys, potstill; sys.exit(bool({'torch', 'transformers', 'pandas', 'numpy'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": str(SRC)}).returncode == 0
