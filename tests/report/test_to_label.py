"""The unlabelled texts to label next, and corrections, as files that `prepare` reads."""

from dataclasses import replace

import numpy as np
import pandas as pd

from potstill.report.facts import label_errors
from potstill.report.to_label import COLUMNS, SHORTLIST, margins, shortlist, spread, to_label
from tests.report.inputs import LABELS, make
from tests.tasks import make_transfer


def listed(texts, probabilities, number):
    """Return the rows of `to_label` where there are other texts in the transfer set, of which the teacher is unsure."""
    known = np.full((9, 3), 1 / 3)
    probabilities = np.concatenate([known, probabilities])
    sources = ["train"] * 9 + ["unlabelled"] * len(texts)
    transfer_set = make_transfer([*(f"train {i}" for i in range(9)), *texts], sources, np.log(probabilities))
    return to_label(transfer_set, probabilities, LABELS, False, number)


def test_margin_of_classes_and_of_several_labels():
    found = np.array([[0.5, 0.3, 0.2], [0.1, 0.8, 0.1]])
    assert margins(found, False).round(6).tolist() == [0.2, 0.7]
    assert margins(found, True).round(6).tolist() == [0.0, 0.6]


def test_the_shortlist_has_the_least_certain_texts():
    found = np.random.default_rng(0).random(100)
    assert sorted(found[shortlist(found, 3)]) == sorted(found)[: 3 * SHORTLIST]


def test_texts_that_say_the_same_are_chosen_once():
    kinds = ["my card was stolen", "the train is late again", "你好 世界", "?!"]
    texts = [f"{kind} {i % 2}" for i, kind in enumerate(kinds * 10)]
    chosen = spread(texts, np.linspace(0, 1, len(texts)), len(kinds))
    assert sorted(texts[i][:-2] for i in chosen) == sorted(kinds)


def test_as_many_are_chosen_as_there_are():
    assert spread(["a", "b"], np.array([0.2, 0.1]), 5).tolist() == [1, 0]
    assert len(set(spread(["same"] * 20, np.zeros(20), 5).tolist())) == 5


def test_the_file_has_what_the_teacher_proposes_and_no_label():
    sure, unsure = [0.98, 0.01, 0.01], [0.2, 0.41, 0.39]
    texts = [f"sure {i}" for i in range(40)] + ["first doubt", "other question"]
    rows = listed(texts, np.array([sure] * 40 + [unsure] * 2), 50)
    assert len(rows) == 42
    assert [row["text"] for row in rows[:2]] == texts[-2:]
    assert list(rows[0]) == list(COLUMNS)
    assert rows[0] == {
        "text": "first doubt", "label": "", "proposed": LABELS[1], "confidence": 0.41, "current": "",
        "split": "unlabelled",
    }  # fmt: skip


def test_there_is_none_without_unlabelled_texts_or_if_none_is_wanted():
    assert listed([], np.empty((0, 3)), 50) == []
    assert listed(["a"], np.array([[0.4, 0.3, 0.3]]), 0) == []


def test_suspects_have_the_same_columns_and_one_row_per_text():
    inputs = make()
    rows = label_errors(inputs, 5)["all_rows"]
    assert set(COLUMNS) < set(rows[0])
    assert len({(row["split"], row["text"]) for row in rows}) == len(rows)
    assert all(row["label"] == "" and row["proposed"] != row["current"] for row in rows)
    margin = [row["margin"] for row in rows]
    assert margin == sorted(margin, reverse=True)
    of_test = dict(zip(inputs.test.texts, inputs.label_names(inputs.test.labels), strict=True))
    assert all(row["current"] == of_test[row["text"]] for row in rows if row["split"] == "test")


def test_several_labels_are_proposed_together():
    inputs = make(texts=300)
    labels = np.zeros((300, 3), bool)
    labels[:100, 0] = labels[100:200, 1] = labels[200:, 2] = True
    found = np.where(labels, 0.9, 0.1)
    found[0] = [0.01, 0.99, 0.99]  # another two
    found[1] = [0.01, 0.1, 0.1]  # none
    test = replace(inputs.test, labels=labels, probabilities={"minilm": found})
    inputs = replace(
        inputs, labels=["x", "y", "z"], test=test, validation=test, train=pd.DataFrame({"text": [], "label": []})
    )
    rows = {(row["split"], row["text"]): row for row in label_errors(inputs, 5)["all_rows"]}
    first, second = (rows["test", test.texts[i]] for i in range(2))
    assert (first["current"], first["proposed"]) == ("x", "y|z")
    assert (second["current"], second["proposed"]) == ("x", "|")
    assert len(rows) == 4
