"""A student in several threads and processes."""

import pickle
import sys
import threading
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest

from potstill.runtime.model import Classifier
from tests.project import ROOT
from tests.students import portable
from tests.transformers import transformer

FILES = sorted((ROOT / "conformance").glob("*.pot"))
TEXTS = ["not good", "un-known words_1 only", "今天很好。", "GOOD " * 50, ""]


def same(made):
    return made


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "way"),
    [
        ("mlp-subwords", same),
        ("mlp-subwords", portable),
        ("bigru-fingerprints", same),
        ("bigru-fingerprints", portable),
        ("transformer-wordpiece", same),
    ],
)
def test_threads_share_a_student_from_its_first_prediction_on(name, way):
    """Also while the first ones still prepare it, and while the interpreter switches between them all the time."""
    made = Classifier.load(ROOT / f"conformance/{name}.pot")
    batches = [TEXTS[i % 5 :] + [f"good {i}", f"word{i % 7}"] * 20 for i in range(24)]
    expected = [way(Classifier.from_bytes(made.to_bytes())).predict_proba(batch) for batch in batches]
    shared, together = way(made), threading.Barrier(8)

    def classify(first):
        together.wait()
        return [shared.predict_proba(batch) for batch in batches[first::8]]

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(classify, range(8)))
    finally:
        sys.setswitchinterval(interval)
    for first in range(8):
        for answer, right in zip(found[first], expected[first::8], strict=True):
            np.testing.assert_array_equal(answer, right)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_pickle_is_the_bytes_of_the_file(path):
    made = Classifier.load(path)
    before = made.predict_proba(TEXTS)  # which prepares what is not pickled
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        copy = pickle.loads(pickle.dumps(made, protocol))
        assert copy.to_bytes() == made.to_bytes()
    np.testing.assert_array_equal(copy.predict_proba(TEXTS), before)
    assert len(pickle.dumps(made)) < len(made.to_bytes()) + 200


@pytest.mark.slow
@pytest.mark.parametrize("start", ["spawn", "fork"])
def test_processes_get_a_student_that_has_been_used(start):
    for made in (Classifier.load(ROOT / "conformance/cnn-strings.pot"), transformer()):
        expected = made.predict_proba(TEXTS)
        with ProcessPoolExecutor(2, get_context(start)) as pool:
            for answer in pool.map(made.predict_proba, [TEXTS] * 4):
                np.testing.assert_array_equal(answer, expected)
