"""The thresholds of a guarantee keep what they promise, and promise nothing that cannot be shown."""

import dataclasses

import numpy as np
import pytest
from scipy.stats import binomtest

from potstill.core import tracking
from potstill.core.errors import PotstillError
from potstill.data import transfer
from potstill.export.build import guaranteed
from potstill.export.guarantee import guarantee, lowest
from potstill.export.params import ExportParams, GuaranteeParams
from tests.students import student
from tests.tasks import make_transfer


def params(**keys):
    return GuaranteeParams.model_validate(keys)


def texts(number, rng, classes=4):
    """Calibrated probabilities, and the right classes."""
    best = rng.beta(4, 1, number)
    predicted = rng.integers(classes, size=number)
    probabilities = np.repeat((1 - best)[:, None] / max(1, classes - 1), classes, axis=1)
    probabilities[np.arange(number), predicted] = best
    wrong = (probabilities.argmax(1) + 1) % classes
    right = np.where(rng.random(number) < probabilities.max(1), probabilities.argmax(1), wrong)
    return probabilities.astype(np.float32), right


def test_the_lowest_threshold_that_passes_has_the_bound_of_clopper_and_pearson():
    probabilities, right = texts(2000, np.random.default_rng(1))
    found = guarantee((probabilities, right), None, params(accuracy=0.9))
    [threshold] = set(found.thresholds)
    correct = (probabilities.argmax(1) == right)[probabilities.max(1) >= threshold]
    bound = binomtest(int(correct.sum()), len(correct), alternative="greater").proportion_ci(0.975).low
    assert bound >= 0.9
    below = (probabilities.argmax(1) == right)[probabilities.max(1) >= threshold - 0.001]
    assert binomtest(int(below.sum()), len(below), alternative="greater").proportion_ci(0.975).low < 0.9
    assert found.answered == round(len(correct) / 2000, 6)


@pytest.mark.parametrize(("target", "number"), [(0.9, 300), (0.95, 1000)])
def test_a_promise_is_kept_as_often_as_it_says(target, number):
    rng = np.random.default_rng(0)
    probabilities, right = texts(20_000, rng)
    confidence, is_wrong, kept = probabilities.max(1), probabilities.argmax(1) != right, []
    for _ in range(200):
        drawn = rng.integers(len(right), size=number)
        threshold = lowest(confidence[drawn], is_wrong[drawn], params(accuracy=target))
        kept.append(threshold is None or is_wrong[confidence >= threshold].mean() <= 1 - target)
    assert binomtest(sum(kept), len(kept), 0.95, alternative="less").pvalue > 0.01
    assert sum(kept) < len(kept)  # a bound that never fails would leave texts unanswered that it could answer


def test_all_texts_are_answered_if_all_are_right():
    probabilities, _ = texts(500, np.random.default_rng(0))
    found = guarantee((probabilities, probabilities.argmax(1)), None, params(accuracy=0.98))
    assert set(found.thresholds) == {0.0}
    assert str(found) == "Answers 100% of texts; on those it is right on at least 98%, with 95% confidence."


@pytest.mark.parametrize("number", [0, 1, 5, 182])
def test_too_few_texts_show_nothing(number):
    probabilities, _ = texts(number, np.random.default_rng(0))
    found = guarantee((probabilities, probabilities.argmax(1)), None, params(agreement=0.98))
    assert found.thresholds == [None] * 4
    assert not found.answers(probabilities).any()
    assert str(found) == (
        f"No guarantee: on {number} texts, no threshold on its confidence shows with 95% confidence that it agrees "
        "with its teacher on at least 98% of its answers (at least 183 texts are needed)."
    )


def test_a_promise_for_each_class_leaves_out_those_that_do_not_keep_it():
    rng = np.random.default_rng(0)
    probabilities, _ = texts(2000, rng)
    predicted = probabilities.argmax(1)
    wanted = np.where((predicted == 2) & (rng.random(2000) < 0.3), 1, predicted)
    found = guarantee((probabilities, wanted), (probabilities, wanted), params(accuracy=0.95, per_class=True))
    assert found.thresholds == [0.0, 0.0, None, 0.0]
    assert found.test == {"rows": 2000, "answered": round(float((predicted != 2).mean()), 6), "kept": 1.0}
    assert "on those of each class it answers, it is right" in str(found)


@pytest.mark.parametrize("classes", [1, 150])
def test_any_number_of_classes(classes):
    probabilities, right = texts(1000, np.random.default_rng(0), classes)
    for per_class in (False, True):
        found = guarantee((probabilities, right), None, params(accuracy=0.6, per_class=per_class))
        assert len(found.thresholds) == classes
        assert found.answers(probabilities).mean() == pytest.approx(found.answered)


@pytest.mark.parametrize(
    ("guarantee", "message"),
    [
        ({}, "`export.guarantee` is {}: set one of accuracy and agreement, such as {agreement: 0.98}"),
        ({"accuracy": 0.9, "agreement": 0.9}, "set one of accuracy and agreement"),
        ({"accuracy": 1}, "`export.guarantee.accuracy` is 1: must be below 1"),
        ({"agreement": 0.9, "confidence": 0}, "`export.guarantee.confidence` is 0: must be above 0"),
        ({"precision": 0.9}, "unknown key `export.guarantee.precision`"),
        (0.98, "`export.guarantee` is 0.98: must be a mapping"),
    ],
)
def test_a_promise_that_cannot_be_is_refused(guarantee, message):
    assert message in "; ".join(ExportParams.check({"guarantee": guarantee}))


def test_a_teacher_without_an_answer_has_no_part_in_an_agreement(data, tmp_path):
    made = dataclasses.replace(student("mlp"), labels=data.labels)
    for split in ("validation", "test"):
        logits = np.log(made.predict_proba(data.split(split)["text"]))
        logits[0] = np.nan
        tracking.write_predictions(tmp_path / f"{split}.csv", logits, data.targets(split), data.labels)
    found = guaranteed(made, data, [tmp_path, tmp_path], params(agreement=0.9))
    assert (found.rows, found.answered) == (59, 1.0)
    assert found.test == {"rows": 59, "answered": 1.0, "kept": 1.0}
    assert found.checked() == "Chosen on 59 texts. On 59 test texts, 100% of its answers are its teacher's."
    more = make_transfer(["the not", "a card"], ["held_out"] * 2, np.eye(len(data.labels))[:2])
    more = transfer.read_held_out(more.texts.path.parent, [f"c{i}" for i in range(len(data.labels))])
    assert guaranteed(made, data, [tmp_path], params(agreement=0.9), more).rows == 61
    assert guaranteed(made, data, [tmp_path], params(accuracy=0.9), more).rows == 60
    logits = np.full_like(logits, np.nan)
    tracking.write_predictions(tmp_path / "validation.csv", logits, data.targets("validation"), data.labels)
    with pytest.raises(PotstillError, match="the teacher has no predictions for validation"):
        guaranteed(made, data, [tmp_path], params(agreement=0.9))
    assert guaranteed(made, data, [tmp_path], params(accuracy=0.9)).rows == 60


def test_several_labels_are_refused(mixed):
    with pytest.raises(PotstillError, match=r"export.guarantee: not for several labels per text"):
        guaranteed(student("mlp"), mixed, [], params(accuracy=0.9))
