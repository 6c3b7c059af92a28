"""The whole pipeline with a table as teacher, and the fewest or very many classes."""

import json
import random

import numpy as np
import onnxruntime
import pandas as pd
import pytest

from potstill.core import paths
from potstill.evaluate.table import KINDS
from potstill.runtime.model import Student
from tests.pipeline.stages import NETWORK, STAGES, run_stages


def make(classes, number):
    """Texts with a word that determines their class, balanced."""
    rng = random.Random(number)
    filler = ["today", "again", "very", "home", "work", "so"]
    rows = [
        (f"{' '.join(rng.choices(filler, k=4))} w{i % classes} {number + i}", f"class {i % classes}")
        for i in range(number)
    ]
    return pd.DataFrame(rows, columns=["text", "label"])


@pytest.fixture
def project(classes, tmp_path, monkeypatch):
    """A folder in which all stages have run."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    rows = {"train": max(200, 8 * classes), "validation": max(60, 3 * classes), "test": max(80, 4 * classes)}
    tables = {split: make(classes, number) for split, number in rows.items()}
    for split, table in tables.items():
        table.to_csv(f"mine/{split}.csv", index=False)
    texts = pd.concat(tables.values(), ignore_index=True)
    names = list(dict.fromkeys(texts["label"]))
    sure = 0.9 * np.eye(classes)[texts["label"].map(names.index)] + 0.1 / classes
    pd.DataFrame(sure, columns=names).assign(text=texts["text"]).to_csv("answers.csv", index=False)

    run_stages(monkeypatch, NETWORK)
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize("classes", [2, 150])
def test_all_stages_run(project, classes):
    scores = json.loads((project / "metrics/evaluate/metrics.json").read_text())["models"]
    assert set(scores) == {"tfidf", "hard", "student", "mine"}
    assert all(model["accuracy"] > 0.9 and model["macro_f1"] > 0.9 for model in scores.values()), scores
    table = (project / "metrics/evaluate/table.md").read_text()
    assert all(f"| {kind} |" in table for kind in KINDS)
    assert (project / "metrics/evaluate/confusion/student.png").read_bytes().startswith(b"\x89PNG")

    student = Student.load(paths.EXPORT / "student.pot")
    texts = [f"so w{i} again" for i in range(classes)]
    assert len(student.classes_) == classes
    assert (student.predict(texts) == [f"class {i}" for i in range(classes)]).mean() > 0.9
    session = onnxruntime.InferenceSession(paths.EXPORT / "model.onnx")
    labels, probabilities = session.run(["label", "probabilities"], {"text": np.array(texts, object)})
    np.testing.assert_allclose(probabilities, student.predict_proba(texts), atol=1e-5)
    assert labels.tolist() == student.predict(texts).tolist()
    assert f"{classes} classes" in (paths.EXPORT / "README.md").read_text()


@pytest.mark.slow
def test_all_stages_run_with_a_thousand_classes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    classes = 1000
    tables = {split: make(classes, number) for split, number in (("train", 2001), ("validation", 1000), ("test", 1002))}
    for split, table in tables.items():
        table.to_csv(f"mine/{split}.csv", index=False)
    texts = pd.concat(tables.values(), ignore_index=True)
    names = list(dict.fromkeys(texts["label"]))
    sure = 0.9 * np.eye(classes)[texts["label"].map(names.index)] + 0.1 / classes
    pd.DataFrame(sure, columns=names).assign(text=texts["text"]).to_parquet("answers.parquet")

    network = NETWORK | {"vocab_size": 1100, "embedding_dim": 16, "hidden": 32, "epochs": 2}
    changes = {
        "baseline": {"C": 0.01},
        "teacher": {"presets": {"mine": {"checkpoint": "answers.parquet"}}},
        "ablate": {
            "sources": False,
            "vocabulary": False,
            "architectures": [],
            "transfer_shares": [],
            "label_shares": [],
        },
    }
    run_stages(monkeypatch, network, changes, (*STAGES, "ablate", "report"))

    found = json.loads((tmp_path / "metrics/evaluate/metrics.json").read_text())["models"]
    assert found["mine"]["accuracy"] == 1
    student = Student.load(paths.EXPORT / "student.pot")
    assert student.labels == sorted(names)
    session = onnxruntime.InferenceSession(paths.EXPORT / "model.onnx")
    asked = tables["test"]["text"].tolist()[:50]
    labels, probabilities = session.run(["label", "probabilities"], {"text": np.array(asked, object)})
    np.testing.assert_allclose(probabilities, student.predict_proba(asked), atol=1e-5)
    assert labels.tolist() == student.predict(asked).tolist()
    # What people read stays short; the rest is in tables.
    assert (tmp_path / "models/export/README.md").stat().st_size < 5_000
    assert (tmp_path / "metrics/evaluate/table.md").stat().st_size < 5_000
    assert (tmp_path / "metrics/report/report.md").stat().st_size < 20_000
    assert (tmp_path / "metrics/report/index.html").stat().st_size < 600_000
    assert len(pd.read_csv("metrics/report/classes.csv")) == classes
