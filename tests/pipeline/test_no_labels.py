"""Texts that nobody has labelled: everything is measured against the teacher."""

import json
import re

import numpy as np
import pandas as pd
import pytest

from potstill.core import paths
from potstill.data.dataset import Dataset
from potstill.runtime.model import Student
from tests.estimator.conftest import ask
from tests.pipeline.stages import NETWORK, STAGES, run_stages
from tests.tasks import FEELINGS, make_texts

pytestmark = pytest.mark.slow
NAMES = sorted(FEELINGS)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Texts, labels of the test texts in a column of their own, and a teacher that is right about most."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVCLIVE_LOGLEVEL", "ERROR")
    (tmp_path / "mine").mkdir()
    splits = {split: make_texts(number, i) for i, (split, number) in enumerate({"train": 240, "test": 200}.items())}
    for split, table in splits.items():
        truth = table["label"].map(list(FEELINGS).__getitem__) if split == "test" else ""
        table.assign(truth=truth)[["text", "truth"]].to_csv(f"mine/{split}.csv", index=False)
    texts = [text for table in splits.values() for text in table["text"]]
    answers = ask(texts)
    answers[::10] = np.roll(answers[::10], 1, axis=1)
    pd.DataFrame(answers, columns=NAMES).assign(text=texts).to_csv("answers.csv", index=False)
    return tmp_path


@pytest.mark.parametrize("test_label", [None, "truth"])
def test_the_verdict_speaks_of_agreement_and_of_accuracy_only_where_it_is_known(
    folder, server, monkeypatch, test_label
):
    """The teacher is a table where the test texts have labels, and else an LLM that leaves some texts out."""
    changes = {
        "ablate": {"steps": 10, "architectures": [], "transfer_shares": [], "vocabulary": False, "n_jobs": 1},
        "evaluate": {"max_disagreement": 0.3},
    }
    if not test_label:
        pytest.importorskip("openai", reason="needs openai: the extra llm installs it")
        llm = {"endpoint": server.endpoint, "model": "fake", "orders": 1}
        changes["teacher"] = {"presets": {"mine": {"llm": llm}}}
    prepare = {"label": None, "label_names": NAMES, "test_label": test_label}
    run_stages(monkeypatch, NETWORK, changes, STAGES[:1], **prepare)
    data = Dataset.load(paths.PREPARED)
    server.mute = {*data.validation["text"][:2], *data.test["text"][:3]}
    run_stages(monkeypatch, NETWORK, changes, (*STAGES[1:], "ablate", "report"), **prepare)
    assert [data.is_labelled(split) for split in ("train", "validation", "test")] == [False, False, bool(test_label)]
    verdict = json.loads((paths.METRICS / "evaluate/verdict.json").read_text())
    said = " ".join(reason["text"] for reason in verdict["reasons"])
    assert re.search(rf"It predicts its teacher's label for .*% of {200 if test_label else 197} test texts", said)
    assert ("On the labels of the test texts its accuracy is" in said) == bool(test_label)
    assert ("the accuracy of teacher and student is unknown" in said) == (not test_label)
    evaluated = json.loads((paths.METRICS / "evaluate/metrics.json").read_text())
    rows = evaluated["models"]
    assert set(rows) == {"mine", "student"}
    if test_label:
        assert rows["mine"]["accuracy"] == pytest.approx(0.9, abs=0.01)
    else:
        assert set(evaluated["student"]) == {"decision", "agreement"}
        assert rows["mine"]["agreement"] == 1
    for stage in ("student", "ablate", "evaluate"):
        measured = (paths.METRICS / stage / "metrics.json").read_text()
        assert '"validation_accuracy"' not in measured
        assert ("accuracy" in measured) == bool(test_label and stage != "student")
    table = (paths.METRICS / "evaluate/table.md").read_text()
    assert ("accuracy against the teacher's labels" in table) == (not test_label)
    assert ("accurate than the teacher" in table) == bool(test_label)
    student = Student.load("models/export/student.pot")
    facts = student.facts
    assert student.temperature == 1
    assert facts["labelled_by_teacher"] == ["validation", *([] if test_label else ["test"])]
    page = (paths.METRICS / "report/index.html").read_text()
    assert ("How often the teacher itself is right is unknown" in page) == (not test_label)
    unanswered = "the teacher has none for 2 validation texts and 3 test texts; they are left out of its agreement"
    assert (unanswered in page) == (not test_label)
    card = (paths.EXPORT / "README.md").read_text()
    assert ("nobody has labelled" in card) == (not test_label)
