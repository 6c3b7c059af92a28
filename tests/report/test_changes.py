"""What has changed between two students, by class."""

import numpy as np
import pytest

from potstill.evaluate.predictions import Predictions
from potstill.report.changes import Run, changes
from potstill.report.page import render


def run(name, labels, rows):
    """Rows are a text, its label and the predicted one; labels joined by | are those of a multi-label task."""
    multi_label = any("|" in row[1] for row in rows)

    def ids(side):
        if multi_label:
            return np.array([[label in row[side].split("|") for label in labels] for row in rows])
        return np.array([labels.index(row[side]) for row in rows])

    scores = ids(2).astype(float) if multi_label else np.eye(len(labels))[ids(2)]
    thresholds = {"student": [0.5] * len(labels)} if multi_label else {}
    return Run(name, labels, Predictions([row[0] for row in rows], ids(1), {"student": scores}, thresholds))


def test_classes_are_matched_by_name_and_texts_by_text():
    old = [(f"a{i}", "a", "a" if i >= 8 else "b") for i in range(20)] + [(f"b{i}", "b", "b") for i in range(20)]
    new = [(f"b{i}", "b", "aa" if i < 10 else "b") for i in range(20)] + [(f"a{i}", "a", "a") for i in range(5, 20)]
    new += [(f"c{i}", "aa", "aa" if i < 3 else "a") for i in range(4)]
    found = changes(run("old", ["a", "b"], old), run("new", ["aa", "a", "b"], new))
    assert (found["before"], found["after"], found["texts"], found["relabelled"]) == ("old", "new", 35, 0)
    worse, better = found["rows"]
    assert (worse["label"], worse["texts"], worse["before"], worse["after"]) == ("b", 20, 1.0, 0.5)
    assert worse["verdict"] == "worse"
    assert worse["p"] == pytest.approx(2 * 0.5**10, rel=1e-4)  # mid-p of ten of ten, two classes
    assert (better["label"], better["texts"], better["only_first"], better["verdict"]) == ("a", 15, 3, None)
    (fresh,) = found["new"]
    assert (fresh["label"], fresh["texts"], fresh["recall"]) == ("aa", 4, 0.75)
    assert fresh["precision"] == pytest.approx(3 / 13)
    assert found["all"]["difference"] == pytest.approx(-7 / 35, abs=1e-6)
    assert (found["better"], found["worse"]) == ([], ["b"])
    assert "91.4% were right and 71.4% are: −20.0 points" in found["summary"]


def test_a_corrected_label_counts_for_both():
    old = [("x", "a", "a"), ("x", "b", "a"), ("y", "b", "a")]
    new = [("y", "a", "a"), ("x", "a", "b"), ("z", "b", "b")]
    found = changes(run("old", ["a", "b"], old), run("new", ["a", "b"], new))
    assert (found["texts"], found["relabelled"]) == (2, 1)
    (row,) = found["rows"]  # no common text has the other class
    assert (row["texts"], row["before"], row["after"]) == (2, 1.0, 0.5)
    assert found["new"] == []


def test_a_multi_label_class_is_right_where_it_is_rightly_given_or_not():
    old = [("x", "a|b", "a|b"), ("y", "a", "a"), ("z", "", "")]
    new = [("x", "a|b", "a"), ("y", "a", "a"), ("z", "", "c")]
    found = changes(run("old", ["a", "b"], old), run("new", ["a", "b", "c"], new))
    assert {row["label"]: (row["texts"], row["after"]) for row in found["rows"]} == {"a": (3, 1.0), "b": (3, 2 / 3)}
    assert found["all"]["after"] == pytest.approx(2 / 3)
    assert (found["new"][0]["recall"], found["new"][0]["precision"]) == (None, 0.0)


def test_without_common_texts_nothing_is_compared():
    assert changes(run("old", ["a", "b"], [("x", "a", "a")]), run("new", ["a", "b"], [("y", "a", "a")])) is None


def test_names_of_classes_are_no_markup():
    odd = "<b>*x*"
    found = changes(run("old", [odd, "b"], [("x", odd, odd)]), run("new", [odd, "b", "c"], [("x", odd, odd)]))
    row = {
        "name": "new", "differs": {}, "decision": "ship", "best": True, "accuracy": 1, "accuracy_low": 0.2,
        "accuracy_high": 1, "macro_f1": 1, "p": 1, "teacher": 1,
        "parameters": 1, "bytes": 1, "milliseconds_per_text": 1,
    }  # fmt: skip
    content = {"title": "x", "chosen": "new", "ships": True, "why": "", "rows": [row, row], "differing": []}
    content |= {"charts": {"accuracy": "", "size": ""}, "changes": found, "score": "accuracy"}
    page, text = render("compare.html", content), render("compare.md", content)
    assert "&lt;b&gt;*x*" in page
    assert "<b>" not in page
    assert "| `<b>*x*` | 1 | 100.0 | 100.0 | +0.0" in text
    assert "| c | 0 | – (–––) | – |" in text
