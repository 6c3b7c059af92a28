"""Speed of a model, measured within a fixed time however slow it is."""

import random
from collections.abc import Callable, Sequence
from statistics import median
from time import perf_counter
from typing import Any

MAX_RUNS = 300  # of an input
MIN_BATCH_RUNS = 3


def throughput(predict: Callable[[list[str]], Any], texts: Sequence[str], seconds: float = 2.0) -> dict[str, float]:
    """Measure the wall-clock time that a model takes for a batch and for single texts.

    The batch holds all texts, or as many as a slow model predicts in a sixth of the time. The texts are shuffled with a
    fixed seed, so that a part of a sorted file is like the whole. Set the number of threads before the call.

    Args:
        predict: takes a list of texts; its result is ignored.
        texts: at least one.
        seconds: about how long to measure; a model that takes longer than a sixth of it for one text takes more.

    Returns:
        `texts_per_second` (median over runs of the batch), `batch` (number of texts in it) and `milliseconds_per_text`
        (median over single texts).

    Raises:
        ValueError: there are no texts.
    """
    if not texts:
        raise ValueError("timing requires at least one text")
    texts = random.Random(0).sample(list(texts), len(texts))
    batch = _warm_up(predict, texts, seconds / 6)
    batches = _times(predict, [batch], MIN_BATCH_RUNS, seconds / 2)
    singles = _times(predict, [[text] for text in texts], 1, seconds / 4)
    return {
        "texts_per_second": round(len(batch) / median(batches), 1),
        "batch": len(batch),
        "milliseconds_per_text": round(1000 * median(singles), 4),
    }


def _warm_up(predict: Callable[[list[str]], Any], texts: list[str], limit: float) -> list[str]:
    """Return the largest batch that takes up to `limit` seconds; trying larger and larger ones also warms caches."""
    predict(texts[:1])
    count = 1
    while 2 * _timed(predict, texts[:count]) <= limit and count < len(texts):
        count = min(2 * count, len(texts))
    return texts[:count]


def _times(predict: Callable[[list[str]], Any], inputs: list[list[str]], at_least: int, limit: float) -> list[float]:
    """Time the inputs in turn until `limit` seconds or `MAX_RUNS` runs are over, but at least `at_least` times."""
    times: list[float] = []
    while len(times) < at_least or (sum(times) < limit and len(times) < MAX_RUNS):
        times.append(_timed(predict, inputs[len(times) % len(inputs)]))
    return times


def _timed(predict: Callable[[list[str]], Any], texts: list[str]) -> float:
    start = perf_counter()
    predict(texts)
    return perf_counter() - start
