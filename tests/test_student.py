import numpy as np
import pandas as pd
import pytest
import torch
from pydantic import ValidationError

from potstill.errors import PotstillError
from potstill.params.student import StudentParams
from potstill.student import tokenizer, training
from potstill.student.distil import distil, train_on_labels
from potstill.student.model import Student
from potstill.student.networks import ARCHITECTURES, count

SETTINGS = {
    "architecture": "mlp",
    "words": 60,
    "influence": 0.5,
    "ngrams": 1,
    "embedding": 4,
    "hidden": 8,
    "max_length": 32,
    "dropout": 0.0,
    "word_dropout": 0.0,
    "sources": None,
    "loss": "kl",
    "temperature": 1.0,
    "epochs": 20,
    "batch_size": 32,
    "learning_rate": 0.02,
    "weight_decay": 0.0,
    "threads": 1,
    "seed": 0,
}


def settings(**changes):
    return StudentParams(**(SETTINGS | changes))


def soft_labels(data):
    """Logits of an imaginary teacher that is right and rather sure."""
    return np.eye(3, dtype=np.float32)[data.train["label"]] * 4


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("loss", ["kl", "mse"])
def test_every_architecture_learns_from_soft_labels(architecture, loss, data):
    params = settings(architecture=architecture, loss=loss)
    student, best = distil(data.labels, data.train["text"].tolist(), soft_labels(data), data.validation, params)
    answers = student.predict_proba(data.test["text"].tolist())
    assert (answers.argmax(1) == data.test["label"]).mean() > 0.9
    np.testing.assert_allclose(answers.sum(1), 1, atol=1e-5)
    assert best["validation_accuracy"] > 0.9


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_saved_student_answers_the_same(architecture, data, tmp_path):
    student, _ = train_on_labels(
        data.labels, data.train, data.validation, settings(architecture=architecture, epochs=1)
    )
    student.save(tmp_path / "student")
    texts = [*data.test["text"], "", "  ", "unheard-of wörds ☕", "x " * 500]
    again = Student.load(tmp_path / "student")
    np.testing.assert_array_equal(again.predict_proba(texts), student.predict_proba(texts))
    assert again.parameters == student.parameters


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_padding_and_company_change_nothing(architecture):
    params = settings(architecture=architecture)
    student = Student.create(["a", "b"], ["one", "two", "three"], params)
    texts = ["one", "two three one two three", "three three two", ""]
    together = student.predict_proba(texts)
    alone = np.concatenate([student.predict_proba([text]) for text in texts])
    np.testing.assert_allclose(together, alone, atol=1e-6)


def test_recurrent_students_read_backwards_too():
    student = Student.create(["a", "b"], ["x", "y", "z"], settings(architecture="bigru"))
    reference = torch.nn.GRU(4, 8, batch_first=True, bidirectional=True)
    network = student.network
    names = [name for name, _ in network.forwards.named_parameters()]
    reference.load_state_dict(
        {name: getattr(network.forwards, name) for name in names}
        | {f"{name}_reverse": getattr(network.backwards, name) for name in names}
    )
    states, _ = reference(network.embedding(torch.tensor([[1, 2, 3]])))
    expected = network.head(states.amax(1)).softmax(-1)
    np.testing.assert_allclose(student.predict_proba(["x y z"]), expected.detach().numpy(), atol=1e-6)


@pytest.mark.parametrize(
    ("changes", "parameters"),
    [
        # The article's: 5000·16 + 16·6 + 6.
        ({"architecture": "mlp", "words": 5000, "hidden": 16}, 80_102),
        ({"architecture": "attention", "words": 600, "hidden": 4}, 2_451),
        ({"architecture": "cnn", "words": 1500, "embedding": 6, "hidden": 24}, 9_606),
        ({"architecture": "bigru", "words": 900, "embedding": 4, "hidden": 8}, 4_374),
    ],
)
def test_sizes_are_those_of_the_arithmetic(changes, parameters):
    params = settings(**changes)
    student = Student.create(list("abcdef"), [str(i) for i in range(params.words - 1)], params)
    assert count(student.network) == parameters


def test_the_same_seed_gives_the_same_student(data):
    def weights(seed):
        student, _ = train_on_labels(data.labels, data.train, data.validation, settings(epochs=2, seed=seed))
        return student.network.state_dict()["head.weight"]

    assert torch.equal(weights(1), weights(1))
    assert not torch.equal(weights(1), weights(2))


def test_the_best_epoch_is_kept(data):
    epochs = []
    student, best = train_on_labels(data.labels, data.train, data.validation, settings(epochs=6), epochs.append)
    assert [epoch["epoch"] for epoch in epochs] == [1, 2, 3, 4, 5, 6]
    assert best["validation_accuracy"] == max(epoch["validation_accuracy"] for epoch in epochs)
    right = student.predict_proba(data.validation["text"].tolist()).argmax(1) == data.validation["label"]
    assert right.mean() == pytest.approx(best["validation_accuracy"])


def test_sure_soft_labels_are_hard_labels():
    scores, labels = torch.randn(5, 3), torch.tensor([0, 1, 2, 1, 0])
    sure = torch.nn.functional.one_hot(labels, 3) * 200.0
    torch.testing.assert_close(training.kl(1.0)(scores, sure), training.cross_entropy(scores, labels))


def test_temperature_softens_both_sides():
    student, teacher = torch.randn(4, 3), torch.randn(4, 3)
    p, q = (teacher / 2).softmax(-1), (student / 2).softmax(-1)
    expected = 4 * (p * (p / q).log()).sum(-1).mean()
    torch.testing.assert_close(training.kl(2.0)(student, teacher), expected)


def test_words_are_chosen_by_what_moves_the_target():
    texts = ["the good day"] * 5 + ["the bad day"] * 5 + ["the day the day"] * 5
    targets = np.array([[0.9, 0.1]] * 5 + [[0.1, 0.9]] * 5 + [[0.5, 0.5]] * 5)
    assert set(tokenizer.choose(texts, targets, 2, influence=1.0)) == {"good", "bad"}
    assert tokenizer.choose(texts, targets, 2, influence=0.0) == ["day", "the"]  # 20 times each, so by name
    assert set(tokenizer.choose(texts, targets, 3, influence=0.67)) == {"good", "bad", "day"}
    assert len(tokenizer.choose(texts, targets, 100, influence=0.9)) == 4


def test_runs_of_words_get_rows_too():
    texts = ["not good"] * 5 + ["good"] * 5 + ["not bad"] * 5 + ["bad"] * 5
    targets = np.array([[0.1, 0.9], [0.9, 0.1], [0.9, 0.1], [0.1, 0.9]]).repeat(5, axis=0)
    assert set(tokenizer.choose(texts, targets, 2, influence=1.0, longest=2)) == {"not good", "not bad"}
    assert tokenizer.choose(texts, targets, 3, influence=0.67, longest=2)[2] == "bad"  # the rest are single words
    encoded = tokenizer.Lookup(["good", "not good"], max_length=3).encode(["a not good x", "not"])
    assert encoded.ids.tolist() == [0, 0, 1, 2, 0]
    assert encoded.lengths.tolist() == [4, 1]


def test_a_bag_of_runs_of_words_tells_what_a_bag_of_words_cannot():
    texts = ["a b c", "c b a"] * 50
    table = pd.DataFrame({"text": texts, "label": [0, 1] * 50})

    def accuracy(ngrams):
        _, best = train_on_labels(["x", "y"], table, table, settings(ngrams=ngrams))
        return best["validation_accuracy"]

    assert accuracy(1) == 0.5
    assert accuracy(2) == 1.0


def test_only_a_bag_takes_runs_of_words():
    with pytest.raises(ValidationError, match="only mlp takes more than 1"):
        settings(architecture="cnn", ngrams=2)


def test_words_and_signs_are_told_apart():
    assert tokenizer.words("Don't STOP,  ça va? ☕") == ["don", "'", "t", "stop", ",", "ça", "va", "?", "☕"]


def test_texts_are_cut_and_never_empty():
    encoded = tokenizer.Lookup(["a", "b"], max_length=3).encode(["b a b a", "", "c"])
    assert encoded.lengths.tolist() == [3, 1, 1]
    assert encoded.ids.tolist() == [2, 1, 2, tokenizer.UNKNOWN, tokenizer.UNKNOWN]


class TestDamage:
    @pytest.fixture
    def folder(self, tmp_path):
        Student.create(["a", "b"], ["x"], settings()).save(tmp_path / "student")
        return tmp_path / "student"

    @pytest.mark.parametrize("name", ["student.json", "model.safetensors"])
    def test_a_missing_truncated_or_foreign_file_is_named(self, folder, name):
        for content in (None, (folder / name).read_bytes()[:50], b"\x80\x04foreign", b"{}"):
            if content is None:
                (folder / name).unlink()
            else:
                (folder / name).write_bytes(content)
            with pytest.raises(PotstillError, match="student"):
                Student.load(folder)

    def test_weights_of_another_shape_are_refused(self, folder):
        text = (folder / "student.json").read_text().replace('"hidden": 8', '"hidden": 9')
        (folder / "student.json").write_text(text)
        with pytest.raises(PotstillError, match="damaged"):
            Student.load(folder)
