"""The ONNX model and the card of a small Transformer."""

import dataclasses

import numpy as np
import pytest

from potstill.export.card import card
from tests.export.sources import SOURCES
from tests.onnx_models import run
from tests.students import ODD
from tests.transformers import multi_label_transformer, transformer


@pytest.mark.parametrize("temperature", [1.0, 2.5])
def test_it_predicts_what_the_runtime_does(temperature):
    made = transformer(temperature=temperature)
    labels, probabilities = run(made, ODD)
    np.testing.assert_allclose(probabilities, made.predict_proba(ODD), atol=1e-5)
    assert labels.tolist() == made.predict(ODD).tolist()


def test_it_gives_the_labels_of_a_multi_label_task():
    made = multi_label_transformer()
    labels, probabilities = run(made, ODD)
    np.testing.assert_allclose(probabilities, made.predict_proba(ODD), atol=1e-5)
    assert [tuple(filter(None, row)) for row in labels] == made.predict(ODD).tolist()


def test_the_card_says_what_it_requires_and_cannot_do(exported):
    made = dataclasses.replace(transformer(labels=exported.labels), facts=exported.facts)
    text = card(made, SOURCES, 1234, 5678)
    assert "2 layers of its teacher, 14 of its tokens" in text
    assert "requires potstill and `potstill[transformer]`" in text
    assert "input: ids of tokens, as `student.encode` gives them" in text
    assert "there is no page and no QR code of it" in text
    assert "outside the vocabulary" not in text
