"""What a student's answers rest on."""

from dataclasses import dataclass

import numpy as np

from potstill.runtime.model import Student
from potstill.runtime.tokenizer import UNKNOWN, Encoded, Lookup, words

AT_ONCE, MOST = (
    1 << 22,
    1 << 27,
)  # logarithms of probabilities that are held, and reckoned, to find the most telling words


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

    Args:
        student: the student.
        text: the text; words behind the student's longest text are left out.
        label: the class to explain; None for the most probable one.

    Returns:
        The class, its probability, and a part per word.
    """
    found = words(text)[: student.lookup.max_length]
    scored = _log_probabilities(student, _without_each(student.lookup, found))
    chosen = int(scored[0].argmax()) if label is None else student.labels.index(label)
    parts = scored[0, chosen] - scored[1:, chosen]
    known = _known(student.lookup, found)
    explained = [Part(word, bool(k), float(part)) for word, k, part in zip(found, known, parts, strict=True)]
    return student.labels[chosen], float(np.exp(scored[0, chosen])), explained


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


def _without_each(lookup: Lookup, found: list[str]) -> Encoded:
    """A text, and the same with each of its words unknown in turn."""
    singles = [lookup.row(word) for word in found]
    runs = _runs(lookup, found)
    texts = [singles + [row for _, _, row in runs] or [UNKNOWN]]
    for i in range(len(found)):
        others = [row for start, end, row in runs if not start <= i < end]
        texts.append([*singles[:i], UNKNOWN, *singles[i + 1 :], *others])
    return Encoded(np.array([id_ for ids in texts for id_ in ids]), np.cumsum([0, *map(len, texts)]))


def _known(lookup: Lookup, found: list[str]) -> np.ndarray:
    known = np.array([lookup.row(word) != UNKNOWN for word in found], bool)
    for start, end, _ in _runs(lookup, found):
        known[start:end] = True
    return known
