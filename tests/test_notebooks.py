"""The notebooks of docs/notebooks, with few texts."""

import json
import re
import subprocess
import sys

import pytest

from tests.project import ENVIRONMENT, ROOT

pytestmark = pytest.mark.slow

NOTEBOOKS = ROOT / "docs" / "notebooks"
SETTINGS = {
    "own-tickets": "TRAIN, VALIDATION, TEST, UNLABELLED = 240, 60, 60, 200",
    "why-distillation-works": "SHARES, LABEL_SHARES = (0.3, 1.0), (0.3, 1.0)",
}


def cells(name):
    return [
        (cell, "".join(cell["source"]))
        for cell in json.loads((NOTEBOOKS / f"{name}.ipynb").read_text("utf-8"))["cells"]
        if cell["cell_type"] == "code"
    ]


def program(name):
    """Return a notebook as a program of Python; the cell with the tag `parameters` is replaced."""
    lines = []
    for cell, source in cells(name):
        if "parameters" in cell["metadata"].get("tags", ()):
            source = SETTINGS[name]
        if source.startswith("%%bash\n"):
            commands = source.removeprefix("%%bash\n")
            source = f"import subprocess\nsubprocess.run(['bash', '-ec', {commands!r}], check=True)"
        lines.append(source)
    return "\n".join(lines)


def execute(name, project):
    """Run a notebook where Jupyter does, in its folder."""
    done = subprocess.run(
        [sys.executable, "-c", program(name)], cwd=project / "docs/notebooks",
        env=ENVIRONMENT | {"PYTHONPATH": str(project / "src"), "MPLBACKEND": "agg"}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout


def test_all_are_tested_and_hold_no_output():
    assert {path.stem for path in NOTEBOOKS.glob("*.ipynb")} == set(SETTINGS)
    for name in SETTINGS:
        assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell, _ in cells(name))


def test_from_a_csv_file_to_a_report(pulled):
    (command,) = [source for _, source in cells("own-tickets") if source.startswith("%%bash")]
    assert command.removeprefix("%%bash\n") in (ROOT / "README.md").read_text("utf-8")
    output = execute("own-tickets", pulled)
    verdict = json.loads((pulled / "metrics/evaluate/verdict.json").read_text())
    assert f"{verdict['decision'].capitalize()}: the student has a test accuracy of" in output
    assert all(step["command"] in output for step in verdict["next_steps"])
    prepared = json.loads((pulled / "metrics/prepare/metrics.json").read_text())["prepare"]
    assert prepared["rows"]["train"] <= 240
    assert "i was so startled" in output.splitlines()[-1]


def test_why_distillation_works(pulled):
    found = re.findall(r"^(.*): .*% with .* texts$", execute("why-distillation-works", pulled), re.MULTILINE)
    assert found == ["hard labels of people", "hard labels of the teacher", "soft labels of the teacher"]
