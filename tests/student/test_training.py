import numpy as np
import pandas as pd
import pytest
import torch
from torch.nn import functional

from potstill.baseline.network import train_on_labels
from potstill.student import training
from tests.settings import baseline_settings


def test_the_same_seed_gives_the_same_student(data):
    def weights(seed):
        trained = train_on_labels(data.labels, data.train, data.validation, baseline_settings(epochs=2, seed=seed))
        return trained.student.weights["head.weight"]

    assert np.array_equal(weights(1), weights(1))
    assert not np.array_equal(weights(1), weights(2))


@pytest.mark.parametrize("bits", [None, 3])
def test_the_best_epoch_is_kept(bits, data):
    epochs = []
    params = baseline_settings(epochs=6, weight_bits=bits)
    trained = train_on_labels(data.labels, data.train, data.validation, params, epochs.append)
    assert [epoch["epoch"] for epoch in epochs] == [1, 2, 3, 4, 5, 6]
    kept = epochs if bits is None else epochs[3:]  # the first half is not rounded
    assert trained.best["validation_accuracy"] == max(epoch["validation_accuracy"] for epoch in kept)
    right = trained.student.predict_proba(data.validation["text"]).argmax(1) == data.validation["label"]
    assert right.mean() == pytest.approx(trained.best["validation_accuracy"])


def test_kl_of_one_hot_soft_labels_is_cross_entropy():
    scores, labels = torch.randn(5, 3), torch.tensor([0, 1, 2, 1, 0])
    sure = torch.nn.functional.one_hot(labels, 3) * 200.0
    torch.testing.assert_close(training.kl(scores, sure), training.cross_entropy(scores, labels))


def test_temperature_applies_to_student_and_teacher():
    student, teacher = torch.randn(4, 3), torch.randn(4, 3)
    p, q = (teacher / 2).softmax(-1), (student / 2).softmax(-1)
    expected = 4 * (p * (p / q).log()).sum(-1).mean()
    torch.testing.assert_close(training.kl(student, teacher, temperature=2.0), expected)


def test_ngrams_let_a_bag_of_words_learn_word_order():
    texts = ["a b c", "c b a"] * 50
    table = pd.DataFrame({"text": texts, "label": [0, 1] * 50})

    def accuracy(ngrams):
        trained = train_on_labels(["x", "y"], table, table, baseline_settings(max_ngram=ngrams))
        return trained.best["validation_accuracy"]

    assert accuracy(1) == 0.5
    assert accuracy(2) == 1.0


def test_weighted_cross_entropy_is_averaged_over_texts():
    scores, labels = torch.randn(8, 2), torch.tensor([0, 1, 0, 0, 0, 0, 0, 0])
    assert torch.equal(training.cross_entropy(scores, labels), torch.nn.functional.cross_entropy(scores, labels))
    weighted = training.cross_entropy(scores, labels, torch.tensor([0.5, 4.0]))
    each = torch.nn.functional.cross_entropy(scores, labels, reduction="none")
    torch.testing.assert_close(weighted, (each * torch.where(labels == 1, 4.0, 0.5)).mean())


def test_binary_kl_is_the_sum_over_labels():
    one, other = torch.randn(5, 3, generator=torch.manual_seed(0)), torch.randn(5, 3)
    pairs = [torch.stack([logits, torch.zeros_like(logits)], -1).reshape(-1, 2) for logits in (one, other)]
    for temperature in (1.0, 2.0):
        expected = 3 * training.kl(*pairs, temperature)
        assert training.binary_kl(one, other, temperature) == pytest.approx(expected.item(), rel=1e-5)
    assert training.binary_kl(other, other) == pytest.approx(0, abs=1e-6)
    known = other > 0
    expected = 3 * functional.binary_cross_entropy_with_logits(one, known.float())
    assert training.binary_cross_entropy(one, known) == pytest.approx(expected.item(), rel=1e-5)
