"""A student abstains from texts that its guarantee does not cover."""

import dataclasses

import numpy as np
import pytest

from potstill.core.errors import PotstillError
from potstill.runtime.guarantee import Guarantee, least
from potstill.runtime.model import Student
from tests.forged import GUARANTEE
from tests.onnx_models import run
from tests.students import portable, promising, student
from tests.torch_students import SHORT_TEXTS
from tests.transformers import transformer


@pytest.mark.parametrize("made", [student("bigru"), portable(student("bigru")), transformer()], ids=repr)
def test_it_abstains_below_its_thresholds(made):
    labels = made.predict(SHORT_TEXTS)
    limits = [None if label == labels[0] else 0.0 for label in made.labels]
    made = type(made).from_bytes(promising(made, SHORT_TEXTS, thresholds=limits).to_bytes())
    expected = [None if label == labels[0] else label for label in labels]
    assert made.predict(SHORT_TEXTS, abstain=True).tolist() == expected
    assert made.predict([], abstain=True).shape == (0,)
    half = promising(made, SHORT_TEXTS)
    confidence = half.predict_proba(SHORT_TEXTS).max(1)
    answered = [label is not None for label in half.predict(SHORT_TEXTS, abstain=True)]
    assert answered == (confidence >= np.median(confidence)).tolist()


@pytest.mark.parametrize("never", [None, 0, 1, 2])
@pytest.mark.parametrize("made", [student("bigru"), transformer()], ids=repr)
def test_the_onnx_model_says_which_texts_are_answered(made, never):
    confidence = np.unique(made.predict_proba(SHORT_TEXTS).max(1))
    between = float(confidence[len(confidence) // 2 - 1 :][:2].mean())
    made = promising(made, SHORT_TEXTS, thresholds=[None if label == never else between for label in range(3)])
    expected = [label is not None for label in made.predict(SHORT_TEXTS, abstain=True)]
    assert never is not None or 0 < sum(expected) < len(expected)
    [answered] = run(made, SHORT_TEXTS, ["answered"])
    assert answered.tolist() == expected


def test_without_a_guarantee_it_cannot_abstain():
    with pytest.raises(PotstillError, match=r"^abstain: the model has no guarantee\. "):
        student("mlp").predict(SHORT_TEXTS, abstain=True)


def test_a_file_holds_the_guarantee():
    test = {"rows": 9, "answered": 0.75, "kept": None}
    for extra in ({}, {"test": test}):
        promise = Guarantee(**GUARANTEE, **extra)
        made = dataclasses.replace(student("mlp", classes=2), facts={"guarantee": promise.to_fact()})
        assert Guarantee.of(Student.from_bytes(made.to_bytes()).facts) == promise
    assert promise.checked() == f"Chosen on {promise.rows:,} texts."
    assert Guarantee.of({}) is None


@pytest.mark.parametrize("promises", [1, 6])
def test_the_fewest_answers_that_show_a_target(promises):
    number = least(0.98, 0.95, promises)
    assert 0.98**number <= 0.025 / promises < 0.98 ** (number - 1)
