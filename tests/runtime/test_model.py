"""The class `Student`: predictions for texts in any collection."""

import dataclasses
import subprocess
import sys
from array import array
from collections import UserDict, UserString, deque

import datasets
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from potstill.core.errors import PotstillError
from potstill.runtime import model
from potstill.runtime.model import Student
from potstill.runtime.networks import ARCHITECTURES
from tests.students import portable, student
from tests.torch_students import SHORT_TEXTS, student_and_network
from tests.transformers import transformer


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_predictions_do_not_depend_on_the_batch(architecture):
    made, _ = student_and_network(architecture)
    alone = np.concatenate([made.predict_proba([text]) for text in SHORT_TEXTS])
    np.testing.assert_allclose(made.predict_proba(SHORT_TEXTS), alone, atol=1e-6)
    assert made.predict(SHORT_TEXTS).tolist() == made.classes_[alone.argmax(1)].tolist()
    assert made.predict_proba([]).shape == (0, 3)
    assert made.predict([]).shape == (0,)


def test_few_long_texts_are_padded_to_one_length(monkeypatch):
    """A text of subwords may be a hundred times as long as others, which would all be padded to its length."""
    made, sizes = student("cnn", subwords=True), []
    monkeypatch.setattr(model, "BATCH_IDS", 4000)
    padded = model.pad
    monkeypatch.setattr(model, "pad", lambda *given: sizes.append(padded(*given)[0].shape) or padded(*given))
    long = " ".join(["é" * 100] * 40)
    portable(made).predict([long, long, *["the"] * 600])
    assert sizes == [(1, 4000), (1, 4000), (512, 1), (88, 1)]


def test_repr_is_one_line(tmp_path):
    made, _ = student_and_network("bigru")
    size = len(made.to_bytes())
    assert repr(made) == f"Student(bigru, 3 labels, {made.parameters} parameters, {size:,} bytes)"


@pytest.mark.parametrize("made", [student_and_network("bigru")[0], transformer()])
def test_students_can_be_compared_and_hashed(made):
    other = dataclasses.replace(made)
    assert made in {made}
    assert made != other
    assert other not in [made]


def test_the_package_lists_its_names():
    import potstill

    assert potstill.Student is Student
    assert {"Student", "__version__"} <= set(dir(potstill))
    assert potstill.__all__ == ["DistilledClassifier", "PotstillError", "Student", "Teacher"]


@pytest.mark.parametrize("name", ["a\0b.pot", "a\ud800.pot"])
def test_an_invalid_file_name_is_refused(name, tmp_path):
    with pytest.raises(PotstillError, match="invalid file name"):
        student_and_network()[0].save(tmp_path / name)
    with pytest.raises(PotstillError, match="cannot be loaded"):
        Student.load(tmp_path / name)


def test_temperature_lowers_probabilities_and_keeps_labels():
    made, _ = student_and_network()
    softer = dataclasses.replace(made, temperature=3.0)
    assert softer.predict(SHORT_TEXTS).tolist() == made.predict(SHORT_TEXTS).tolist()
    assert softer.predict_proba(SHORT_TEXTS).max() < made.predict_proba(SHORT_TEXTS).max()


def test_it_needs_neither_torch_nor_pandas(tmp_path):
    made, _ = student_and_network()
    made.save(tmp_path / "a.pot")
    program = (
        "import sys; from pathlib import Path; from potstill.runtime.model import Student\n"
        "print(Student.load(Path(sys.argv[1])).predict(['one two'])[0])\n"
        "print(sorted({name.split('.')[0] for name in sys.modules} & {'torch', 'pandas', 'scipy', 'safetensors'}))"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "a.pot")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[0] in made.labels
    assert done.stdout.split("\n")[1] == "[]"


class Text(str):
    """A subclass of str."""


def _kind(texts):
    """A test id that is the same in every process: the repr of an Arrow array contains its address."""
    return f"{type(texts).__module__}.{type(texts).__name__} {getattr(texts, 'dtype', getattr(texts, 'type', ''))}"


class TestCollections:
    TEXTS = ("not good", "", "日本 ab", "the extraordinarily")

    @pytest.mark.parametrize(
        "collect",
        [
            list,
            tuple,
            iter,
            deque,
            lambda texts: dict.fromkeys(texts).keys(),
            lambda texts: [np.str_(text) for text in texts],
            lambda texts: [Text(text) for text in texts],
            np.array,
            lambda texts: np.array(texts, object),
            lambda texts: np.array(texts, np.dtypes.StringDType()),
            np.ma.array,
            pd.Series,
            lambda texts: pd.Series(texts, index=[7, 7, "a", None]),
            lambda texts: pd.Series(texts, dtype="string"),
            lambda texts: pd.Series(texts, dtype="string[pyarrow]"),
            lambda texts: pd.Series(texts, dtype=pd.ArrowDtype(pa.dictionary(pa.int32(), pa.string()))),
            lambda texts: pd.Series(texts, dtype="category"),
            pd.Categorical,
            pd.Index,
            pl.Series,
            lambda texts: pl.Series(texts, dtype=pl.Categorical),
            lambda texts: pl.Series(texts, dtype=pl.Enum(texts)),
            lambda texts: datasets.Dataset.from_dict({"text": texts})["text"],
            lambda texts: pa.array(texts),
            lambda texts: pa.array(texts).dictionary_encode(),
            lambda texts: pa.chunked_array([pa.array(texts).dictionary_encode()]),
            lambda texts: pa.RunEndEncodedArray.from_arrays([1, 2, 3, 4], texts),
            lambda texts: pa.array(texts, pa.large_string()),
            lambda texts: pa.array(texts, pa.string_view()),
            lambda texts: pa.array(["x", *texts, "y"])[1:-1],
            lambda texts: pa.chunked_array([texts[:1], texts[1:]]),
        ],
    )
    @pytest.mark.parametrize("way", [lambda made: made, portable], ids=["fast", "portable"])
    def test_any_collection_of_strings_is_accepted(self, collect, way):
        made = student("cnn")
        expected = portable(made).predict_proba(list(self.TEXTS))
        np.testing.assert_allclose(way(made).predict_proba(collect(self.TEXTS)), expected, atol=1e-5)
        assert way(made).predict(collect(self.TEXTS)).tolist() == made.classes_[expected.argmax(1)].tolist()

    def test_one_string_is_one_text(self):
        made = student("cnn")
        for same in (made, portable(made)):
            assert same.predict("not good").tolist() == made.predict(["not good"]).tolist()

    @pytest.mark.parametrize("way", [lambda made: made, portable], ids=["fast", "portable"])
    @pytest.mark.parametrize("bad", [b"ab \xff the", b"\xed\xa0\x80", "é".encode()[:1], b"a" * 70_000 + b"\xff"])
    @pytest.mark.parametrize(
        "collect",
        [
            lambda texts: texts,
            lambda texts: pa.chunked_array([texts[:1], texts[1:]]),
            lambda texts: pa.DictionaryArray.from_arrays([0, 1, 2], texts),
            lambda texts: pd.Series(texts, dtype=pd.ArrowDtype(pa.string())),
        ],
        ids=["array", "chunked", "dictionary", "pandas"],
    )
    def test_arrow_strings_that_are_not_utf8_are_refused(self, collect, bad, way):
        broken = pa.StringArray.from_buffers(3, *pa.array(["é", bad, b"b"], pa.binary()).buffers()[1:])
        with pytest.raises(ValueError, match=r"^text 1 is not UTF-8: leave it out$"):
            way(student("mlp")).predict(collect(broken))

    @pytest.mark.parametrize("way", [lambda made: made, portable], ids=["fast", "portable"])
    @pytest.mark.parametrize(
        "texts",
        [
            ["a", None],
            ("a", float("nan")),
            ["a", np.float32("nan")],
            ["a", pd.NA],
            ["a", pd.NaT],
            np.array(["a", None]),
            np.ma.array(["a", "b"], mask=[False, True]),
            np.array(["a", np.nan], np.dtypes.StringDType(na_object=np.nan)),
            pd.Series(["a", None]),
            pd.Series(["a", None], dtype="string"),
            pd.Series(["a", None], dtype=pd.ArrowDtype(pa.string())),
            pd.Series(["a", None], dtype="category"),
            pl.Series(["a", None]),
            pl.Series(["a", None], dtype=pl.Categorical),
            pa.array(["a", None]),
            pa.array(["x", "a", None])[1:],
            pa.array(["a", None], pa.string_view()),
            pa.array(["a", None]).dictionary_encode(),
            pa.chunked_array([["a"], [None]]),
        ],
        ids=_kind,
    )
    def test_the_position_of_a_missing_text_is_given(self, texts, way):
        for ask in (way(student("mlp")).predict, way(student("mlp")).predict_proba):
            with pytest.raises(TypeError, match=r"^text 1 is missing: leave it out$"):
                ask(texts)

    @pytest.mark.parametrize("way", [lambda made: made, portable], ids=["fast", "portable"])
    @pytest.mark.parametrize(
        ("texts", "kind"),
        [
            (["a", 3.5], "float"),
            (["a", b"a"], "bytes"),
            (["a", ["b"]], "list"),
            ([{"text": "b"}], "dict"),
            (np.array([b"a", b"b"])[[0, 1]], "bytes"),
            (np.array([1, 2]), "int"),
            (np.array([("a", 1)], [("text", "U3"), ("n", int)]), "tuple"),
            (pd.Series([1]), "int"),
            (pl.Series([["a"]]), "list"),
            (pa.array([1, 2]), "int"),
            (pa.array([b"a"]), "bytes"),
            ([pa.scalar("a")], "StringScalar"),
            (UserString("abc"), "UserString"),
        ],
    )
    def test_the_type_of_a_text_that_is_not_a_string_is_given(self, texts, kind, way):
        with pytest.raises(TypeError, match=rf"text [01] is not a string \(found: {kind}\)"):
            way(student("mlp")).predict(texts)

    @pytest.mark.parametrize("way", [lambda made: made, portable], ids=["fast", "portable"])
    @pytest.mark.parametrize(
        ("texts", "advice"),
        [
            (pd.DataFrame({"text": ["a"]}), "type DataFrame: give its column of texts"),
            (pd.DataFrame(), "give its column of texts"),
            (pl.DataFrame({"text": ["a"]}), "type DataFrame: give its column of texts"),
            (pl.LazyFrame({"text": ["a"]}), "give its column of texts"),
            (pa.table({"text": ["a"]}), "type Table: give its column of texts"),
            (pa.RecordBatch.from_pydict({"text": ["a"]}), "give its column of texts"),
            (datasets.Dataset.from_dict({"text": ["a"]}), "give its column of texts"),
            ({"text": ["a"]}, "type dict: give its column of texts"),
            (UserDict(text="a"), "give its column of texts"),
            (np.array("abc"), "0 dimensions"),
            (np.array([["a", "b"]]), "2 dimensions"),
            (np.array([["a"], ["b"]]), "2 dimensions"),
            ({"a", "b"}, "type set, which has no order"),
            (frozenset(), "which has no order"),
            (b"", "type bytes: decode it"),
            (bytearray(b"abc"), "decode it"),
            (memoryview(b"abc"), "decode it"),
            (array("u", "abc"), "decode it"),
            (None, "type NoneType: give a string, or a list"),
            (3, "type int: give a string, or a list"),
            (pa.scalar("a"), "give a string, or a list"),
            (pl.col("text"), "give a string, or a list"),
        ],
        ids=lambda value: type(value).__name__,
    )
    def test_what_is_not_a_collection_of_texts_is_refused(self, texts, advice, way):
        with pytest.raises(TypeError, match=advice):
            way(student("mlp")).predict(texts)

    def test_rows_of_a_table_in_arrow_are_refused(self):
        for texts in (pa.table({"text": ["a"]}).to_reader(), pa.array([{"text": "a"}])):
            with pytest.raises(TypeError, match="give its column"):
                student("mlp").predict(texts)
