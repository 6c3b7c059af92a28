"""`potstill cross-validate`, with experiments that a stub has run; the real queue: `tests/pipeline/test_faults.py`."""

import json
import shutil
import subprocess

import numpy as np
import pytest
from ruamel.yaml import YAML

from potstill import cli
from potstill.commands import compare, cross_validate
from potstill.core.errors import PotstillError
from potstill.evaluate.compare import Model
from potstill.evaluate.compare import compare as score
from potstill.evaluate.predictions import Predictions
from tests.command import call
from tests.project import ROOT

KINDS = {"tfidf": "baseline", "hard": "baseline", "student": "student", "minilm": "teacher"}


def made(number, folder):
    """The files that an experiment leaves."""
    labels = np.arange(100) % 2
    wrong = {"student": 10, "minilm": 10}
    models = []
    for name, kind in KINDS.items():
        chosen = np.where(np.arange(100) < wrong.get(name, 40), 1 - labels, labels)
        models.append(Model(name, kind, 0.8 * np.eye(2)[chosen] + 0.1, np.empty((0, 2)), 100 + number, 900 + number))
    rows, _ = score(models, labels, "minilm", None)
    test = Predictions([f"{number} {i}" for i in range(100)], labels, {one.name: one.probabilities for one in models})
    test.save(folder / f"{number}.parquet")
    return {
        str(cross_validate.PREPARED): {"prepare": {"rows": {"unlabelled": 7}}},
        str(compare.SCORES): {"models": {row["name"]: row for row in rows}},
    }, (folder / f"{number}.parquet").read_bytes()


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copy(ROOT / "params.yaml", tmp_path)
    (tmp_path / "dvc.yaml").touch()
    found = {f"fold-{number}": made(number, tmp_path) for number in (1, 2)}
    monkeypatch.setattr(cross_validate, "enqueue", lambda number, folds: f"fold-{number}")
    monkeypatch.setattr(cross_validate.queue, "run", lambda args: None)
    monkeypatch.setattr(compare, "resolve", lambda name: name)
    monkeypatch.setattr(cross_validate, "at", lambda revision, path: json.dumps(found[revision][0][str(path)]))
    monkeypatch.setattr(compare, "cached", lambda revision, path: found[revision][1])
    return tmp_path


def test_the_folds_have_one_verdict(project, capsys):
    said = call(capsys, "cross-validate", "--folds", "2")
    assert "Queued fold-1, fold-2\n" in said
    assert "the student has a test accuracy of 90.0%, 102 parameters and 902 bytes." in said
    assert "| minilm | teacher | 90.00 (" in said
    found = json.loads((project / "metrics/cross-validate/verdict.json").read_text())
    assert found["decision"] in said.lower()
    assert found["experiments"] == ["fold-1", "fold-2"]
    assert f"  {found['next_steps'][0]['command']}\n" in said
    assert "| student | student | 90.00 (" in (project / "metrics/cross-validate/table.md").read_text()


def test_predictions_that_cannot_be_had_are_named(project, monkeypatch):
    monkeypatch.setattr(compare, "cached", lambda revision, path: None)
    with pytest.raises(PotstillError, match=r"fold-1: no data/evaluate/test.parquet in DVC's cache\. Run"):
        cross_validate.read("fold-1", "fold-1")


@pytest.mark.parametrize(("code", "out", "error"), [(1, "", "ERROR: x\nERROR: y\n"), (0, "nothing", "ERROR: y")])
def test_a_queue_that_refuses_is_named(monkeypatch, code, out, error):
    done = subprocess.CompletedProcess([], code, out, error)
    monkeypatch.setattr(cross_validate.subprocess, "run", lambda *command, **options: done)
    with pytest.raises(PotstillError, match="fold 2 cannot be queued: ERROR: y"):
        cross_validate.enqueue(2, 5)


def test_the_number_of_folds_is_that_of_the_parameters(project, capsys):
    params = YAML(typ="safe").load(project / "params.yaml")
    params["prepare"]["folds"] = 2
    YAML().dump(params, project / "params.yaml")
    assert "Queued fold-1, fold-2\n" in call(capsys, "cross-validate")


@pytest.mark.parametrize(
    ("section", "key", "value", "says"),
    [
        ("prepare", "label", None, "nothing to cross-validate"),
        ("teacher", "presets", {"minilm": {"checkpoint": "old", "learning_rate": 1e-4}}, "a fine-tuned teacher"),
    ],
)
def test_what_cannot_be_validated_is_refused_before_anything_is_queued(project, monkeypatch, section, key, value, says):
    monkeypatch.setattr(cross_validate, "enqueue", lambda *_: pytest.fail("an experiment was queued"))
    (project / "old").mkdir()
    (project / "old/teacher.json").touch()
    params = YAML(typ="safe").load(project / "params.yaml")
    params[section][key] = value
    params["prepare"]["label_names"] = None if section == "teacher" else ["a", "b"]
    YAML().dump(params, project / "params.yaml")
    with pytest.raises(PotstillError, match=says):
        cli.execute(["cross-validate"])
