"""What texts look like to a student, in counts of a few coarse bins without any text.

A model file holds the profile of the validation texts as the fact `profile`, see docs/format.md. `runtime.drift`
compares it with the counts of other texts.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple, Self

import numpy as np

from potstill.core.errors import PotstillError
from potstill.core.labels import confidence, predict_labels
from potstill.runtime.model import Classifier
from potstill.runtime.tokenizer import words

FACT = "profile"
# The bins begin at these values; the first one holds what is below them.
LENGTHS = (1, 2, 3, 4, 6, 8, 11, 16, 23, 32, 45, 64, 91, 128, 181, 256, 512, 1024)
CONFIDENCES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999)
UNKNOWN_SHARES = (0, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75)  # the bins end with these
NUMBERS_OF_LABELS = (1, 2, 3, 4, 5)
CORRECT = "correct"
MOST_WORDS = 1 << 18  # distinct unknown words that are counted at a time
_MOST_TEXTS = 2**53


def traits(student: Classifier) -> dict[str, list[str]]:
    """Return the names of the bins by trait of a text.

    `length` (words), `unknown` (share of words that are not in the vocabulary as a whole), `confidence`, `class` (the
    most probable), and in a multi-label task `labels` (their number).
    """
    shares = [f"{start:.0%} to {end:.0%}" for start, end in pairwise((*UNKNOWN_SHARES, 1))]
    confidences = [f"{start:g} to {end:g}" for start, end in pairwise(CONFIDENCES)]
    found = {
        "length": _numbers(LENGTHS),
        "unknown": [f"{UNKNOWN_SHARES[0]:.0%}", *shares],
        "confidence": [f"below {CONFIDENCES[0]:g}", *confidences, f"{CONFIDENCES[-1]:g} or more"],
        "class": list(student.labels),
    }
    return found if student.thresholds is None else found | {"labels": _numbers(NUMBERS_OF_LABELS)}


def _numbers(starts: Sequence[int]) -> list[str]:
    """Return the names of bins of integers, the first of which is 0."""
    ranges = [f"{start}" if end == start + 1 else f"{start} to {end - 1}" for start, end in pairwise(starts)]
    return ["0", *ranges, f"{starts[-1]} or more"]


class Answers(NamedTuple):
    """What a student answers for texts.

    Attributes:
        best: the most probable class, int64 (texts,).
        confidence: the probability of the answer, see `core.labels.confidence`, floats (texts,).
        labels: in a multi-label task, the number of labels, int64 (texts,); None otherwise.
    """

    best: np.ndarray
    confidence: np.ndarray
    labels: np.ndarray | None = None

    @classmethod
    def of(cls, probabilities: np.ndarray, chosen: np.ndarray) -> Self:
        """Return the answers from probabilities (texts, classes) and the labels that they mean."""
        labels = chosen.sum(1) if chosen.ndim == 2 else None
        return cls(probabilities.argmax(1), confidence(probabilities, chosen), labels)

    def take(self, rows: np.ndarray) -> Self:
        """Return the answers for some of the texts."""
        labels = None if self.labels is None else self.labels[rows]
        return type(self)(self.best[rows], self.confidence[rows], labels)


class Texts:
    """Texts as a student sees them.

    Attributes:
        bins: by trait, the number of each text's bin, int64 (texts,).
        unknown_words: the words of each text that are not in the vocabulary, without repetition.
    """

    def __init__(self, student: Classifier, texts: Sequence[str], answers: Answers) -> None:
        split = [words(text) for text in texts]
        distinct = list({word for tokens in split for word in tokens})
        known = dict(zip(distinct, student.knows(distinct), strict=True))
        lengths = np.array([len(tokens) for tokens in split], np.int64)
        unknown = np.array([sum(not known[word] for word in tokens) for tokens in split], np.int64)
        self.unknown_words = [{word for word in tokens if not known[word]} for tokens in split]
        # A text without words is as unknown as one of unknown words: the student reads the unknown word alone.
        shares = np.where(lengths > 0, unknown / np.maximum(lengths, 1), 1.0)
        self.bins = {
            "length": np.searchsorted(LENGTHS, lengths, "right"),
            "unknown": np.searchsorted(UNKNOWN_SHARES, shares, "left"),
            "confidence": np.searchsorted(CONFIDENCES, answers.confidence, "right"),
            "class": answers.best,
        }
        if answers.labels is not None:
            self.bins["labels"] = np.searchsorted(NUMBERS_OF_LABELS, answers.labels, "right")


@dataclass(frozen=True)
class Profile:
    """Counts of texts.

    Attributes:
        counts: by trait, the number of texts in each bin, int64 (bins,).
        correct: how many were labelled correctly.
    """

    counts: dict[str, np.ndarray]
    correct: int

    @property
    def texts(self) -> int:
        """Number of texts."""
        return int(self.counts["length"].sum())

    def fact(self) -> dict[str, Any]:
        """Return the fact of a model file."""
        return {name: counts.tolist() for name, counts in self.counts.items()} | {CORRECT: self.correct}

    @classmethod
    def of(cls, student: Classifier) -> Self | None:
        """Return the profile in a student's file; None if it has none.

        Raises:
            PotstillError: it is not as docs/format.md describes it.
        """
        fact = student.facts.get(FACT)
        if fact is None:
            return None
        found = fact if isinstance(fact, dict) else {}
        sizes = {name: len(names) for name, names in traits(student).items()}
        if _are_counts([found.get(CORRECT)], 1) and all(_are_counts(found.get(name), sizes[name]) for name in sizes):
            profile = cls({name: np.array(found[name], np.int64) for name in sizes}, int(found[CORRECT]))
            same = all(counts.sum() == profile.texts for counts in profile.counts.values())
            if same and profile.correct <= profile.texts > 0:
                return profile
        raise PotstillError(
            "profile: that of the model file cannot be read (it is damaged, or of a later version of potstill). "
            "Update potstill, or export the model again."
        )


def _are_counts(value: Any, size: int) -> bool:
    return (
        isinstance(value, list)
        and len(value) == size
        and all(type(number) in (int, float) and 0 <= number < _MOST_TEXTS and number % 1 == 0 for number in value)
        and sum(value) < _MOST_TEXTS
    )


class Tally:
    """Counts texts batch by batch, and forgets them.

    Attributes:
        counts: by trait, the number of texts in each bin, int64 (bins,).
        unknown_words: the number of texts with each unknown word; of very many words, the rarest are dropped.
    """

    def __init__(self, student: Classifier) -> None:
        self.student = student
        self.counts = {name: np.zeros(len(names), np.int64) for name, names in traits(student).items()}
        self.unknown_words: Counter[str] = Counter()

    def add(self, texts: Sequence[str]) -> np.ndarray:
        """Count texts, and return the labels that the student chooses: ids, or booleans (texts, labels)."""
        probabilities = self.student.predict_proba(texts)
        chosen = predict_labels(probabilities, self.student.thresholds)
        seen = Texts(self.student, texts, Answers.of(probabilities, chosen))
        for name, bins in seen.bins.items():
            self.counts[name] += np.bincount(bins, minlength=len(self.counts[name]))
        for found in seen.unknown_words:
            self.unknown_words.update(found)
        if len(self.unknown_words) > MOST_WORDS:
            self.unknown_words = Counter(dict(self.unknown_words.most_common(MOST_WORDS // 2)))
        return chosen
