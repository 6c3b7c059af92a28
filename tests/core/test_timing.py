"""Throughput is measured within a few seconds, whatever the model's speed."""

import pytest

from potstill.core import timing


class Clock:
    """A fake clock and model, whose calls take as long as `cost` returns."""

    def __init__(self, cost):
        self.now, self.cost, self.batches = 0.0, cost, []

    def predict(self, texts):
        self.batches.append(len(texts))
        self.now += self.cost(texts)


@pytest.fixture
def clock(monkeypatch):
    def make(cost):
        clock = Clock(cost)
        monkeypatch.setattr(timing, "perf_counter", lambda: clock.now)
        return clock

    return make


def test_throughput_of_a_fast_model_uses_all_texts(clock):
    model = clock(lambda texts: 1e-4 + 1e-5 * len(texts))
    result = timing.throughput(model.predict, ["a"] * 2000)
    assert result == {
        "texts_per_second": pytest.approx(2000 / 0.0201, abs=0.1),
        "batch": 2000,
        "milliseconds_per_text": 0.11,
    }
    assert model.now <= 2


def test_throughput_of_a_slow_model_stays_within_its_time(clock):
    model = clock(lambda texts: 0.03 * len(texts))
    result = timing.throughput(model.predict, ["a"] * 2000)
    assert result == {"texts_per_second": 33.3, "batch": 8, "milliseconds_per_text": 30}
    assert model.now <= 2.5


def test_throughput_of_the_slowest_model_measures_a_few_texts(clock):
    model = clock(lambda texts: 5.0 * len(texts))
    assert timing.throughput(model.predict, ["a"] * 9)["milliseconds_per_text"] == 5000
    assert sum(model.batches) == 6


def test_throughput_draws_the_same_texts_every_time_and_takes_the_median(clock):
    texts = [f"{number:04}" for number in range(2000)]
    seen = [[], []]
    for run in seen:
        model = clock(lambda batch, run=run: run.append(batch) or 0.1 * len(batch))
        timing.throughput(model.predict, texts)
    assert seen[0] == seen[1]
    assert seen[0][-1] != texts[:1]


def test_throughput_needs_a_text():
    with pytest.raises(ValueError, match="at least one text"):
        timing.throughput(len, [])
