"""Binary classification with 3% of the texts in the rare class."""

import random

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.special import softmax
from torch.nn import functional

from potstill.baseline.network import train_on_labels
from potstill.core import class_weights
from potstill.scoring import inference, pretrained
from potstill.scoring.tfidf import Tfidf
from potstill.student import training
from potstill.teacher import finetune
from tests.settings import baseline_settings, teacher_settings

COMMON = [f"c{i}" for i in range(30)]
HINTS = [f"h{i}" for i in range(12)]  # four times as likely in texts of the rare class


def make(number, seed):
    rng = random.Random(seed)
    labels = [int(i < 0.03 * number) for i in range(number)]
    rng.shuffle(labels)
    texts = [
        " ".join(rng.choice(HINTS if rng.random() < (0.4 if label else 0.1) else COMMON) for _ in range(8))
        for label in labels
    ]
    return pd.DataFrame({"text": texts, "label": labels})


@pytest.fixture(scope="module")
def rare():
    return make(1000, 0), make(600, 1), make(1500, 2)


def evaluated(answers, test):
    """Recall of the rare class, and macro-F1."""
    labels, predicted = test["label"].to_numpy(), answers.argmax(1)
    return (predicted[labels == 1] == 1).mean(), class_weights.macro_f1(labels, predicted, 2)


def test_class_weights_are_balanced():
    np.testing.assert_allclose(class_weights.class_weights(np.array([0] * 6 + [1] * 2), 2), [8 / (2 * 6), 8 / (2 * 2)])


@pytest.mark.slow
def test_class_weights_raise_the_recall_of_the_rare_class(rare):
    train, validation, test = rare

    def student(class_weight):
        params = baseline_settings(epochs=6, metric="macro_f1", learning_rate=0.01, class_weight=class_weight)
        trained = train_on_labels(["no", "yes"], train, validation, params)
        return trained.student.predict_proba(test["text"])

    for fitted in (student, lambda weight: Tfidf.fit(train, 1.0, weight).predict_proba(test["text"].tolist())):
        (plain, plain_f1), (recall, f1) = (evaluated(fitted(weight), test) for weight in (None, "balanced"))
        assert recall > plain + 0.3
        assert f1 > plain_f1 + 0.1


@pytest.mark.slow
def test_the_best_epoch_by_macro_f1_has_a_higher_recall_of_the_rare_class(rare):
    train, validation, test = rare
    kept = {}
    for metric in ("accuracy", "macro_f1"):
        epochs = []
        params = baseline_settings(epochs=10, metric=metric, batch_size=16)
        trained = train_on_labels(["no", "yes"], train, validation, params, epochs.append)
        assert trained.best[f"validation_{metric}"] == max(epoch[f"validation_{metric}"] for epoch in epochs)
        _, f1 = evaluated(trained.student.predict_proba(validation["text"]), validation)
        assert f1 == pytest.approx(trained.best["validation_macro_f1"])
        kept[metric] = [
            trained.best["validation_macro_f1"],
            *evaluated(trained.student.predict_proba(test["text"]), test),
        ]
    assert all(np.greater(kept["macro_f1"], kept["accuracy"]))


@pytest.mark.slow
def test_class_weights_raise_a_teachers_probability_of_the_rare_class(bert, rare, tmp_path):
    train, validation, test = (split[:320] for split in rare)
    expected = []
    for class_weight in (None, "balanced"):
        network, tokenizer = pretrained.load(str(bert), ["no", "yes"])
        params = teacher_settings(epochs=2, class_weight=class_weight)
        finetune.finetune(network, tokenizer, train, validation, params, 3e-3, tmp_path / str(class_weight))
        logits = inference.score(network, tokenizer, test["text"].tolist(), max_length=32, batch_size=32).logits
        expected.append(softmax(logits, axis=1)[:, 1].mean())
    assert expected[1] > 3 * expected[0]


def test_balanced_weights_make_a_label_and_its_absence_count_alike():
    known = np.array([[1, 1], [0, 1], [0, 1], [0, 1]], bool)
    weight = class_weights.class_weights(known, 2)
    np.testing.assert_allclose(weight, [[4 / 6, 2], [2, 0.5]])
    logits = torch.tensor([[0.5, 1.0], [-1.0, 2.0], [0.0, 0.0], [1.0, -1.0]])
    single = functional.binary_cross_entropy_with_logits(logits, torch.tensor(known).float(), reduction="none").numpy()
    expected = (single * np.where(known, weight[1], weight[0])).sum(1).mean()
    loss = training.binary_cross_entropy(logits, torch.tensor(known), torch.from_numpy(weight))
    assert loss == pytest.approx(expected, rel=1e-5)


@pytest.mark.slow
def test_balanced_models_find_more_of_a_rare_label(mixed):
    rarely = [[id_ for id_ in ids if id_ != 2 or i % 6 == 0] for i, ids in enumerate(mixed.train["label"])]
    train = mixed.train.assign(label=rarely)
    texts = mixed.test["text"].tolist()
    plain, balanced = (Tfidf.fit(train, 1.0, weight).predict_proba(texts)[:, 2] for weight in (None, "balanced"))
    assert (balanced >= 0.5).sum() > (plain >= 0.5).sum()
    both = (baseline_settings(metric="macro_f1", class_weight=weight) for weight in (None, "balanced"))
    plain, balanced = (
        train_on_labels(mixed.labels, train, mixed.validation, params).student.predict_proba(texts) for params in both
    )
    assert balanced[:, 2].mean() > plain[:, 2].mean()
