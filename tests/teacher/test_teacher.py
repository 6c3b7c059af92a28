"""The stage `teacher`."""

import importlib
import importlib.util
import json
import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import torch
from ruamel.yaml import YAML
from safetensors.torch import load_file

from potstill.core import paths
from potstill.core.errors import PotstillError
from potstill.core.files import sha256
from potstill.teacher import finetune, mlm
from tests.project import ENVIRONMENT, ROOT
from tests.settings import TEACHER
from tests.teachers import Killed


def test_what_an_llm_does_not_answer_is_wrong_and_what_a_table_lacks_is_left_out(data):
    stage = importlib.import_module("teacher")
    logits = np.eye(3)[data.targets("validation")]
    right = {"validation_accuracy": 1.0, "validation_macro_f1": 1.0}
    assert stage.score(logits, data, every=True) == right
    logits[:15] = np.nan  # of 60
    assert stage.score(logits, data, every=False) == right
    found = stage.score(logits, data, every=True)
    assert found["validation_accuracy"] == 0.75
    assert 0.75 < found["validation_macro_f1"] < 1
    assert stage.score(logits * np.nan, data, every=True)["validation_accuracy"] is None


@pytest.mark.slow
def test_the_stage_has_one_writer(bert, data, tmp_path):
    data.save(tmp_path / paths.PREPARED)
    section = TEACHER | {
        "presets": {"mine": {"checkpoint": str(bert), "learning_rate": 3e-3}},
        "processes": 2,
        "mlm_epochs": 1,
        "max_length": 6,
        "max_windows": 4,
    }
    YAML(typ="safe").dump({"teacher": section}, tmp_path / paths.PARAMS)
    command = [sys.executable, ROOT / "src/teacher.py", "mine"]
    done = subprocess.run(command, cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("epoch 1, loss") == 1
    assert done.stdout.count("masked-language model, epoch 1") == 1
    metrics = tmp_path / "metrics/teacher/mine"
    assert pd.read_csv(metrics / "plots/metrics/loss.tsv", sep="\t")["step"].tolist() == [1, 2, 3]
    facts = json.loads((metrics / "metrics.json").read_text())["mine"]
    assert facts["windowed"] > 0.5
    assert "windows. Set `teacher.max_windows`" in done.stdout
    # The two processes put the windows of each text together, in training as afterwards.
    logged = pd.read_csv(metrics / "plots/metrics/validation_accuracy.tsv", sep="\t")["validation_accuracy"].iloc[-1]
    assert logged == pytest.approx(facts["validation_accuracy"], abs=1e-6)
    assert json.loads((tmp_path / "models/teacher/mine/teacher.json").read_text())["max_windows"] == 4
    assert load_file(tmp_path / "models/teacher/mine/model.safetensors")
    assert not list((tmp_path / ".potstill/teacher").iterdir())


@pytest.fixture
def stage(bert, data, tmp_path, monkeypatch):
    """The stage's script in a folder of its own: call it with changes to its settings."""
    spec = importlib.util.spec_from_file_location("teacher_stage", ROOT / "src/teacher.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    monkeypatch.setattr(sys, "argv", ["teacher.py", "mine"])
    monkeypatch.chdir(tmp_path)
    data.save(paths.PREPARED)

    def run(**changes):
        section = TEACHER | {"presets": {"mine": {"checkpoint": str(bert)}}, "epochs": 1} | changes
        YAML(typ="safe").dump({"teacher": section}, paths.PARAMS)
        script.main()

    return run


@pytest.mark.slow
def test_killed_while_it_was_finetuned_a_teacher_is_not_adapted_again(stage, monkeypatch):
    seen = []

    def kill(model, *_):
        seen.append(model.state_dict())
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(finetune, "finetune", kill)
        with pytest.raises(Killed):
            stage(mlm_epochs=2)
        patched.setattr(mlm, "_Trainer", None)
        with pytest.raises(Killed):
            stage(mlm_epochs=2)
        shutil.rmtree(paths.SCRATCH)
        with pytest.raises(TypeError):
            stage(mlm_epochs=2)  # what was adapted is gone
    assert not (paths.TEACHER / "mine").exists()
    assert all(torch.equal(value, seen[1][name]) for name, value in seen[0].items())


@pytest.mark.slow
def test_adapted_or_not_a_teacher_has_the_same_files(stage, bert, data, monkeypatch, capsys):
    stage(mlm_epochs=1)
    folder = paths.TEACHER / "mine"
    files = {path.name for path in folder.iterdir()}
    facts = json.loads((folder / "config.json").read_text())
    assert not any(paths.SCRATCH.rglob("*.safetensors"))
    note = f"note: DVC does not track {bert}. After changing it, run `dvc repro -f -s teacher@mine` and `dvc repro`"
    assert note in capsys.readouterr().out
    written = json.loads((paths.METRICS / "teacher/mine/metrics.json").read_text())["mine"]
    assert written["input_sha256"] == sha256(bert)
    monkeypatch.setattr(mlm, "train", None)  # not called where there is nothing to do
    stage(mlm_epochs=3, presets={"mine": {"checkpoint": str(bert), "mlm_epochs": 0}})
    assert {path.name for path in folder.iterdir()} == files
    assert json.loads((folder / "config.json").read_text()) == facts
    shutil.copytree(folder, "previous")
    capsys.readouterr()
    stage(presets={"mine": {"checkpoint": "previous", "sha256": sha256(folder), "epochs": 2}})
    said = capsys.readouterr().out
    assert "previous: training continues; new classes: none" in said
    assert "epoch 2, loss" in said
    assert "DVC does not track" not in said


def test_a_table_is_not_adapted(stage, tmp_path):
    (tmp_path / "llm.csv").write_text("text,joy,sadness,anger\nx,1,0,0\n")
    message = r"llm.csv: a table cannot be trained.*`mlm_epochs: 0` in teacher.presets.mine"
    with pytest.raises(PotstillError, match=message):
        stage(mlm_epochs=1, presets={"mine": {"checkpoint": "llm.csv"}})
    assert not (paths.TEACHER / "mine").exists()


def test_a_table_of_other_texts_is_refused(stage, tmp_path):
    (tmp_path / "llm.csv").write_text("text,joy,sadness,anger\nx,1,0,0\n")
    with pytest.raises(
        PotstillError, match=r"llm.csv has 1 rows, and none of them is a text of train, validation, test"
    ):
        stage(presets={"mine": {"checkpoint": "llm.csv"}})
    assert not (paths.TEACHER / "mine").exists()
