import importlib.util
import json
import shutil
import sys

import numpy as np
import pytest
import torch
from ruamel.yaml import YAML
from transformers import AutoModelForMaskedLM, DataCollatorForLanguageModeling

from potstill.core import paths
from potstill.core.errors import PotstillError
from potstill.core.files import sha256
from potstill.scoring import pretrained
from potstill.teacher import finetune, mlm
from tests.conftest import make_checkpoint
from tests.project import ROOT
from tests.teacher.test_finetune import SETTINGS, settings


class Killed(Exception):
    pass


def adapted(source, data, scratch, log=lambda epoch: None):
    """The folder of a checkpoint trained for three epochs on the train texts."""
    return mlm.train(str(source), data.train["text"].tolist(), settings(mlm_epochs=3), scratch, log)


def weights(folder, labels=None):
    return pretrained.load(str(folder), labels)[0].state_dict()


def test_adapting_trains_the_base_and_nothing_else(bert, data, tmp_path):
    epochs = []
    folder = adapted(bert, data, tmp_path, epochs.append)
    assert [epoch["epoch"] for epoch in epochs] == [1, 2, 3]
    assert epochs[-1]["loss"] < epochs[0]["loss"]

    before, after = weights(bert, data.labels), weights(folder, data.labels)
    assert {name: value.shape for name, value in before.items()} == {name: value.shape for name, value in after.items()}
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert {name for name in changed if not name.startswith("bert.encoder") and "embeddings" not in name} == set()
    assert len([name for name in changed if name.startswith("bert.encoder")]) > 10
    assert sorted(path.name for path in tmp_path.iterdir()) == ["adapted", "sha256-of-adapted"]


@pytest.mark.slow
def test_an_interrupted_adaptation_goes_on_from_its_last_pass(bert, data, tmp_path):
    def kill(epoch):
        if epoch["epoch"] == 2:
            raise Killed

    with pytest.raises(Killed):
        adapted(bert, data, tmp_path / "killed", kill)
    assert not (tmp_path / "killed/adapted").exists()
    epochs = []
    resumed = weights(adapted(bert, data, tmp_path / "killed", epochs.append))
    assert [epoch["epoch"] for epoch in epochs] == [2, 3]
    for name, value in weights(adapted(bert, data, tmp_path / "whole")).items():
        np.testing.assert_allclose(resumed[name], value, atol=1e-5, err_msg=name)


@pytest.mark.parametrize("kind", ["bert", "roberta", "distilbert"])
def test_the_loss_is_the_models_own_without_its_cost(kind, data, tmp_path):
    texts = data.train["text"].tolist()
    source = make_checkpoint(kind, tmp_path / "checkpoint", texts)
    model, tokenizer = pretrained.load_as(AutoModelForMaskedLM, "a masked-language model", str(source), 0)
    collate = DataCollatorForLanguageModeling(tokenizer, mlm_probability=0.15)
    batch = collate(pretrained.encode(tokenizer, texts[:32], 32)[0])
    trainer = mlm._Trainer(model=model.eval(), args=finetune.training_arguments(settings(), tmp_path / "scratch"))
    assert trainer.compute_loss(model, dict(batch)).item() == pytest.approx(model(**batch).loss.item(), rel=1e-5)
    nothing = batch | {"labels": torch.full_like(batch["labels"], mlm.IGNORED)}
    assert trainer.compute_loss(model, nothing).item() == 0


@pytest.mark.parametrize("kind", ["t5", "xlnet"])
def test_an_architecture_without_a_masked_language_model_head_is_refused(kind, data, tmp_path):
    source = make_checkpoint(kind, tmp_path / "checkpoint", data.train["text"].tolist())
    with pytest.raises(PotstillError, match=f"{kind} has no masked-language-model head. Set `mlm_epochs: 0` in its"):
        adapted(source, data, tmp_path / "scratch")
    assert not (tmp_path / "scratch").exists()


@pytest.fixture
def stage(bert, data, tmp_path, monkeypatch):
    """The stage's script in a folder of its own: call it with changes to its settings."""
    spec = importlib.util.spec_from_file_location("teacher_stage", ROOT / "src/teacher.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    monkeypatch.setattr(script, "throughput", lambda *_: 1.0)
    monkeypatch.setattr(sys, "argv", ["teacher.py", "mine"])
    monkeypatch.chdir(tmp_path)
    data.save(paths.PREPARED)

    def run(**changes):
        section = SETTINGS | {"presets": {"mine": {"checkpoint": str(bert)}}, "epochs": 1} | changes
        YAML(typ="safe").dump({"teacher": section}, paths.PARAMS)
        script.main()

    return run


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
    note = f"note: DVC does not watch {bert}: after changing it, run `dvc repro -f -s teacher@mine` and `dvc repro`"
    assert note in capsys.readouterr().out
    written = json.loads((paths.METRICS / "teacher/mine/metrics.json").read_text())["mine"]
    assert written["input_sha256"] == sha256(bert)
    monkeypatch.setattr(mlm, "train", None)  # not called where there is nothing to do
    stage(mlm_epochs=3, presets={"mine": {"checkpoint": str(bert), "mlm_epochs": 0}})
    assert {path.name for path in folder.iterdir()} == files
    assert json.loads((folder / "config.json").read_text()) == facts


def test_a_table_is_not_adapted(stage, tmp_path):
    (tmp_path / "llm.csv").write_text("text,joy,sadness,anger\nx,1,0,0\n")
    with pytest.raises(
        PotstillError, match=r"llm.csv: a table cannot be trained.*`mlm_epochs: 0` in teacher.presets.mine"
    ):
        stage(mlm_epochs=1, presets={"mine": {"checkpoint": "llm.csv"}})
    assert not (paths.TEACHER / "mine").exists()


def test_a_table_of_other_texts_is_refused(stage, tmp_path):
    (tmp_path / "llm.csv").write_text("text,joy,sadness,anger\nx,1,0,0\n")
    with pytest.raises(
        PotstillError, match=r"llm.csv has 1 rows, and none of them is a text of train, validation, test"
    ):
        stage(presets={"mine": {"checkpoint": "llm.csv"}})
    assert not (paths.TEACHER / "mine").exists()
