"""A classifier that is trained in Python is that of the pipeline, to the byte."""

import importlib
import sys

import pandas as pd
import pytest
from ruamel.yaml import YAML

from potstill import DistilledClassifier, Teacher
from potstill.core import files, paths
from potstill.export import held_out
from tests.tasks import FEELINGS, make_texts

STAGES = ("prepare", "teacher", "pool", "label", "ensemble", "student", "export")
LADDER = {
    "tiny": {"architecture": "mlp", "vocab_size": 100, "epochs": 4, "learning_rate": 0.05, "fingerprint_bits": 8},
    "pieces": {"subwords": True, "vocab_size": 100, "embedding_dim": 8, "hidden": 8, "epochs": 2, "batch_size": 16},
}
SEED = 3


def settings(checkpoint):
    """The parameters of a small run, by section."""
    seed = {"seed": SEED}
    return {
        "prepare": {"source": "files", "path": "mine", "unlabelled": ["more.csv"]} | seed,
        "teacher": {"presets": {"mine": {"checkpoint": str(checkpoint), "learning_rate": 3e-3}}, "epochs": 3}
        | {"checkpoints": ["mine"], "class_weight": "balanced"}
        | seed,
        "pool": {"min_texts": 0, "borrow": 0.1, "vocab_checkpoint": str(checkpoint)} | seed,
        "label": {"teachers": ["mine"], "workers": 1},
        "student": {"ladder": LADDER, "threads": 1, "tolerance": 0} | seed,
        "export": {"guarantee": {"agreement": 0.6}},  # which is calibrated on held-out texts too
    }


def repro(monkeypatch, sections):
    """Run the stages in the current folder, and return the bytes of the model file."""
    YAML().dump(sections, paths.PARAMS)
    for stage in STAGES:
        monkeypatch.setattr(sys, "argv", [stage, *(["mine"] if stage in ("teacher", "label") else [])])
        importlib.import_module(stage).main()
    return {path.name: path.read_bytes() for path in paths.EXPORT.iterdir()}


@pytest.mark.slow
def test_the_same_data_parameters_and_seed_give_the_bytes_of_the_pipeline(bert, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVCLIVE_LOGLEVEL", "ERROR")
    monkeypatch.setattr(held_out, "FEWEST", 10)
    (tmp_path / "mine").mkdir()
    train, more = make_texts(240, 0), make_texts(100, 3)
    train["label"] = [list(FEELINGS)[id_] for id_ in train["label"]]
    train.to_csv("mine/train.csv", index=False)
    more[["text"]].to_csv("mine/more.csv", index=False)
    sections = settings(bert)
    expected = repro(monkeypatch, sections)

    before = sorted(path.name for path in tmp_path.iterdir())
    given = {name: sections[name] for name in ("pool", "student", "export")} | {"label": {"workers": 1}}
    given["teacher"] = {key: sections["teacher"][key] for key in ("presets", "epochs")}
    params = {"class_weight": "balanced", "test_share": 0.1, "random_state": SEED, "verbose": False}
    made = DistilledClassifier("mine", params=given, **params).fit(
        train["text"], train["label"], unlabelled=more["text"]
    )
    made.export(tmp_path / "out")
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == expected
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*before, "out"])
    assert made.student_.to_bytes() == (paths.EXPORT / "student.pot").read_bytes()
    assert made.student_.facts["guarantee"]["rows"] == made.student_.facts["rows"]["validation"] + 10

    teacher = Teacher("mine", params=given.pop("teacher"), **params).fit(train["text"], train["label"])
    assert files.sha256(teacher._folder) == files.sha256(paths.TEACHER / "mine")
    again = DistilledClassifier(teacher, params=given, **params).fit(
        pd.Series(train["text"]).tolist(), train["label"].to_numpy(), unlabelled=more["text"].tolist()
    )
    assert again.student_.to_bytes() == expected["student.pot"]
