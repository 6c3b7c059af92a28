"""What a student's answers rest on."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np

from potstill.runtime.model import Student
from potstill.runtime.tokenizer import UNKNOWN, Encoded, Lookup, words

EXPLAINED = 1000  # words of a text, as each takes an answer to a text as long
# Logarithms of probabilities that are held, and reckoned, to find the most telling words; also numbers that a network
# holds to explain an answer.
AT_ONCE, MOST = 1 << 22, 1 << 27
RECURRENT = ("bigru", "bilstm")  # read word by word, and hold no vectors of the others


@dataclass(frozen=True)
class Part:
    """A word of a text, and its part in the answer.

    Attributes:
        word: as the student sees it.
        known: whether it has a row, alone or in a run of words.
        part: how much the logarithm of the class's probability falls when the word is unknown.
    """

    word: str
    known: bool
    part: float


def explain(student: Student, text: str, label: str | None = None) -> tuple[str, float, list[Part]]:
    """Say what each word of a text brings to an answer, by taking it away (occlusion, Zeiler and Fergus 2014).

    The first `EXPLAINED` words that the student reads are explained; the others count in the answer.

    Args:
        student: the student.
        text: the text; words behind the student's longest text are left out.
        label: the class to explain; None for the most probable one.

    Returns:
        The class, its probability, and a part per word that is explained.
    """
    found = words(text)[: student.lookup.max_length]
    shown, runs = found[:EXPLAINED], _runs(student.lookup, found)
    texts = _without_each(student.lookup, found, runs)
    [whole] = _scored(student, [next(texts)])
    chosen = int(whole.argmax()) if label is None else student.labels.index(label)
    wide = 2 if student.shape.architecture in RECURRENT else max(student.shape.embedding, student.shape.hidden)
    most = max(1, AT_ONCE // ((len(found) + len(runs) + 1) * wide + len(student.labels)))
    parts = [
        whole[chosen] - row[chosen]
        for some in iter(lambda: list(islice(texts, most)), [])
        for row in _scored(student, some)
    ]
    known = _known(student.lookup, shown, runs)
    explained = [Part(word, bool(k), float(part)) for word, k, part in zip(shown, known, parts, strict=True)]
    return student.labels[chosen], float(np.exp(whole[chosen])), explained


def telling(student: Student, number: int) -> dict[str, list[tuple[str, float]]]:
    """The words, and runs of words, that speak most for each class when they stand alone.

    Returns:
        By class, at most `number` words and by how much they raise the logarithm of its probability, the most telling
        first. Empty if the file does not name its words, or they are too many to try for as many classes.
    """
    entries = student.words
    if not entries or len(entries) * len(student.labels) > MOST:
        return {}
    rows = np.array(student.lookup.rows or range(1, 1 + len(entries)), np.int64)
    most = max(number, AT_ONCE // len(student.labels))
    best, gains = np.zeros((0, len(student.labels)), np.int64), np.zeros((0, len(student.labels)))
    for start in range(0, len(entries), most):
        ids = np.append(UNKNOWN, rows[start : start + most])
        scored = _log_probabilities(student, Encoded(ids, np.arange(len(ids) + 1)))
        some = scored[1:] - scored[0]
        order = np.argsort(-some, axis=0, kind="stable")[:number]
        best = np.concatenate([best, start + order])
        gains = np.concatenate([gains, np.take_along_axis(some, order, axis=0)])
        order = np.argsort(-gains, axis=0, kind="stable")[:number]
        best, gains = np.take_along_axis(best, order, axis=0), np.take_along_axis(gains, order, axis=0)
    return {
        label: [
            (entries[i], float(gain))
            for i, gain in zip(best[:, column], gains[:, column], strict=True)
            if 0 < gain < np.inf
        ]
        for column, label in enumerate(student.labels)
    }


def _log_probabilities(student: Student, texts: Encoded) -> np.ndarray:
    logits = student.logits(texts).astype(np.float64)
    if student.thresholds is not None:
        return -np.logaddexp(0, -logits)
    logits -= logits.max(1, keepdims=True)
    return logits - np.log(np.exp(logits).sum(1, keepdims=True))


def _runs(lookup: Lookup, found: list[str]) -> list[tuple[int, int, int]]:
    """Start, end and row of the runs of words that have one."""
    spans = [
        (start, start + length) for length in range(2, lookup.longest + 1) for start in range(len(found) - length + 1)
    ]
    rows = [(start, end, lookup.row(" ".join(found[start:end]))) for start, end in spans]
    return [run for run in rows if run[2] != UNKNOWN]


def _without_each(lookup: Lookup, found: list[str], runs: list[tuple[int, int, int]]) -> Iterator[np.ndarray]:
    """The rows of a text, and the same with each of the words to explain unknown in turn."""
    starts, ends, rows = np.array(runs, np.int64).reshape(-1, 3).T
    singles = np.array([lookup.row(word) for word in found] or [UNKNOWN], np.int64)
    yield np.concatenate([singles, rows])
    for i in range(min(len(found), EXPLAINED)):
        less = singles.copy()
        less[i] = UNKNOWN
        yield np.concatenate([less, rows[(starts > i) | (ends <= i)]])


def _scored(student: Student, texts: list[np.ndarray]) -> np.ndarray:
    return _log_probabilities(student, Encoded(np.concatenate(texts), np.cumsum([0, *map(len, texts)])))


def _known(lookup: Lookup, shown: list[str], runs: list[tuple[int, int, int]]) -> np.ndarray:
    known = np.array([lookup.row(word) != UNKNOWN for word in shown], bool)
    for start, end, _ in runs:
        known[start:end] = True
    return known
