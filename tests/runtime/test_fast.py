"""The compiled kernel predicts what numpy does."""

import dataclasses
import importlib.util
import shutil
import subprocess
import sys
import sysconfig
import threading
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit

from potstill.runtime import fast, tokenizer
from potstill.runtime.networks import ARCHITECTURES
from tests.students import ENTRIES, KINDS, ODD, PIECES, TEXTS, multi_label_student, portable, student


def agree(made, texts):
    slow = portable(made)
    assert made._kernel
    np.testing.assert_allclose(made.predict_proba(texts), slow.predict_proba(texts), atol=1e-5)
    np.testing.assert_allclose(made.decision_function(texts), slow.decision_function(texts), atol=1e-4)
    assert made.predict(texts).tolist() == slow.predict(texts).tolist()


def test_there_is_a_kernel():
    assert fast.kernel, "run `pip install -e .` where there is a C compiler"


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=60, deadline=None)
@given(texts=TEXTS)
def test_it_predicts_what_numpy_does_on_any_text(architecture, kind, texts):
    agree(student(architecture, **KINDS[kind]), texts)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize(("classes", "hidden"), [(2, 1), (8, 8), (9, 16), (77, 20)])
@pytest.mark.slow
def test_it_predicts_what_numpy_does_at_any_width(architecture, classes, hidden):
    made = student(
        architecture, rows=[1, 2, 1, 3, 4, 5, 5, 5, 6, 7, 8, 9, 2, 1, 10, 4, 3, 6], classes=classes, hidden=hidden
    )
    agree(made, ODD)
    agree(made, ODD[:10] * 20)  # many texts are scored in batches
    made = student(architecture, classes=classes, hidden=hidden, subwords=True)
    agree(made, ODD[:-1])  # rounding errors accumulate in the last one's hundreds of pieces
    agree(made, [*ODD[:10], ODD[-2]] * 20)


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
        for kind in KINDS.values():
            # Rounding errors accumulate in large random recurrent networks.
            for classes, hidden in ((2, 1), (8, 8), (9, 50 if architecture == "cnn" else 12)):
                made = student(architecture, **kind, classes=classes, hidden=hidden)
                agree(made, [*texts, *ODD[:10], *ODD[-2:]])
    for hidden in (30, 40):
        agree(calm(student("bigru", hidden=hidden, subwords=True)), texts)
        agree(calm(student("bigru", hidden=hidden)), texts[:3])


def calm(made):
    """The same student with small weights, so that rounding errors do not accumulate."""
    return dataclasses.replace(made, weights={name: 0.2 * weight for name, weight in made.weights.items()})


@pytest.mark.parametrize("hidden", [30, 40])
@pytest.mark.parametrize("kind", KINDS)
def test_a_text_gets_the_same_answer_alone_and_among_others(kind, hidden):
    made = student("bigru", **KINDS[kind], hidden=hidden)  # reads several at once
    alone = np.concatenate([made.predict_proba([text]) for text in ODD])
    for count in range(1, 7):
        np.testing.assert_array_equal(made.predict_proba(ODD[:count]), alone[:count])
    np.testing.assert_array_equal(made.predict_proba(ODD * 20), np.concatenate([alone] * 20))


def test_a_table_too_large_to_fold_runs_in_numpy(monkeypatch):
    monkeypatch.setattr(fast, "_LARGEST", 100)
    made = student("cnn")
    assert made._kernel is None
    assert made.predict(["not good"]).tolist() == portable(made).predict(["not good"]).tolist()


@pytest.mark.parametrize("max_ngram", [1, 2, 5])
def test_ngrams_are_found(max_ngram):
    made = student("mlp", max_ngram=max_ngram)
    agree(made, ["not good", "not", "good not good good", *ODD])


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("strings", [True, False], ids=["strings", "fingerprints"])
def test_a_text_may_have_a_hundred_pieces_per_word(architecture, strings):
    made = student(architecture, strings, subwords=True)
    most = " ".join(["é" * 100] * 40)
    assert not strings or len(made.vocabulary.encode([most]).ids) == 40 * 100
    for texts in ([most], ["the", most, "é" * 7, "", *["a"] * 70, most]):
        # Sums of 4,000 equal numbers accumulate rounding errors.
        np.testing.assert_allclose(made.predict_proba(texts), portable(made).predict_proba(texts), atol=1e-3)


@pytest.mark.parametrize("salts", [(3, 9), (0,), (1, 2, 3, 4, 5, 6, 7, 8)], ids=len)
@settings(max_examples=40, deadline=None)
@given(words=st.lists(st.lists(st.sampled_from([*"aébxs_", *PIECES]), min_size=1).map("".join), max_size=90))
def test_words_are_split_into_the_same_pieces_as_in_python(salts, words):
    agree(student("cnn", strings=False, subwords=True, salts=salts), words)
    agree(student("cnn", subwords=True), [" ".join(words), *words])


@pytest.mark.slow
def test_every_character_has_the_same_kind_as_in_python():
    points = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]
    texts = ["".join(f"a{chr(c)}ab{chr(c)} " for c in points[i : i + 4]) for i in range(0, len(points), 4)]
    made = student("mlp", max_ngram=1)
    np.testing.assert_allclose(made.predict_proba(texts), portable(made).predict_proba(texts), atol=1e-5)


class TestLongTexts:
    TEXTS = ("ab " * 50_000, "x" * 100_000, "İΣσ日 e\u0301 ab\u200d " * 10_000, "é\ud800" * 50_000)

    @pytest.mark.parametrize("kind", KINDS)
    def test_they_are_scored_as_short_ones_are(self, kind):
        made = student("mlp", **KINDS[kind])
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


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("kind", KINDS)
def test_it_predicts_what_numpy_does_with_thresholds(architecture, kind):
    made = multi_label_student(architecture, **KINDS[kind])
    assert made._kernel
    slow = portable(made)
    found = made.predict_proba(ODD)
    np.testing.assert_allclose(found, slow.predict_proba(ODD), atol=1e-5)
    np.testing.assert_allclose(found, expit(made.decision_function(ODD)), atol=1e-6)
    assert made.predict(ODD).tolist() == slow.predict(ODD).tolist()
    assert made.predict(ODD).tolist() == [
        tuple(label for label, p, limit in zip(made.labels, row, made.thresholds, strict=True) if p >= limit)
        for row in found
    ]
    assert made.predict([]).shape == (0,)
    assert made.predict("the").shape == (1,)
