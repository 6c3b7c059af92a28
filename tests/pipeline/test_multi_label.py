"""All stages with multi-label data."""

import json
import random

import pandas as pd
import pytest

from potstill.runtime.model import Student
from tests.pipeline.stages import NETWORK, run_stages


@pytest.mark.slow
@pytest.mark.parametrize("labels", [2, 40])
def test_every_stage_takes_few_and_many_labels(labels, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    rng, names = random.Random(0), [f"label {i}" for i in range(labels)]
    parts = []
    for split, number in (("train", 12 * labels + 300), ("validation", 4 * labels + 100), ("test", 4 * labels + 100)):
        ids = [rng.sample(range(labels), rng.choice([0, 1, 1, min(2, labels)])) for _ in range(number)]
        texts = [f"so {' '.join(f'w{i}' for i in held)} today {split} {row}" for row, held in enumerate(ids)]
        part = pd.DataFrame({"text": texts, "label": ["|".join(names[i] for i in held) for held in ids]})
        part.to_csv(f"mine/{split}.csv", index=False)
        parts.append(part)
    texts = pd.concat(parts, ignore_index=True)
    sure = [[0.95 if name in held.split("|") else 0.02 for name in names] for held in texts["label"]]
    pd.DataFrame(sure, columns=names).assign(text=texts["text"]).to_csv("answers.csv", index=False)

    network = NETWORK | {"architecture": "cnn", "hidden": 2 * labels, "batch_size": 16}
    run_stages(monkeypatch, network, multi_label=True)

    found = json.loads((tmp_path / "metrics/evaluate/metrics.json").read_text())["models"]
    assert set(found) == {"tfidf", "hard", "student", "mine"}
    assert found["mine"]["accuracy"] == 1
    assert found["student"]["accuracy"] > 0.8
    assert found["student"]["macro_f1"] > 0.9
    made = Student.load("models/export/student.pot")
    cases = pd.read_csv("metrics/evaluate/confusion/student-labels.csv", index_col="label")
    known = pd.read_csv("mine/test.csv", keep_default_na=False)["label"].str.split("|")
    assert [cases.loc[name, ["TP", "FN"]].sum() for name in made.labels] == [
        sum(name in held for held in known) for name in made.labels
    ]
    assert made.predict("so w0 w1 today")[0] == ("label 0", "label 1")
