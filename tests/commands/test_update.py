"""`potstill update`: what it keeps, and what it sets for the next run."""

import json

import pytest
from dvc.repo import Repo
from ruamel.yaml import YAML

from potstill import cli
from potstill.core import params
from potstill.core.errors import PotstillError
from potstill.core.files import sha256
from tests.project import ROOT, begin

pytestmark = pytest.mark.slow

RUNG = {
    "rung": "medium", "architecture": "bigru", "bytes": 9, "parameters": 9, "validation_accuracy": 0.9,
    "difference": 0.0, "difference_low": 0.0, "difference_high": 0.0, "status": "chosen", "note": None,
}  # fmt: skip


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project whose last run has a teacher and a student, and whose data have changed since."""
    begin(tmp_path, monkeypatch)
    (tmp_path / "params.yaml").write_text((ROOT / "params.yaml").read_text())
    stages = {"prepare": {"cmd": "true", "deps": ["own.csv"]}}
    (tmp_path / "dvc.yaml").write_text(json.dumps({"stages": stages}))
    (tmp_path / "own.csv").write_text("text,label\n")
    for name in ("minilm", "table"):
        (tmp_path / "models/teacher" / name).mkdir(parents=True)
    for name, kind in (("minilm", "checkpoint"), ("table", "table")):
        (tmp_path / "models/teacher" / name / "teacher.json").write_text(json.dumps({"kind": kind}))
    (tmp_path / "data/prepared").mkdir(parents=True)
    facts = {"labels": ["a", "b"], "rows": {"train": 1600}}
    (tmp_path / "data/prepared/dataset.json").write_text(json.dumps(facts))
    (tmp_path / "metrics/student").mkdir(parents=True)
    (tmp_path / "metrics/student/ladder.json").write_text(json.dumps([RUNG]))
    return tmp_path


def test_the_teacher_is_kept_and_named_with_its_hash(project, capsys):
    before = (project / "params.yaml").read_text().splitlines()
    cli.execute(["update", "--epochs", "3"])
    sha = sha256(project / "models/previous/minilm")
    assert sha == sha256(project / "models/teacher/minilm")
    assert (project / "models/previous.dvc").is_file()
    settings = params.read(project / "params.yaml")
    assert params.check(settings) == []
    assert settings["teacher"]["presets"]["minilm"] == {
        "checkpoint": "models/previous/minilm", "learning_rate": 1e-4, "sha256": sha, "epochs": 3,
    }  # fmt: skip
    assert settings["student"]["rung"] == "medium"
    after = (project / "params.yaml").read_text().splitlines()
    assert len(before) == len(after)
    assert sum(old != new for old, new in zip(before, after, strict=True)) == 2
    said = capsys.readouterr().out
    assert "params.yaml: teacher.presets.minilm.checkpoint=models/previous/minilm, " in said
    assert "; student.rung=medium\n" in said
    # Once more, after another run: the teacher of that is kept.
    (project / "models/teacher/minilm/more").write_text("x")
    cli.execute(["update"])
    settings = params.read(project / "params.yaml")["teacher"]["presets"]["minilm"]
    assert settings["sha256"] == sha256(project / "models/previous/minilm") != sha
    assert settings["epochs"] == 4  # half of 400 steps of 32 texts


def test_a_table_and_a_student_set_by_hand_stay(project, capsys):
    yaml = YAML(typ="safe", pure=True)
    content = yaml.load(project / "params.yaml")
    content["label"]["teachers"] = ["table"]
    content["student"]["hidden"] = 4
    yaml.dump(content, project / "params.yaml")
    cli.execute(["update"])
    assert not (project / "models/previous").exists()
    assert params.read(project / "params.yaml") == content
    assert "params.yaml: nothing to change" in capsys.readouterr().out


def test_what_was_adapted_to_the_texts_is_not_adapted_again(project):
    yaml = YAML(typ="safe", pure=True)
    content = yaml.load(project / "params.yaml")
    content["teacher"]["mlm_epochs"] = 3
    yaml.dump(content, project / "params.yaml")
    cli.execute(["update"])
    assert params.read(project / "params.yaml")["teacher"]["presets"]["minilm"]["mlm_epochs"] == 0


def test_texts_must_be_split_as_in_the_last_run(project):
    stages = {"prepare": {"cmd": "true", "deps": ["own.csv"], "params": ["prepare"]}}
    (project / "dvc.yaml").write_text(json.dumps({"stages": stages}))
    with Repo() as repo:
        repo.reproduce("prepare")
    (project / "own.csv").write_text("text,label\nnew,c\n")
    before = (project / "params.yaml").read_text()
    (project / "params.yaml").write_text(before.replace("test_share: 0.1", "test_share: 0.2"))
    with pytest.raises(PotstillError, match=r"prepare.test_share: .*\(found: 0.2; in the last run: 0.1\)"):
        cli.execute(["update"])
    assert not (project / "models/previous").exists()
    (project / "params.yaml").write_text(before)
    cli.execute(["update"])


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ("data", "the data are those of the last run"),
        ("label: label", "`prepare.label` is null"),
        ("models/teacher/minilm/teacher.json", "models/teacher/minilm/teacher.json"),
        ("metrics/student/ladder.json", "metrics/student/ladder.json"),
    ],
)
def test_without_a_run_or_new_data_nothing_changes(project, changed, says):
    before = (project / "params.yaml").read_text()
    if changed == "data":
        with Repo() as repo:
            repo.reproduce("prepare")
    elif changed == "label: label":
        before = before.replace(changed, "label: null").replace("label_names: null", "label_names: [a, b]")
        (project / "params.yaml").write_text(before)
    else:
        (project / changed).unlink()
    with pytest.raises(PotstillError, match=says):
        cli.execute(["update"])
    assert (project / "params.yaml").read_text() == before
    assert not (project / "models/previous").exists()
