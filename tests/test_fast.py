"""The compiled kernel answers as the portable path does."""

import dataclasses
import importlib.util
import shutil
import subprocess
import sys
import sysconfig
import threading
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from potstill.runtime import fast, tokenizer
from potstill.runtime.model import Student
from potstill.runtime.networks import ARCHITECTURES, Shape
from potstill.runtime.tokenizer import Fingerprints, Lookup, Words

ENTRIES = [
    "\0",
    "!",
    "?",
    "a",
    "ab",
    "café",
    "extraordinarily long word",
    "not good",
    "ss",
    "sixteen_letters_",
    "the",
    "σασ",
    "ça",
    "में",
    "日",
    "น้",
    "☕",
    "😀",
]
# Scripts with and without spaces, with marks that combine, joiners, and all that emoji are made of.
SCRIPTS = (
    "今天很好、手机。々〇㐀\U00020000コーヒー゛が\u3099ｶﾞㄅアンำน้ำ฿วันดี๑ລາວ່ါမြန်មាខ្រ។हिन्दी में্কமிழ்مَرْحَبًا می\u200cش\u200dරී"
    "Привет, мир! שָׁלוֹם 한국어ㅋㅋe\u0301\u0489❤️👍🏽👩‍👩‍👧1️⃣#️⃣🇩🇪🏴\U000e0067\U000e007f〰️㊗️\ufe0e\u20e3"
)
ODD = [
    "",
    "  \t\n\x0b\x1c\x85\xa0\u2028\u3000",
    "The THE a_b ab-a!?",
    "ΣΑΣ σας İ ß ẞ ﬁ ǅ",
    "not good, NOT  GOOD",
    "日本 日本語 ☕️😀👩‍👩‍👧 á",
    SCRIPTS,
    " ".join(SCRIPTS),
    "".join(f"a{character}日{character}!{character}" for character in SCRIPTS),
    "\x00\x01 a\x00b \ud800 \udfff lone ?",
    "x" * 1_000_000,
    "the ab " * 150_000,
    "sixteen_letters_ sixteen_letters_s sixteen_letters",
    "é" * 300_000,
]
TEXTS = st.lists(
    st.text(
        st.one_of(
            st.sampled_from([*"".join(ENTRIES), *SCRIPTS, " ", "Σ", "İ", "A", "\n", "1", "_"]),
            st.characters(codec=None),
        )
    )
    | st.lists(st.sampled_from([*ENTRIES, "unknown", "."])).map(" ".join),
    max_size=90,
)


def student(architecture, strings=True, longest=2, rows=None, classes=3, hidden=5, temperature=0.7):
    rng = np.random.default_rng(0)
    known = Words(sorted(ENTRIES))
    if not strings:
        salts = [3, 9]
        known = Fingerprints(sorted(tokenizer.fingerprint(tokenizer.checksum(e), salts, 9) for e in ENTRIES), salts, 9)
    lookup = Lookup(known, rows, longest if architecture == "mlp" else 1, 40)
    shape = Shape(architecture, 4, hidden)
    sizes = shape.weights(lookup.size, classes)
    weights = {name: rng.normal(size=size).astype(np.float32) for name, size in sizes.items()}
    return Student([f"c{i}" for i in range(classes)], lookup, shape, weights, (32, 32), {}, temperature)


def portable(made):
    """The same student without the kernel."""
    same = dataclasses.replace(made)
    same.__dict__["_kernel"] = None
    return same


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
def test_it_answers_as_numpy_does_on_any_text(architecture, strings, texts):
    agree(student(architecture, strings), texts)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize(("classes", "hidden"), [(2, 1), (8, 8), (9, 16), (77, 20)])
def test_it_does_so_at_any_width(architecture, classes, hidden):
    made = student(
        architecture, rows=[1, 2, 1, 3, 4, 5, 5, 5, 6, 7, 8, 9, 2, 1, 10, 4, 3, 6], classes=classes, hidden=hidden
    )
    agree(made, ODD)
    agree(made, ODD[:10] * 20)  # many texts take another way through memory


@pytest.mark.slow
@pytest.mark.parametrize("widest", [0, 1, 2])
def test_loops_for_every_processor_do_so(widest, tmp_path, monkeypatch):
    compiler = shutil.which("cc")
    if not compiler:
        pytest.skip("there is no C compiler")
    made = tmp_path / "_potstill.so"
    options = [f"-DWIDEST={widest}", "-DPy_LIMITED_API=0x030b0000", "-I", sysconfig.get_path("include"), "-Wno-psabi"]
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
            # Rounding grows from step to step in large random recurrent networks.
            for classes, hidden in ((2, 1), (8, 8), (9, 50 if architecture == "cnn" else 12)):
                agree(student(architecture, strings, classes=classes, hidden=hidden), [*texts, *ODD[:10]])


def test_a_table_too_large_to_fold_is_not(monkeypatch):
    monkeypatch.setattr(fast, "_LARGEST", 100)
    made = student("cnn")
    assert made._kernel is None
    assert made.predict(["not good"]).tolist() == portable(made).predict(["not good"]).tolist()


@pytest.mark.parametrize("longest", [1, 2, 5])
def test_runs_of_words_are_found(longest):
    made = student("mlp", longest=longest)
    agree(made, ["not good", "not", "good not good good", *ODD])


@pytest.mark.slow
def test_every_character_is_of_the_kind_that_python_says():
    points = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]
    texts = ["".join(f"a{chr(c)}ab{chr(c)} " for c in points[i : i + 4]) for i in range(0, len(points), 4)]
    made = student("mlp", longest=1)
    np.testing.assert_allclose(made.predict_proba(texts), portable(made).predict_proba(texts), atol=1e-5)


class TestCollections:
    TEXTS = ("not good", "", "日本 ab", "the extraordinarily")

    @pytest.mark.parametrize(
        "collect",
        [
            list,
            tuple,
            iter,
            np.array,
            lambda texts: np.array(texts, object),
            lambda texts: np.array(texts, np.dtypes.StringDType()),
            pd.Series,
            lambda texts: pd.Series(texts, dtype="string[pyarrow]"),
            lambda texts: pa.array(texts),
            lambda texts: pa.array(texts, pa.large_string()),
            lambda texts: pa.array(texts, pa.string_view()),
            lambda texts: pa.array(["x", *texts, "y"])[1:-1],
            lambda texts: pa.chunked_array([texts[:1], texts[1:]]),
        ],
    )
    @pytest.mark.parametrize("way", [lambda made: made, portable], ids=["fast", "portable"])
    def test_any_collection_of_strings_will_do(self, collect, way):
        made = student("cnn")
        expected = portable(made).predict_proba(list(self.TEXTS))
        np.testing.assert_allclose(way(made).predict_proba(collect(self.TEXTS)), expected, atol=1e-5)
        assert way(made).predict(collect(self.TEXTS)).tolist() == made.classes_[expected.argmax(1)].tolist()

    def test_one_string_is_one_text(self):
        made = student("cnn")
        for same in (made, portable(made)):
            assert same.predict("not good").tolist() == made.predict(["not good"]).tolist()

    def test_arrow_strings_with_invalid_utf8_do_no_harm(self):
        made = student("mlp")
        data = b"ab \xff\xc3 \xf0\x9f the"
        broken = pa.Array.from_buffers(
            pa.string(), 1, [None, pa.py_buffer(np.array([0, len(data)], "i4")), pa.py_buffer(data)]
        )
        np.testing.assert_allclose(made.predict_proba(broken), made.predict_proba([data.decode("utf-8", "replace")]))

    @pytest.mark.parametrize("way", [lambda made: made, portable], ids=["fast", "portable"])
    @pytest.mark.parametrize("texts", [["a", None], ["a", 3.5], [b"a"], pd.Series(["a", None])])
    def test_what_is_no_string_is_named(self, texts, way):
        with pytest.raises(TypeError, match=r"text [01] is of type"):
            way(student("mlp")).predict(texts)

    def test_what_arrow_lacks_is_named(self):
        with pytest.raises(TypeError, match="text 1 is missing"):
            student("mlp").predict(pa.array(["a", None]))
        with pytest.raises(TypeError, match="holds no strings"):
            student("mlp").predict(pa.array([1, 2]))
        with pytest.raises(TypeError, match="give its column"):
            student("mlp").predict(pa.table({"text": ["a"]}))


def test_threads_do_not_disturb_each_other():
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
