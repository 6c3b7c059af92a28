"""From text to word ids, and which words get one."""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

UNKNOWN = 0  # the id of every word that has no row of its own
_WORD = re.compile(r"\w+|[^\w\s]")

# How much a word has to be seen before its mean label counts: with n texts, the mean is mixed with this many
# texts of the overall distribution; and what is rarer than RARE is left out.
PSEUDO_COUNT = 5.0
RARE = 3


def words(text: str) -> list[str]:
    """Lower-case a text and split it into runs of word characters and single other signs."""
    return _WORD.findall(text.lower())


def runs(words: list[str], longest: int) -> list[str]:
    """All runs of 2 to `longest` words, joined by a space; no word holds one."""
    return [" ".join(words[i : i + n]) for n in range(2, longest + 1) for i in range(len(words) - n + 1)]


@dataclass(frozen=True)
class Encoded:
    """Texts as ids of words and, after the words of each text, of those runs of words that have a row.

    Attributes:
        ids: int64, all texts one after the other; every text has at least one.
        starts: int64 of shape (texts + 1,); text i is `ids[starts[i]:starts[i + 1]]`.
    """

    ids: np.ndarray
    starts: np.ndarray

    def __len__(self) -> int:
        return len(self.starts) - 1

    @property
    def lengths(self) -> np.ndarray:
        """Words per text."""
        return np.diff(self.starts)


class Lookup:
    """The ids of words, and of the runs of words that have a row of their own; made once, asked many times."""

    def __init__(self, vocabulary: list[str], max_length: int) -> None:
        """Index a vocabulary.

        Args:
            vocabulary: the word, or run of words, of every id from 1 on; id 0 is the unknown word.
            max_length: words per text; the rest is cut off.
        """
        self.row = {entry: i for i, entry in enumerate(vocabulary, start=1)}
        self.longest = 1 + max((entry.count(" ") for entry in vocabulary), default=0)
        self.max_length = max_length

    def encode(self, texts: Iterable[str]) -> Encoded:
        """Look up the words of texts."""
        row = self.row
        ids: list[int] = []
        starts = [0]
        for text in texts:
            found = words(text)[: self.max_length]
            ids.extend([row.get(word, UNKNOWN) for word in found] or [UNKNOWN])
            ids.extend(row[run] for run in runs(found, self.longest) if run in row)
            starts.append(len(ids))
        return Encoded(np.array(ids, np.int64), np.array(starts, np.int64))


def choose(texts: list[str], targets: np.ndarray, size: int, influence: float, longest: int = 1) -> list[str]:
    """Choose the words, and runs of words, that get a row of their own.

    A share of them are those that move the target most: n(w) · KL(p(y|w) ‖ p(y)), where p(y|w) is the mean
    target of the n(w) texts that hold the word w, mixed with `PSEUDO_COUNT` texts of the mean target p(y). That
    is the word's contribution to the mutual information between words and targets. The rest are the most
    frequent words, which carry the order of the others.

    Args:
        texts: the texts that the student will train on.
        targets: their probabilities, of shape (texts, classes).
        size: how many entries.
        influence: the share, 0 to 1, chosen by influence.
        longest: words in the longest run that may get a row; 1 for single words only. What runs of words do for
            a bag of words that is distilled: Sparse Distillation, Ye et al. 2021, arXiv 2110.08536.

    Returns:
        At most `size` entries, most telling first.
    """
    tokens: Counter[str] = Counter()
    rows: dict[str, int] = {}
    text_of: list[int] = []
    entry_of: list[int] = []
    for i, text in enumerate(texts):
        found = words(text)
        tokens.update(found)
        entries = dict.fromkeys(found + runs(found, longest))  # one that a text holds twice counts once
        entry_of.extend(rows.setdefault(entry, len(rows)) for entry in entries)
        text_of.extend([i] * len(entries))
    counts = np.bincount(entry_of, minlength=len(rows)).astype(float)
    sums = [np.bincount(entry_of, weights=column[text_of], minlength=len(rows)) for column in targets.T]
    prior = targets.mean(0)
    mean = (np.stack(sums, axis=1) + PSEUDO_COUNT * prior) / (counts + PSEUDO_COUNT)[:, None]
    score = counts * (mean * np.log(np.clip(mean, 1e-12, None) / np.clip(prior, 1e-12, None))).sum(1)
    telling = sorted((e for e, row in rows.items() if counts[row] >= RARE), key=lambda e: (-score[rows[e]], e))
    chosen = telling[: round(influence * size)]
    taken = set(chosen)
    frequent = sorted((word for word in tokens if word not in taken), key=lambda word: (-tokens[word], word))
    return chosen + frequent[: size - len(chosen)]
