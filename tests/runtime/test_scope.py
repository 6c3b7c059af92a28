"""Which texts are out of scope: the same in every runtime."""

import numpy as np
import pytest
from scipy.special import logsumexp

from potstill.core.errors import PotstillError
from potstill.export import to_onnx
from potstill.runtime import scope
from potstill.runtime.networks import ARCHITECTURES
from tests.onnx_models import run
from tests.scopes import RARE, TEXTS, scoped
from tests.students import multi_label_student, portable, student
from tests.transformers import multi_label_transformer, transformer

MADE = {
    **{name: student(name) for name in ARCHITECTURES},
    "multi-label": multi_label_student("mlp"),
    "transformer": transformer(),
    "multi-label transformer": multi_label_transformer(),
    "one class": student("mlp", classes=1),
    "150 classes": student("mlp", classes=150),
}


def test_the_score_is_the_log_of_the_summed_exponentials():
    logits = np.array([[1.0, 2.0, 3.0], [-800.0, 0.0, 800.0]])
    np.testing.assert_allclose(scope.energy(logits, False), logsumexp(logits, axis=1))
    absent = np.log1p(np.exp([1.0, 2.0, 3.0])).sum()
    np.testing.assert_allclose(scope.energy(logits, True), [absent, 800 + np.log(2)])


def test_rare_rows_lower_the_score():
    made = scoped(student("mlp"))
    assert np.flatnonzero(made.rare_rows).tolist() == [0, 2]  # of unknown words, and of "!"
    texts = ["the", "unheard the", "the!", "", "a the"]
    _, scores = scope.score(made, texts)
    energy = scope.energy(made.decision_function(texts), False)
    np.testing.assert_allclose(energy - scores, 2.5 * np.array([0, 0.5, 0.5, 1, 0]), atol=1e-5)


@pytest.mark.parametrize("rare", [RARE, {}], ids=["rare", "energy"])
@pytest.mark.parametrize("name", MADE)
def test_python_and_onnx_agree(name, rare):
    made = scoped(MADE[name], rare)
    found = made.in_scope(TEXTS)
    assert found.dtype == bool
    assert 0 < found.sum() < len(TEXTS)
    assert made.in_scope([]).tolist() == []
    probabilities, again = scope.predict(made, TEXTS)
    np.testing.assert_allclose(probabilities, made.predict_proba(TEXTS), atol=1e-6)
    assert again.tolist() == found.tolist()
    if "transformer" not in name:
        assert portable(made).in_scope(TEXTS).tolist() == found.tolist()
    [answered] = run(made, TEXTS, ["in_scope"])
    assert answered.tolist() == found.tolist()


@pytest.mark.parametrize("made", [student("mlp"), transformer()], ids=["words", "transformer"])
def test_the_fact_survives_its_file(made):
    made = scoped(made)
    again = type(made).from_bytes(made.to_bytes())
    assert again.facts[scope.FACT] == made.facts[scope.FACT]
    assert again.in_scope(TEXTS).tolist() == made.in_scope(TEXTS).tolist()


def test_a_file_without_a_threshold_says_so():
    with pytest.raises(PotstillError, match=r"no threshold .* Set `export\.scope` and export it again\."):
        student("mlp").in_scope(["the"])
    outputs = [output.name for output in to_onnx.build(student("mlp")).graph.output]
    assert outputs == ["label", "probabilities"]
