"""The networks in numpy compute what the trained ones do."""

import dataclasses

import numpy as np
import pytest
import torch

from potstill.runtime import file
from potstill.runtime.model import Student
from potstill.runtime.networks import ARCHITECTURES, LARGE, QuantizedTable
from potstill.runtime.tokenizer import Words
from potstill.student import training
from tests.forged import ones_student
from tests.torch_students import SHORT_TEXTS, student_and_network


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_it_predicts_what_the_trained_network_does(architecture):
    made, network = student_and_network(architecture)
    expected = torch.from_numpy(training.logits(network, made.vocabulary.encode(SHORT_TEXTS))).softmax(1)
    np.testing.assert_allclose(made.predict_proba(SHORT_TEXTS), expected, atol=1e-5)


def test_bigru_equals_the_bidirectional_gru_of_torch():
    made, network = student_and_network("bigru")
    reference = torch.nn.GRU(4, 8, batch_first=True, bidirectional=True)
    names = [name for name, _ in network.forwards.named_parameters()]
    reference.load_state_dict(
        {name: getattr(network.forwards, name) for name in names}
        | {f"{name}_reverse": getattr(network.backwards, name) for name in names}
    )
    ids = made.vocabulary.encode(["one two café"]).ids.astype(int)
    states, _ = reference(network.embedding(torch.from_numpy(ids)[None]))
    expected = network.head(states.amax(1)).softmax(-1)
    np.testing.assert_allclose(made.predict_proba(["one two café"]), expected.detach(), atol=1e-5)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_quantized_table_predicts_what_floats_do(architecture, monkeypatch):
    made = ones_student(Words(["a", "b", "c"]), architecture)
    rng = np.random.default_rng(0)
    weights = {name: rng.integers(-1, 2, weight.shape).astype("f4") for name, weight in made.weights.items()}
    made = dataclasses.replace(made, weights=weights, bits=(3, 3), steps=dict.fromkeys(weights, 1.0))
    monkeypatch.setattr(file, "LARGE", 3)
    again = Student.from_bytes(made.to_bytes())
    assert isinstance(again.weights[file.TABLE], QuantizedTable)
    assert again.parameters == made.parameters
    assert again.to_bytes() == made.to_bytes()
    texts = ["a b", "", "c c unknown"]
    np.testing.assert_allclose(again.predict_proba(texts), made.predict_proba(texts), atol=1e-6)
    np.testing.assert_allclose(
        again.logits(again.vocabulary.encode(texts)), made.logits(made.vocabulary.encode(texts)), atol=1e-6
    )


def test_a_quantized_table_is_multiplied_in_chunks(monkeypatch):
    rng = np.random.default_rng(0)
    table = QuantizedTable(rng.integers(-8, 8, (LARGE // 8192 + 3, 512)).astype(np.int8), np.float32(0.5))
    other = rng.normal(size=(512, 2)).astype(np.float32)
    np.testing.assert_allclose(table @ other, np.asarray(table) @ other, rtol=1e-5, atol=1e-4)
