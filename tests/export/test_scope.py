"""The false-alarm rate of the threshold holds, and rare rows are those of few texts."""

import numpy as np
import pyarrow as pa
import pytest
from scipy.stats import norm

from potstill.export import scope
from potstill.runtime.scope import rare_rows
from tests.students import student
from tests.transformers import transformer


@pytest.mark.parametrize(("count", "rate"), [(99, 0.01), (500, 0.01), (60, 0.1), (199, 0.05)])
def test_the_rate_holds_on_average_and_its_bound_for_most_thresholds(count, rate):
    rng = np.random.default_rng(0)
    fitted = [scope.fit(rng.normal(size=count), rate) for _ in range(2000)]
    rates = norm.cdf([fact["threshold"] for fact in fitted])
    assert {fact["false_alarms"] for fact in fitted} == {rate}
    assert 0.8 * rate < rates.mean() < 1.03 * rate
    assert np.mean(rates <= fitted[0]["false_alarms_high"]) == pytest.approx(0.95, abs=0.02)


def test_too_few_texts_show_a_higher_rate():
    fact = scope.fit(np.arange(49.0), 0.01)
    high = round(1 - 0.05 ** (1 / 49), 6)  # of the lowest of 49
    assert fact == {"threshold": 0.0, "false_alarms": 0.02, "false_alarms_high": high, "texts": 49}


def test_the_threshold_is_rounded_down():
    fact = scope.fit(np.full(99, -1.23456), 0.01)
    assert fact["threshold"] == -1.2346


@pytest.mark.parametrize("made", [student("mlp"), transformer()], ids=["words", "transformer"])
def test_rows_of_few_texts_are_rare(made):
    texts = ["unheard the the"] * (scope.MIN_TEXTS - 1) + ["a not"] * scope.MIN_TEXTS
    runs = scope.rare_rows(made, iter(texts))
    rare = rare_rows({"scope": {"rare": runs}}, made.rows)
    common = {*made.encode(["a not"]).ids.tolist()} - ({0} if made.architecture == "mlp" else set())
    assert common
    assert {*np.flatnonzero(rare == 0)} == common


def test_all_rows_may_be_rare():
    assert scope.rare_rows(student("mlp"), []) == [student("mlp").rows]


def test_of_very_many_texts_some_are_read(monkeypatch, tmp_path):
    (tmp_path / "dataset.json").write_text('{"rows": {"train": 5, "unlabelled": 2}}')
    batches = {"train": [pa.array(["a", "b"]), pa.array(["c", "d", "e"])], "unlabelled": [pa.array(["f", "g"])]}
    monkeypatch.setattr(scope.Dataset, "texts", lambda folder, name: iter(batches[name]))
    assert list(scope.known_texts(tmp_path)) == [*"abcdefg"]
    monkeypatch.setattr(scope, "MOST_TEXTS", 3)
    assert list(scope.known_texts(tmp_path)) == ["a", "d", "g"]
