"""Which words a student's predictions rest on."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, islice

import numpy as np

from potstill.runtime.model import Classifier, Student
from potstill.runtime.tokenizer import UNKNOWN, Encoded, Vocabulary, join, pieces, words

EXPLAINED = 1000  # words of a text, since each takes a prediction for a text of that length
CHUNK = 1 << 22  # numbers in memory at once: log-probabilities, or activations of a network
MOST_SCORES = 1 << 27  # log-probabilities computed to find the informative words


@dataclass(frozen=True)
class Attribution:
    """A word of a text and its contribution to the prediction.

    Attributes:
        word: as the student sees it.
        known: whether the vocabulary holds it, alone, in an n-gram, or in pieces.
        score: how much the log-probability of the class falls when the word is unknown, or left out.
    """

    word: str
    known: bool
    score: float


def read(student: Classifier, text: str) -> list[str]:
    """Return the words of a text that a student reads, or may read if its `max_length` counts tokens."""
    return (words if isinstance(student, Student) else pieces)(text)[: student.max_length]


def explain(student: Classifier, text: str, label: str | None = None) -> tuple[str, float, list[Attribution]]:
    """Attribute a prediction to the words of a text by occlusion (Zeiler and Fergus 2014).

    The first `EXPLAINED` words that the student reads are explained; the rest count in the prediction. A word is
    replaced by the unknown word, or for a small Transformer left out.

    Args:
        student: the student.
        text: the text; what is beyond the student's `max_length` is truncated.
        label: the class to explain; None for the most probable one.

    Returns:
        The class, its probability, and an attribution for each explained word.
    """
    tokens = read(student, text)
    if not isinstance(student, Student):
        return _explain_text(student, text, tokens[:EXPLAINED], label)
    shown, spans = tokens[:EXPLAINED], _ngram_spans(student.vocabulary, tokens)
    parts = [student.vocabulary.word_rows(word) for word in tokens]
    texts = _occluded(parts, spans)
    whole = next(texts)
    [original] = _score(student, [whole])
    chosen = int(original.argmax()) if label is None else student.labels.index(label)
    # A recurrent network reads word by word, and does not hold the vectors of all words.
    shape = student.shape
    width = 2 if shape.architecture == "bigru" else max(shape.embedding, shape.hidden)
    size = max(1, CHUNK // (len(whole) * width + len(student.labels)))
    scores = [
        original[chosen] - row[chosen]
        for chunk in iter(lambda: list(islice(texts, size)), [])
        for row in _score(student, chunk)
    ]
    known = np.array([rows != (UNKNOWN,) for rows in parts[:EXPLAINED]], bool)
    for start, end, _ in spans:
        known[start:end] = True
    explained = [Attribution(word, bool(k), float(score)) for word, k, score in zip(shown, known, scores, strict=True)]
    return student.labels[chosen], float(np.exp(original[chosen])), explained


def _explain_text(
    student: Classifier, text: str, tokens: list[str], label: str | None
) -> tuple[str, float, list[Attribution]]:
    whole = pieces(text)
    without = (join(whole[:i] + whole[i + 1 :]) for i in range(len(tokens)))
    original, *occluded = _normalized(student, student.decision_function([text, *without]))
    chosen = int(original.argmax()) if label is None else student.labels.index(label)
    explained = [
        Attribution(token, True, float(original[chosen] - row[chosen]))
        for token, row in zip(tokens, occluded, strict=True)
    ]
    return student.labels[chosen], float(np.exp(original[chosen])), explained


def informative_words(student: Student, number: int) -> dict[str, list[tuple[str, float]]]:
    """Return the entries of the vocabulary that raise the log-probability of each class most when they stand alone.

    Returns:
        By class, at most `number` pairs of an entry and by how much it raises the log-probability, the highest first.
        Empty if the file does not name its words, or if there are too many of them for so many classes.
    """
    entries = student.words
    if not entries or len(entries) * len(student.labels) > MOST_SCORES:
        return {}
    rows = np.array(student.vocabulary.rows or range(1, 1 + len(entries)), np.int64)
    size = max(number, CHUNK // len(student.labels))
    best, gains = np.zeros((0, len(student.labels)), np.int64), np.zeros((0, len(student.labels)))
    for start in range(0, len(entries), size):
        ids = np.append(UNKNOWN, rows[start : start + size])
        scores = _log_probabilities(student, Encoded(ids, np.arange(len(ids) + 1)))
        gain = scores[1:] - scores[0]
        order = np.argsort(-gain, axis=0, kind="stable")[:number]
        best = np.concatenate([best, start + order])
        gains = np.concatenate([gains, np.take_along_axis(gain, order, axis=0)])
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
    return _normalized(student, student.logits(texts))


def _normalized(student: Classifier, logits: np.ndarray) -> np.ndarray:
    """Return log-probabilities from logits."""
    logits = logits.astype(np.float64)
    if student.thresholds is not None:
        return -np.logaddexp(0, -logits)
    logits -= logits.max(1, keepdims=True)
    return logits - np.log(np.exp(logits).sum(1, keepdims=True))


def _ngram_spans(vocabulary: Vocabulary, tokens: list[str]) -> list[tuple[int, int, int]]:
    """Return start, end and row of the n-grams in the vocabulary."""
    spans = []
    for length in range(2, vocabulary.max_ngram + 1):
        for start, ngram in enumerate(zip(*(tokens[i:] for i in range(length)), strict=False)):
            if (row := vocabulary.row(" ".join(ngram))) != UNKNOWN:
                spans.append((start, start + length, row))
    return spans


def _occluded(parts: list[tuple[int, ...]], spans: list[tuple[int, int, int]]) -> Iterator[np.ndarray]:
    """Yield the ids of a text, then its ids with each of the explained words unknown in turn.

    Args:
        parts: the rows of each word, see `Vocabulary.word_rows`.
        spans: start, end and row of its n-grams.
    """
    starts, ends, rows = np.array(spans, np.int64).reshape(-1, 3).T
    singles = np.fromiter(chain.from_iterable(parts or [(UNKNOWN,)]), np.int64)
    yield np.concatenate([singles, rows])
    at = 0
    for i, part in enumerate(parts[:EXPLAINED]):
        after = at + len(part)
        yield np.concatenate([singles[:at], [UNKNOWN], singles[after:], rows[(starts > i) | (ends <= i)]])
        at = after


def _score(student: Student, texts: list[np.ndarray]) -> np.ndarray:
    return _log_probabilities(student, Encoded(np.concatenate(texts), np.cumsum([0, *map(len, texts)])))
