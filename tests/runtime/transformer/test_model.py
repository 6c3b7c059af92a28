"""Predictions of small Transformers."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from potstill.runtime.transformer import model
from tests.students import ODD
from tests.transformers import multi_label_transformer, transformer


def test_predictions_do_not_depend_on_the_other_texts():
    made = transformer()
    alone = np.concatenate([made.predict_proba([text]) for text in ODD])
    np.testing.assert_allclose(made.predict_proba(ODD * 9)[: len(ODD)], alone, atol=1e-5)
    np.testing.assert_allclose(alone.sum(1), 1, rtol=1e-5)


def test_long_texts_are_scored_in_small_batches(monkeypatch):
    made = transformer()
    expected = made.predict_proba(ODD * 5)
    monkeypatch.setattr(model, "MAX_TOKENS", 10)
    np.testing.assert_allclose(made.predict_proba(ODD * 5), expected, atol=1e-5)


def test_any_collection_of_texts_will_do():
    made, texts = transformer(), ["good", "not good", "é"]
    expected = made.predict_proba(texts)
    for given in (np.array(texts, object), pd.Series(texts), pa.array(texts), iter(texts), tuple(texts)):
        np.testing.assert_array_equal(made.predict_proba(given), expected)
    np.testing.assert_array_equal(made.predict_proba("good"), expected[:1])
    assert made.predict_proba([]).shape == (0, 3)
    assert made.predict(texts).tolist() == made.classes_[expected.argmax(1)].tolist()
    with pytest.raises(TypeError, match="text 1 is missing"):
        made.predict(["good", None])
    with pytest.raises(TypeError, match="give its column of texts"):
        made.predict(pd.DataFrame({"text": texts}))


def test_a_text_has_each_label_that_reaches_its_threshold():
    made = multi_label_transformer()
    scores = made.predict_proba(ODD)
    expected = [tuple(np.array(made.labels)[row >= made.thresholds]) for row in scores]
    assert made.predict(ODD).tolist() == expected
    np.testing.assert_allclose(scores, 1 / (1 + np.exp(-made.decision_function(ODD))), atol=1e-6)


def test_its_description_is_short():
    assert repr(transformer()).startswith("Transformer(transformer, 3 labels, ")
    assert len(repr(transformer())) < 100


def test_without_the_extra_the_error_says_what_to_install(tmp_path):
    path = tmp_path / "a.pot"
    transformer().save(path)
    for missing in ("onnxruntime", "tokenizers", "onnx"):
        code = f"import sys; sys.modules[{missing!r}] = None; from potstill.cli import execute; execute(sys.argv[1:])"
        code = (
            f"import sys; sys.modules[{missing!r}] = None\n"
            "from potstill.core.errors import PotstillError\nfrom potstill import Student\n"
            "try: Student.load(sys.argv[1])\nexcept PotstillError as error: print(error)"
        )
        done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=True)
        assert done.stdout == (
            f"{missing} is not installed. Run `pip install -e '.[transformer]'` in a clone of potstill.\n"
        )


def test_students_over_words_require_no_extra(model):
    code = "import sys; from potstill import Student; Student.load(sys.argv[1]).predict('a'); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code, model], capture_output=True, text=True, check=True)
    assert not {"onnx", "onnxruntime", "tokenizers", "torch"} & set(done.stdout.split())
