import dataclasses

import numpy as np
import pandas as pd
import pytest
import torch
from pydantic import ValidationError

from potstill.baseline.network import train_on_labels
from potstill.core.errors import PotstillError
from potstill.runtime import file, tokenizer
from potstill.runtime.model import Student
from potstill.runtime.networks import ARCHITECTURES, Shape
from potstill.student import networks, training, vocabulary
from potstill.student.distil import distil
from potstill.student.quantization import LearnedStepQuantizer
from tests.settings import baseline_settings, soft_labels, student_settings


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("loss", ["kl", "mse"])
def test_every_architecture_learns_from_soft_labels(architecture, loss, data):
    params = student_settings(architecture=architecture, loss=loss)
    trained = distil(data.labels, data.train["text"].tolist(), soft_labels(data), data.validation, params)
    answers = trained.student.predict_proba(data.test["text"])
    assert (answers.argmax(1) == data.test["label"]).mean() > 0.9
    np.testing.assert_allclose(answers.sum(1), 1, atol=1e-5)
    assert trained.best["validation_accuracy"] > 0.9


@pytest.mark.parametrize(
    ("changes", "parameters"),
    [
        # The article's: 5000·16 + 16·6 + 6.
        ({"architecture": "mlp", "vocab_size": 5000, "hidden": 16}, 80_102),
        ({"architecture": "attention", "vocab_size": 600, "hidden": 4}, 2_451),
        ({"architecture": "cnn", "vocab_size": 1500, "embedding_dim": 6, "hidden": 24}, 9_606),
        ({"architecture": "bigru", "vocab_size": 900, "embedding_dim": 4, "hidden": 8}, 4_374),
    ],
)
def test_networks_have_the_expected_number_of_parameters(changes, parameters):
    params = student_settings(**changes)
    network = networks.build(params, params.vocab_size, 6)
    assert sum(p.numel() for p in network.parameters()) == parameters
    shapes = Shape(params.architecture, params.embedding_dim, params.hidden).weights(params.vocab_size, 6)
    assert shapes == {name: tuple(weight.shape) for name, weight in network.state_dict().items()}


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


@pytest.mark.slow
@pytest.mark.parametrize("bits", [2, 4, 8])
def test_quantized_weights_are_multiples_of_steps_and_accurate(bits, data):
    params = student_settings(architecture="bigru", weight_bits=bits)
    trained = distil(data.labels, data.train["text"].tolist(), soft_labels(data), data.validation, params)
    student = trained.student
    assert trained.best["validation_accuracy"] > 0.9
    assert student.bits == (bits, min(8, bits + 2))
    for name, weight in student.weights.items():
        whole = weight / student.steps[name]
        np.testing.assert_allclose(whole, whole.round(), atol=1e-3)
        most = 2 ** (student.bits[name != "embedding.weight"] - 1) - 1
        assert abs(whole).max() <= most + 1e-3


def test_initial_steps_minimize_the_rounding_error():
    network = torch.nn.Linear(50, 20)
    quantizer = LearnedStepQuantizer(network, 6)
    quantizer.init_steps()
    errors = [(quantizer()[name] - weight).abs().max() for name, weight in network.named_parameters()]
    largest = max(step.item() for step in quantizer.steps().values())
    assert max(errors) <= largest / 2 + 1e-6
    assert largest < 0.01  # weights lie within 0.142, in 31 steps each way


def test_gradients_pass_through_the_rounding_to_weights_and_steps():
    network = torch.nn.Linear(3, 2)
    quantizer = LearnedStepQuantizer(network, 4)
    quantizer.init_steps()
    quantizer()["weight"].sum().backward()
    assert (network.weight.grad == 1).sum() >= 5  # the largest weight may be cut off
    assert quantizer.log_steps[0].grad != 0


def chosen(texts, targets, size, informative_share, max_ngram=1):
    return vocabulary.choose(vocabulary.count(texts, targets, max_ngram), size, informative_share)


def test_the_most_informative_words_are_chosen():
    texts = ["the good day"] * 5 + ["the bad day"] * 5 + ["the day the day"] * 5
    targets = np.array([[0.9, 0.1]] * 5 + [[0.1, 0.9]] * 5 + [[0.5, 0.5]] * 5)
    assert set(chosen(texts, targets, 2, informative_share=1.0)) == {"good", "bad"}
    assert chosen(texts, targets, 2, informative_share=0.0) == ["day", "the"]  # 20 times each, so by name
    assert set(chosen(texts, targets, 3, informative_share=0.67)) == {"good", "bad", "day"}
    assert len(chosen(texts, targets, 100, informative_share=0.9)) == 4


def test_informative_ngrams_are_chosen():
    texts = ["not good"] * 5 + ["good"] * 5 + ["not bad"] * 5 + ["bad"] * 5
    targets = np.array([[0.1, 0.9], [0.9, 0.1], [0.9, 0.1], [0.1, 0.9]]).repeat(5, axis=0)
    assert set(chosen(texts, targets, 2, informative_share=1.0, max_ngram=2)) == {"not good", "not bad"}
    assert chosen(texts, targets, 3, informative_share=0.67, max_ngram=2)[2] == "bad"  # the rest are single words


def make_words(number, seed=0):
    """Texts of made-up words, of which the first third determine the target."""
    rng = np.random.default_rng(seed)
    names = [f"w{i:x}" for i in range(number)]
    texts = [" ".join(rng.choice(names, 8)) for _ in range(number * 3)]
    targets = np.array([[0.5 + 0.4 * (text.count("w1") > 1), 0.5 - 0.4 * (text.count("w1") > 1)] for text in texts])
    return texts, targets


def test_a_vocabulary_of_strings_finds_its_words_only():
    texts, targets = make_words(600)
    lookup, names = vocabulary.build(texts, targets, student_settings(vocab_size=200, fingerprint_bits=None))
    assert [lookup.row(name) for name in names] == list(range(1, 200))
    assert lookup.entries.strings == names == sorted(names)
    others = {word for text in texts for word in text.split()} - set(names)
    assert {lookup.row(word) for word in others} == {tokenizer.UNKNOWN}


@pytest.mark.parametrize(("words", "fingerprint"), [(2, 1), (20, 2), (200, 4), (500, 1)])
def test_every_row_of_a_vocabulary_of_fingerprints_has_a_word(words, fingerprint):
    texts, targets = make_words(600)
    lookup, names = vocabulary.build(texts, targets, student_settings(vocab_size=words, fingerprint_bits=fingerprint))
    assert [lookup.row(name) for name in names] == list(range(1, words))
    assert lookup.entries.prints == sorted(set(lookup.entries.prints))


def test_truncated_texts_are_counted():
    assert vocabulary.truncated_share(["a b c", "a b c d", "abcdef", "今天很好", ""], 3) == 0.4


def test_words_with_similar_targets_share_a_row():
    texts = ["good day", "great day", "bad day", "awful day", "so so"] * 5
    targets = np.array([[0.1, 0.9], [0.1, 0.9], [0.9, 0.1], [0.9, 0.1], [0.5, 0.5]] * 5)
    lookup, names = vocabulary.build(texts, targets, student_settings(vocab_size=7, embedding_rows=4))
    good, great, bad, awful, day, so = (lookup.row(word) for word in ("good", "great", "bad", "awful", "day", "so"))
    assert {good, bad, day} == {1, 2, 3}
    assert (great, awful, so) == (good, bad, day)
    assert lookup.row("else") == tokenizer.UNKNOWN
    assert lookup.size == 4
    assert sorted(names) == ["awful", "bad", "day", "good", "great", "so"]


def test_rows_are_at_most_the_number_of_distinct_targets():
    texts = ["good", "great", "bad", "awful"] * 5
    targets = np.array([[0.0, 1.0], [0.0, 1.0], [1.0, 0.0], [1.0, 0.0]] * 5)
    lookup, _ = vocabulary.build(texts, targets, student_settings(vocab_size=5, embedding_rows=4))
    assert lookup.size == 3
    assert sorted(lookup.rows) == [1, 1, 2, 2]


@pytest.mark.parametrize("architecture", ["mlp", "bigru"])
def test_a_student_with_shared_rows_learns(architecture, data):
    params = student_settings(architecture=architecture, embedding_rows=20)
    trained = distil(data.labels, data.train["text"].tolist(), soft_labels(data), data.validation, params)
    assert len(trained.words) == 59
    assert len(trained.student.weights["embedding.weight"]) == 20
    assert (trained.student.predict_proba(data.test["text"]).argmax(1) == data.test["label"]).mean() > 0.9


@pytest.mark.parametrize("words", [5, 50])
def test_as_many_rows_as_words_are_not_shared(words):
    lookup, names = vocabulary.build(
        ["b a d", "c"], np.full((2, 2), 0.5), student_settings(vocab_size=words, embedding_rows=words)
    )
    assert lookup.rows is None
    assert sorted(map(lookup.row, names)) == [1, 2, 3, 4]


def test_a_vocabulary_larger_than_the_words_has_them_all():
    _, names = vocabulary.build(["b a", "c"], np.full((2, 2), 0.5), student_settings(vocab_size=50))
    assert sorted(names) == ["a", "b", "c"]


def test_salts_reduce_fingerprint_collisions():
    texts, targets = make_words(2000)
    lookup, names = vocabulary.build(texts, targets, student_settings(vocab_size=200, fingerprint_bits=3))
    others = {word for text in texts for word in text.split()} - set(names)
    mistaken = sum(lookup.row(word) != tokenizer.UNKNOWN for word in others)
    unsalted = dataclasses.replace(lookup.entries, salts=[0] * len(lookup.entries.salts))
    plain = dataclasses.replace(lookup, entries=unsalted)
    assert mistaken < 0.7 * sum(plain.row(word) != tokenizer.UNKNOWN for word in others)


def test_ngrams_let_a_bag_of_words_learn_word_order():
    texts = ["a b c", "c b a"] * 50
    table = pd.DataFrame({"text": texts, "label": [0, 1] * 50})

    def accuracy(ngrams):
        trained = train_on_labels(["x", "y"], table, table, baseline_settings(max_ngram=ngrams))
        return trained.best["validation_accuracy"]

    assert accuracy(1) == 0.5
    assert accuracy(2) == 1.0


def test_only_mlp_takes_ngrams():
    with pytest.raises(ValidationError, match="must be 1 unless architecture is mlp"):
        student_settings(architecture="cnn", max_ngram=2)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("vocab_size", file.MAX_WORDS + 1),
        ("embedding_rows", file.MAX_WORDS + 1),
        ("max_ngram", file.MAX_NGRAM + 1),
        ("embedding_dim", file.MAX_WIDTH + 1),
        ("hidden", file.MAX_WIDTH + 1),
        ("max_length", file.MAX_LENGTH + 1),
        ("max_length", 0),
        ("weight_bits", 9),
        ("fingerprint_bits", 17),
        ("seed", 2**32),
        ("temperature", float("inf")),
        ("weight_decay", float("inf")),
    ],
)
def test_parameters_beyond_the_limits_of_the_file_are_rejected(key, value):
    with pytest.raises(ValidationError, match=key):
        student_settings(**{key: value})


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_largest_parameters_can_be_saved(architecture):
    most = {
        "max_length": file.MAX_LENGTH,
        "hidden": 3,
        "embedding_dim": file.MAX_WIDTH,
        "weight_bits": 8,
        "fingerprint_bits": 16,
    }
    params = student_settings(
        architecture=architecture, max_ngram=file.MAX_NGRAM if architecture == "mlp" else 1, **most, epochs=1
    )
    table = pd.DataFrame({"text": ["a b", "c d e"], "label": [0, 1]})
    trained = distil(["x", "y"], ["a b c d e f g"] * 40, np.zeros((40, 2), np.float32), table, params)
    assert Student.from_bytes(trained.student.to_bytes()).vocabulary == trained.student.vocabulary


@pytest.mark.parametrize(
    ("labels", "message"),
    [(["a" * 70_000, "b"], "70,002 bytes"), (["a\nb", "c"], "line break"), (["a", "a"], "two classes are named")],
)
def test_labels_beyond_the_limits_of_the_file_are_rejected_before_training(labels, message, data, monkeypatch):
    monkeypatch.setattr(training, "fit", None)
    with pytest.raises(PotstillError, match=message):
        distil(labels, ["a b"], np.zeros((1, 2), np.float32), data.validation, student_settings())


def test_overlong_words_are_not_chosen():
    texts = ["short " + "x" * 1_000_000, "y" * 256] * 5
    lookup, names = vocabulary.build(texts, np.full((10, 2), 0.5), student_settings(fingerprint_bits=None))
    assert lookup.entries.strings == names == ["short", "y" * 256]


@pytest.mark.parametrize("rows", [None, 2])
def test_texts_without_words_give_a_student_without_vocabulary(rows):
    params = student_settings(vocab_size=5, embedding_rows=rows, fingerprint_bits=None, epochs=1)
    table = pd.DataFrame({"text": ["\u0301", "\u200d"], "label": [0, 1]})
    trained = distil(["x", "y"], ["\u0301"] * 40, np.zeros((40, 2), np.float32), table, params)
    assert Student.from_bytes(trained.student.to_bytes()).words == []
