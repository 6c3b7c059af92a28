"""The examples of README.md and docs/python.md that train."""

import pytest

from tests.estimator.conftest import PARAMS
from tests.test_docs import example


@pytest.mark.slow
@pytest.mark.parametrize("name", ["fit", "reuse"])
def test_training_in_python(name, bert, texts, labels, held_out, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {"texts": texts, "labels": labels, "more_texts": texts[:9]}
    names |= {"test_texts": held_out[0], "test_labels": held_out[1], "quick": PARAMS, "bert": str(bert)}
    # A teacher that takes no time instead of MiniLM, and students that take little.
    code = example(name).replace('teacher="minilm"', "bert, params=quick").replace('"minilm"', "bert")
    exec(code.replace('rung="small"', 'rung="tiny", params=quick'), names)
    assert (tmp_path / ("out/student.pot" if name == "fit" else "teacher/teacher.json")).is_file()
