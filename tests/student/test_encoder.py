"""A small Transformer begins as layers of its teacher, and runs in onnxruntime as it was trained."""

import dataclasses

import numpy as np
import pytest
import torch

from potstill.core.errors import PotstillError
from potstill.runtime.transformer.model import Transformer
from potstill.runtime.transformer.weights import Weights
from potstill.scoring import inference, pretrained
from potstill.student import activations, encoder, tokens, training
from tests.students import ODD
from tests.tasks import make_checkpoint

SUPPORTED = ("bert", "roberta", "distilbert", "electra", "mpnet", "multilingual-e5", "xlm-roberta")


pytestmark = pytest.mark.usefixtures("exact")


@pytest.fixture(scope="module", params=SUPPORTED)
def teacher(request, data, tmp_path_factory):
    folder = make_checkpoint(request.param, tmp_path_factory.mktemp("teacher"), data.train["text"].tolist())
    return pretrained.load(str(folder), data.labels)


def build(teacher, texts, layers=2):
    network, tokenizer = teacher
    made, kept = tokens.cut(tokenizer, texts, 10_000, 32)
    return encoder.build(network, layers, kept, 32, 0.0).eval(), made


def test_with_all_layers_it_predicts_what_its_teacher_does(teacher, data):
    texts = data.test["text"].tolist()
    network, tokenizer = build(teacher, texts)
    expected = inference.score(*teacher, texts, 32, 16, "fp32").logits
    np.testing.assert_allclose(training.logits(network, tokenizer.encode(texts)), expected, atol=1e-5)


@pytest.mark.parametrize("layers", [1, 2])
def test_in_onnxruntime_it_predicts_nearly_the_same(teacher, layers, data):
    torch.manual_seed(0)
    texts = [*data.test["text"], *ODD]
    network, tokenizer = build(teacher, texts, layers)
    encoded = tokenizer.encode(texts)
    with torch.no_grad():
        for name, weight in network.named_parameters():  # so that predictions differ
            if weight.ndim == 2:
                weight.normal_(std=1 if name in ("embedding.weight", "position.weight") else weight.shape[1] ** -0.5)
            else:
                weight.add_(0.2 * torch.randn_like(weight))
    factors, ranges = activations.calibrate(network, [training.pad(encoded, np.arange(len(texts)))], 0)
    weights = {name: weight.numpy() for name, weight in network.state_dict().items()}
    weights |= {f"{name}.smoothing": array for name, array in factors.items()}
    shape = dataclasses.replace(network.shape, smoothed=True)
    made = Transformer(data.labels, tokenizer, shape, Weights.round(weights, ranges))
    expected = training.logits(network, encoded)
    difference = np.abs(made.logits(encoded) - expected).mean()
    assert difference < 0.5 * expected.std(0).mean()  # it is at most 0.2 of it here, and above 1 with a wrong scale
    same = Transformer.from_bytes(made.to_bytes())
    np.testing.assert_array_equal(same.predict_proba(texts), made.predict_proba(texts))


@pytest.mark.parametrize(
    ("count", "total", "expected"),
    [(3, 6, [0, 2, 4]), (2, 6, [0, 3]), (1, 6, [0]), (4, 12, [0, 3, 6, 9]), (2, 2, [0, 1])],
)
def test_layers_are_evenly_spaced(count, total, expected):
    assert encoder.evenly_spaced(count, total) == expected


def test_a_teacher_with_fewer_layers_is_refused(teacher, data):
    with pytest.raises(PotstillError, match=r"`student\.layers` is 3, and the teacher has 2 layers"):
        build(teacher, data.test["text"].tolist(), 3)


def test_a_teacher_of_another_type_is_refused(data, tmp_path):
    folder = make_checkpoint("xlnet", tmp_path, data.train["text"].tolist())
    network, _ = pretrained.load(str(folder), data.labels)
    with pytest.raises(PotstillError, match="of the type xlnet"):
        encoder.build(network, 1, [0, 1, 2], 32, 0.0)
