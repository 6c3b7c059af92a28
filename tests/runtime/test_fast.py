"""The compiled kernel predicts what numpy does."""

import importlib.util
import shutil
import subprocess
import sys
import sysconfig
import threading
import time
from array import array
from collections import UserDict, UserString, deque
from pathlib import Path

import datasets
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings

from potstill.runtime import fast, tokenizer
from potstill.runtime.networks import ARCHITECTURES
from tests.students import ENTRIES, ODD, TEXTS, portable, student


class Text(str):
    """A subclass of str."""


def agree(made, texts):
    slow = portable(made)
    assert made._kernel
    np.testing.assert_allclose(made.predict_proba(texts), slow.predict_proba(texts), atol=1e-5)
    np.testing.assert_allclose(made.decision_function(texts), slow.decision_function(texts), atol=1e-4)
    assert made.predict(texts).tolist() == slow.predict(texts).tolist()


def test_there_is_a_kernel():
    assert fast.kernel, "run `pip install -e .` where there is a C compiler"


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("strings", [True, False], ids=["strings", "fingerprints"])
@settings(max_examples=60, deadline=None)
@given(texts=TEXTS)
def test_it_predicts_what_numpy_does_on_any_text(architecture, strings, texts):
    agree(student(architecture, strings), texts)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize(("classes", "hidden"), [(2, 1), (8, 8), (9, 16), (77, 20)])
@pytest.mark.slow
def test_it_predicts_what_numpy_does_at_any_width(architecture, classes, hidden):
    made = student(
        architecture, rows=[1, 2, 1, 3, 4, 5, 5, 5, 6, 7, 8, 9, 2, 1, 10, 4, 3, 6], classes=classes, hidden=hidden
    )
    agree(made, ODD)
    agree(made, ODD[:10] * 20)  # many texts are scored in batches


@pytest.mark.slow
@pytest.mark.parametrize("widest", [0, 1, 2])
def test_the_loops_of_every_instruction_set_predict_what_numpy_does(widest, tmp_path, monkeypatch):
    compiler = shutil.which("cc")
    if not compiler:
        pytest.skip("there is no C compiler")
    made = tmp_path / "_potstill.so"
    options = [f"-DWIDEST={widest}", "-DPy_LIMITED_API=0x030b0000", "-I", sysconfig.get_path("include"), "-Wno-psabi"]
    options.append("-Werror=implicit-function-declaration")  # functions outside the limited API are not declared
    undefined = ["-undefined", "dynamic_lookup"] if sys.platform == "darwin" else []
    source = Path(fast.__file__).with_name("kernel.c")
    subprocess.run([compiler, "-O2", "-fPIC", "-shared", *options, *undefined, source, "-o", made], check=True)
    spec = importlib.util.spec_from_file_location("_potstill", made)
    monkeypatch.setattr(fast, "kernel", importlib.util.module_from_spec(spec))
    spec.loader.exec_module(fast.kernel)
    rng = np.random.default_rng(0)
    signs = [*"".join(ENTRIES), *" \n\x00A_1.", "ab " * 40, "x" * 16, "x" * 17]
    texts = ["".join(rng.choice(signs, size)) for size in range(150)]
    for architecture in ARCHITECTURES:
        for strings in (True, False):
            # Rounding errors accumulate in large random recurrent networks.
            for classes, hidden in ((2, 1), (8, 8), (9, 50 if architecture == "cnn" else 12)):
                agree(student(architecture, strings, classes=classes, hidden=hidden), [*texts, *ODD[:10]])


def test_a_table_too_large_to_fold_runs_in_numpy(monkeypatch):
    monkeypatch.setattr(fast, "_LARGEST", 100)
    made = student("cnn")
    assert made._kernel is None
    assert made.predict(["not good"]).tolist() == portable(made).predict(["not good"]).tolist()


@pytest.mark.parametrize("max_ngram", [1, 2, 5])
def test_ngrams_are_found(max_ngram):
    made = student("mlp", max_ngram=max_ngram)
    agree(made, ["not good", "not", "good not good good", *ODD])


@pytest.mark.slow
def test_every_character_has_the_same_kind_as_in_python():
    points = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]
    texts = ["".join(f"a{chr(c)}ab{chr(c)} " for c in points[i : i + 4]) for i in range(0, len(points), 4)]
    made = student("mlp", max_ngram=1)
    np.testing.assert_allclose(made.predict_proba(texts), portable(made).predict_proba(texts), atol=1e-5)


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


class TestLongTexts:
    TEXTS = ("ab " * 50_000, "x" * 100_000, "İΣσ日 e\u0301 ab\u200d " * 10_000, "é\ud800" * 50_000)

    @pytest.mark.parametrize("strings", [True, False], ids=["strings", "fingerprints"])
    def test_they_are_scored_as_short_ones_are(self, strings):
        made = student("mlp", strings)
        agree(made, list(self.TEXTS))
        valid = [text.replace("\ud800", "?") for text in self.TEXTS]
        expected = made.predict_proba(valid)
        np.testing.assert_array_equal(made.predict_proba(pa.array(valid)), expected)
        np.testing.assert_array_equal(made.predict_proba(pa.array(valid, pa.string_view())), expected)

    @pytest.mark.parametrize("piece", [1, 2, 3, 5])
    def test_lower_casing_by_pieces_changes_nothing(self, piece, monkeypatch):
        monkeypatch.setattr(fast, "_PIECE", piece)
        for text in ODD[:10]:
            assert fast._lower_long(text) == tokenizer.lower(text).encode()
        assert fast._lower_long("AB É日 😀É".encode()) == "ab é日 😀é".encode()
        for broken in (b"the \xff", b"AB\xe6\x97 the", b"the \xe6"):
            with pytest.raises(UnicodeDecodeError):
                fast._lower_long(broken)

    @pytest.mark.parametrize(
        ("texts", "architecture"),
        [
            (["x" * 20_000_000], "mlp"),
            (["x" * 400_000] * 50, "mlp"),
            (["é" * 4_000_000], "mlp"),
            (pa.array(["x" * 20_000_000]), "mlp"),
            (pa.array(["é" * 4_000_000]), "mlp"),
            (["the ab " * 20] * 40, "bigru"),
        ],
        ids=["one word", "a few", "not ASCII", "Arrow", "Arrow, not ASCII", "large network"],
    )
    def test_the_gil_is_released(self, texts, architecture):
        """A thread that wakes up every millisecond never waits for most of the call."""
        made = student(architecture, strings=False, max_ngram=1, hidden=256)
        beats, over = [], threading.Event()
        made.predict("é")

        def beat():
            while not over.wait(0.001):
                beats.append(time.perf_counter())

        thread = threading.Thread(target=beat)
        thread.start()
        try:
            for _ in range(20):  # on a busy machine the thread may wait for other reasons
                start = time.perf_counter()
                made.predict(texts)
                end = time.perf_counter()
                times = [start, *(at for at in list(beats) if start < at < end), end]
                if max(np.diff(times)) < (end - start) / 2:
                    return
        finally:
            over.set()
            thread.join()
        pytest.fail("the GIL was held")

    def test_a_list_may_change_during_the_call(self):
        made = student("cnn")
        new = [lambda: f"{'x' * 300_000} ab"[300_001:] + " the" * 50_000, lambda: "é not good" * 50_000]
        expected = made.predict_proba([make() for make in new])
        for _ in range(5):
            texts = [make() for make in new]
            thread = threading.Thread(target=lambda texts=texts: (texts.clear(), bytearray(b"!" * 3_000_000)))
            thread.start()
            found = made.predict_proba(texts)
            thread.join()
            assert len(found) == 0 or (found == expected).all()


def test_it_is_thread_safe():
    made = student("bigru")
    texts = [f"the ab {i} not good é{i}" for i in range(5000)]
    expected = made.predict_proba(texts)
    found = {}

    def work(number):
        found[number] = made.predict_proba(texts)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all((found[number] == expected).all() for number in range(4))
