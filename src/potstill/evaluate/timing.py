"""How fast a model is, measured within a fixed time, however slow it is."""

import random
from collections.abc import Callable, Sequence
from statistics import median
from time import perf_counter
from typing import Any

SINGLES = 300  # texts timed one at a time, at most
ROUNDS = 3  # of the batch, at least


def throughput(predict: Callable[[list[str]], Any], texts: Sequence[str], seconds: float = 2.0) -> dict[str, float]:
    """Time a model on a batch and on single texts, by the wall clock.

    A batch is all texts, or as many as a slow model gets through in a sixth of the time. They are
    drawn at random, always the same, so that a sorted file does not make the few unlike the many.
    Pin the threads before calling: with one thread, figures compare between machines.

    Args:
        predict: scores a list of texts; what it returns is not looked at.
        texts: at least one.
        seconds: about how long to measure; a model that needs longer than a sixth of it for one
            text takes more.

    Returns:
        `texts_per_second` (median round of the batch), `batch` (texts in it) and
        `milliseconds_per_text` (median text, one at a time).

    Raises:
        ValueError: there are no texts.
    """
    if not texts:
        raise ValueError("timing needs at least one text")
    texts = random.Random(0).sample(list(texts), len(texts))
    batch = _warm_up(predict, texts, seconds / 6)
    rounds = _times(predict, [batch], ROUNDS, seconds / 2)
    singles = _times(predict, [[text] for text in texts], 1, seconds / 4)
    return {
        "texts_per_second": round(len(batch) / median(rounds), 1),
        "batch": len(batch),
        "milliseconds_per_text": round(1000 * median(singles), 4),
    }


def _warm_up(predict: Callable[[list[str]], Any], texts: list[str], limit: float) -> list[str]:
    """Run larger and larger batches: it warms caches and compilers and finds one that takes up to `limit`."""
    predict(texts[:1])
    count = 1
    while True:
        took = _timed(predict, texts[:count])
        if count == len(texts) or 2 * took > limit:
            return texts[:count]
        count = min(2 * count, len(texts))


def _times(predict: Callable[[list[str]], Any], inputs: list[list[str]], at_least: int, limit: float) -> list[float]:
    """Time the inputs in turn, over and over, until `limit` seconds or `SINGLES` times."""
    times: list[float] = []
    while len(times) < at_least or (sum(times) < limit and len(times) < SINGLES):
        times.append(_timed(predict, inputs[len(times) % len(inputs)]))
    return times


def _timed(predict: Callable[[list[str]], Any], texts: list[str]) -> float:
    start = perf_counter()
    predict(texts)
    return perf_counter() - start
