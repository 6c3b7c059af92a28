"""Model files of small Transformers: round trips, and what is refused."""

import dataclasses
import pickle

import numpy as np
import pytest

from potstill import Student
from potstill.core.errors import PotstillError
from potstill.runtime.file import FormatError, seal
from potstill.runtime.model import TRANSFORMER_MAGIC
from potstill.runtime.transformer import file
from potstill.runtime.transformer.shape import MAX_HEADS, MAX_POSITIONS, Shape
from potstill.runtime.transformer.tokenizer import Tokenizer
from potstill.runtime.transformer.weights import Matrix, Weights
from tests.transformers import SHAPE, SPEC, TOKENS, multi_label_transformer, transformer
from tools import fuzz

TEXTS = ["Good!", "not goodness", "", "ab é 日 \ud800 " * 9]


@pytest.mark.parametrize(
    "made",
    [
        transformer(),
        transformer(temperature=1.5, facts=fuzz.FACTS),
        multi_label_transformer(),
        transformer(dataclasses.replace(SHAPE, embedding=4, activation="relu", pooler="gelu")),
        transformer(dataclasses.replace(SHAPE, relative=True)),
        transformer(dataclasses.replace(SHAPE, smoothed=True)),
    ],
)
def test_a_file_gives_the_same_student(made, tmp_path):
    made.save(tmp_path / "a.pot")
    read = Student.load(tmp_path / "a.pot")
    assert type(read) is type(made)
    assert (read.labels, read.shape, read.facts) == (made.labels, made.shape, made.facts)
    assert (read.temperature, read.thresholds) == (made.temperature, made.thresholds)
    assert read.to_bytes() == made.to_bytes()
    np.testing.assert_array_equal(read.predict_proba(TEXTS), made.predict_proba(TEXTS))
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(read)).predict_proba(TEXTS), made.predict_proba(TEXTS))


def with_part(made=None, **parts):
    """A file of these parts, packed without checks."""
    return file._pack(dataclasses.replace(made or transformer(), **parts))


def with_shape(**changes):
    return with_part(shape=_Unchecked(**(dataclasses.asdict(SHAPE) | changes)))


class _Unchecked(Shape):
    """Stores any shape with the weights of the usual one."""

    def weights(self, classes):
        return SHAPE.weights(classes)


def with_ranges(name="layers.0.up", ends=(-1.0, 1.0), **others):
    weights = transformer().weights
    return with_part(weights=Weights(weights.matrices, weights.vectors, {**weights.ranges, name: ends, **others}))


def with_step(value):
    weights = transformer().weights
    matrix = weights.matrices["head.weight"]
    matrices = {**weights.matrices, "head.weight": Matrix(matrix.values, np.full_like(matrix.steps, value))}
    return with_part(weights=Weights(matrices, weights.vectors, weights.ranges))


def with_vector(value):
    weights = transformer().weights
    vectors = {**weights.vectors, "norm.bias": np.full(SHAPE.embedding, value, np.float32)}
    return with_part(weights=Weights(weights.matrices, vectors, weights.ranges))


def with_factor(value):
    made = transformer(dataclasses.replace(SHAPE, smoothed=True))
    vectors = {**made.weights.vectors, "layers.0.up.smoothing": np.full(SHAPE.hidden, value, np.float32)}
    return with_part(made, weights=Weights(made.weights.matrices, vectors, made.weights.ranges))


def with_tokenizer(cls=1, sep=2, **parts):
    return with_part(tokenizer=Tokenizer({**SPEC, **parts}, cls, sep, SHAPE.positions))


def with_model(**changes):
    return with_tokenizer(model={**SPEC["model"], **changes})


FORGED = {
    "an empty label": with_part(labels=["", "b", "c"]),
    "a label twice": with_part(labels=["a", "a", "b"]),
    "labels with a line break": with_part(labels=["a\n", "b", "c"]),
    "a label that is a number": with_part(labels=[1, "b", "c"]),
    "temperature 0": with_part(temperature=0.0),
    "temperature true": with_part(temperature=True),
    "too few thresholds": with_part(thresholds=[0.5]),
    "a threshold above 1": with_part(thresholds=[0.5, 0.5, 1.5]),
    "facts that are a list": with_part(facts=[1]),
    "facts with words": with_part(facts={"words": ""}),
    "metrics that are a number": with_part(facts={"metrics": 1}),
    "a range without width": with_ranges(ends=(0.0, 0.0)),
    "a range above 0": with_ranges(ends=(1.0, 2.0)),
    "a range too wide": with_ranges(ends=(-1.0, 1e30)),
    "a range of strings": with_ranges(ends=("a", "b")),
    "a range of nothing": with_ranges(ends=()),
    "a range of an unknown layer": with_ranges("layers.7.up"),
    "step 0": with_step(0.0),
    "step below 0": with_step(-1.0),
    "step NaN": with_step(np.nan),
    "step infinite": with_step(np.inf),
    "step so large that sums overflow": with_step(1000.0),
    "a vector with NaN": with_vector(np.nan),
    "a vector with infinity": with_vector(np.inf),
    "a factor below 1": with_factor(0.5),
    "a factor NaN": with_factor(np.nan),
    "no layers": with_shape(layers=0),
    "more layers": with_shape(layers=3),
    "a layer too few": with_shape(layers=1),
    "a million layers": with_shape(layers=10**6),
    "a width of a string": with_shape(hidden="8"),
    "a fraction of layers": with_shape(layers=2.0),
    "heads that do not divide the width": with_shape(heads=3),
    "too many heads": with_shape(heads=MAX_HEADS + 1),
    "too many positions": with_shape(positions=MAX_POSITIONS + 1),
    "an unknown activation": with_shape(activation="softmax"),
    "an unknown pooler": with_shape(pooler="gelu_tanh"),
    "distances without biases": with_shape(relative=True),
    "distances that are a number": with_shape(relative=1),
    "smoothing without factors": with_shape(smoothed=True),
    "epsilon 0": with_shape(epsilon=0.0),
    "epsilon below 0": with_shape(epsilon=-1.0),
    "cls beyond the tokens": with_tokenizer(cls=len(TOKENS)),
    "sep below 0": with_tokenizer(sep=-1),
    "cls true": with_tokenizer(cls=True),
    "a token too few": with_model(vocab={token: i for i, token in enumerate(TOKENS[:-1])}),
    "a token too many": with_model(vocab={token: i for i, token in enumerate([*TOKENS, "more"])}),
    "an id twice": with_model(vocab={token: min(i, 12) for i, token in enumerate(TOKENS)}),
    "an id of a string": with_model(vocab=dict.fromkeys(TOKENS, "1")),
    "an unknown token that is none": with_model(unk_token="[NONE]"),
    "words of any length": with_model(max_input_chars_per_word=10**9),
    "an unknown model": with_model(type="WordLevel"),
    "a model of a list": with_tokenizer(model=[]),
    "a regular expression": with_tokenizer(
        pre_tokenizer={"type": "Split", "pattern": {"Regex": "(a+)+$"}, "behavior": "Removed", "invert": False}
    ),
    "a binary table": with_tokenizer(normalizer={"type": "Precompiled", "precompiled_charsmap": "AAAA"}),
    "text that grows": with_tokenizer(normalizer={"type": "Replace", "pattern": {"String": "a"}, "content": "a" * 9}),
    "text that grows in a sequence": with_tokenizer(
        normalizer={
            "type": "Sequence",
            "normalizers": [{"type": "Replace", "pattern": {"String": "a"}, "content": "aa"}] * 9,
        }
    ),
    "a regular expression to replace": with_tokenizer(
        normalizer={"type": "Replace", "pattern": {"Regex": "(a+)+$"}, "content": ""}
    ),
    "an endless sequence": with_tokenizer(
        pre_tokenizer={"type": "Sequence", "pretokenizers": [{"type": "Whitespace"}] * 99}
    ),
    "an added token beyond the rows": with_tokenizer(
        added_tokens=[{**SPEC["added_tokens"][0], "id": len(TOKENS), "content": "[NEW]"}]
    ),
    "an empty added token": with_tokenizer(added_tokens=[{**SPEC["added_tokens"][0], "content": ""}]),
    "another key": with_tokenizer(decoder={"type": "WordPiece", "prefix": "##", "cleanup": True}),
    "a byte too many": with_part() + b"\0",
    "cut off": with_part()[:-1],
    "no weights": with_part()[:1000],
    "only a magic": b"pot2",
    "nothing else": b"pot2\0\0\0\0",
}


@pytest.mark.parametrize("name", FORGED)
def test_a_forged_file_is_refused(name):
    body = FORGED[name][8:]
    with pytest.raises(FormatError):
        Student.from_bytes(seal(TRANSFORMER_MAGIC, body))


def test_a_damaged_file_is_refused():
    whole = transformer().to_bytes()
    for at in range(4, len(whole), 97):
        with pytest.raises(FormatError, match="damaged"):
            Student.from_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])


@pytest.mark.parametrize("size", [0, 1, 2**31, 2**32 - 1])
def test_sizes_beyond_the_file_are_refused(size):
    body = transformer().to_bytes()[8:]
    for at in (0, 4):
        forged = body[:at] + size.to_bytes(4, "little") + body[at + 4 :]
        with pytest.raises(FormatError):
            Student.from_bytes(seal(TRANSFORMER_MAGIC, forged))


def test_a_student_that_no_file_holds_is_not_written():
    with pytest.raises(PotstillError, match="two classes are named 'a'"):
        transformer(labels=["a", "a"]).to_bytes()
    with pytest.raises(PotstillError, match="cannot hold this student"):
        transformer(temperature=None).to_bytes()


def test_the_largest_weights_give_numbers():
    made = transformer()
    matrices = {
        name: Matrix(np.full_like(matrix.values, 127), np.full_like(matrix.steps, file.MAX_STEP))
        for name, matrix in made.weights.matrices.items()
    }
    vectors = {name: np.full_like(vector, 65504) for name, vector in made.weights.vectors.items()}
    ranges = dict.fromkeys(made.weights.ranges, (-file.MAX_ACTIVATION, file.MAX_ACTIVATION))
    for pooler in ("tanh", "relu"):
        shape = dataclasses.replace(SHAPE, pooler=pooler)
        forged = dataclasses.replace(
            made, shape=shape, weights=Weights(matrices, vectors, ranges), temperature=file.MIN_TEMPERATURE
        )
        read = Student.from_bytes(forged.to_bytes())
        assert np.isfinite(read.decision_function(TEXTS)).all()
