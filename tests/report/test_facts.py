"""The numbers and sentences of the report."""

import dataclasses

import numpy as np
import pytest
from scipy.special import expit

from potstill.evaluate.compare import Model, compare
from potstill.evaluate.metrics import scores
from potstill.evaluate.predictions import Predictions
from potstill.report.facts import collect, two_digits
from potstill.report.params import ReportParams
from tests.report.inputs import PARAMS, make, page
from tests.settings import mixed_logits
from tests.tasks import make_transfer


def test_a_student_as_accurate_as_its_teacher_ships():
    verdict = collect(make(student=0.95, teacher=0.93, texts=5000), PARAMS)["verdict"]
    assert verdict["decision"] == "ship"
    assert all(reason["status"] == "met" for reason in verdict["reasons"])
    assert verdict["headline"].startswith("bigru-2.5K has a test accuracy of 9")
    assert "), which is 10" in verdict["headline"]
    assert verdict["headline"].endswith("It has 1/8,800 of the teacher's parameters")


def test_a_student_that_is_three_points_less_accurate_does_not_ship():
    verdict = collect(make(), PARAMS)["verdict"]
    assert verdict["decision"] == "do not ship"
    assert [reason["status"] for reason in verdict["reasons"]] == ["not met", "met"]
    assert "less accurate than its teacher" in verdict["reasons"][0]["text"]


def test_without_predictions_of_a_teacher_there_is_no_comparison_with_one():
    facts = collect(make(with_teacher=False), PARAMS)
    assert facts["verdict"]["decision"] == "cannot tell yet"
    assert facts["cascade"] is None
    assert facts["label_errors"]["noise"] is None
    assert "teacher" not in facts["verdict"]["headline"]


def test_bold_models_are_not_significantly_worse_than_the_best():
    rows = {row["name"]: row["best"] for row in collect(make(student=0.929, teacher=0.93), PARAMS)["models"]}
    assert rows == {"tfidf": False, "hard": False, "minilm": True, "student": True}


def test_ratios_have_two_digits():
    assert [two_digits(value) for value in (8825, 104.2, 12.3, 3.14)] == ["8,800", "100", "12", "3.1"]


@pytest.mark.slow
def test_the_report_is_for_multi_label(mixed):
    rng = np.random.default_rng(0)
    parts, models = {}, {}
    for split in ("validation", "test"):
        known = mixed.targets(split)
        noise = {"tfidf": 0.45, "hard": 0.4, "student": 0.3, "minilm": 0.2}
        models = {name: np.clip(known * 0.6 + 0.2 + rng.normal(0, s, known.shape), 0, 1) for name, s in noise.items()}
        thresholds = {name: [0.5] * 3 for name in models}
        parts[split] = Predictions(mixed.split(split)["text"].tolist(), known, models, thresholds)
    kinds = {"student": "student", "minilm": "teacher"}
    compared = [
        Model(name, kinds.get(name, "baseline"), found, found, 100, 200, [0.5] * 3) for name, found in models.items()
    ]
    rows, _ = compare(compared, mixed.targets("test"), "minilm", None)
    place = next(i for i, ids in enumerate(mixed.train["label"]) if ids)
    wrong = mixed.train.assign(label=[[] if i == place else ids for i, ids in enumerate(mixed.train["label"])])
    inputs = dataclasses.replace(
        make(),
        labels=mixed.labels,
        train=wrong,
        validation=parts["validation"],
        test=parts["test"],
        transfer_set=make_transfer(mixed.train["text"].tolist(), ["train"] * 300, mixed_logits(mixed)),
        transfer_probabilities=expit(
            mixed_logits(mixed) * rng.uniform(0.5, 1, (300, 1)) * np.where(np.arange(300) == place, 2, 1)[:, None]
        ),
        scores=make().scores | {"models": {row["name"]: row for row in rows}},
    )
    facts = collect(inputs, ReportParams(examples=5, differences=5, samples=3, errors=5, suspects=500, k_anonymity=5))
    assert facts["multi_label"]
    assert facts["cascade"] is None
    assert facts["error_analysis"]["matrix"] is None
    cases = scores.label_confusion(mixed.targets("test"), parts["test"].predicted("student"), mixed.labels)
    for row in facts["error_analysis"]["classes"]:
        found, missed, extra, _ = cases.loc[row["name"]]
        assert (row["recall"], row["precision"]) == (found / (found + missed), found / (found + extra))
    assert facts["error_analysis"]["wrong"] == (~parts["test"].correct("student")).sum()
    first = next(row for row in facts["label_errors"]["rows"] if row["split"] == "train")
    assert first["text"] == mixed.train["text"][place]
    assert first["label"] == "none"
    assert first["suggested"] in {f"with {mixed.labels[id_]}" for id_ in mixed.train["label"][place]}
    html = page(inputs)
    assert "exact match" in html
    assert "micro-F1" in html
    assert "Not available for multi-label tasks." in html
