"""What a student's answers rest on."""

from dataclasses import dataclass

import numpy as np

from potstill.runtime.model import Student
from potstill.runtime.tokenizer import UNKNOWN, Encoded, Lookup, words


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
        first. Empty if the file does not name its words.
    """
    entries = student.words
    if not entries:
        return {}
    rows = student.lookup.rows or range(1, 1 + len(entries))
    ids = np.array([UNKNOWN, *rows], np.int64)
    scored = _log_probabilities(student, Encoded(ids, np.arange(len(ids) + 1)))
    gains = scored[1:] - scored[0]
    best = np.argsort(-gains, axis=0, kind="stable")[:number]
    return {
        label: [(entries[i], float(gains[i, column])) for i in best[:, column] if 0 < gains[i, column] < np.inf]
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
