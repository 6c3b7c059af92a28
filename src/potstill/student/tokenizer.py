"""From text to word ids, and which words get one."""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

UNKNOWN = 0  # the id of every word that has no row of its own
_WORD = re.compile(r"\w+|[^\w\s]")

# How much a word has to be seen before its mean label counts: with n texts, the mean is mixed with this many
# texts of the overall distribution; and words rarer than RARE are left out.
PSEUDO_COUNT = 5.0
RARE = 3


def words(text: str) -> list[str]:
    """Lower-case a text and split it into runs of word characters and single other signs."""
    return _WORD.findall(text.lower())


@dataclass(frozen=True)
class Encoded:
    """Texts as word ids, end to end.

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


def encode(texts: Iterable[str], vocabulary: list[str], max_length: int) -> Encoded:
    """Look up the words of texts.

    Args:
        texts: the texts.
        vocabulary: the word of every id from 1 on; id 0 is the unknown word.
        max_length: words per text; the rest is cut off.
    """
    row = {word: i for i, word in enumerate(vocabulary, start=1)}
    ids: list[int] = []
    starts = [0]
    for text in texts:
        ids.extend([row.get(word, UNKNOWN) for word in words(text)[:max_length]] or [UNKNOWN])
        starts.append(len(ids))
    return Encoded(np.array(ids, np.int64), np.array(starts, np.int64))


def choose(texts: list[str], targets: np.ndarray, size: int, influence: float) -> list[str]:
    """Choose the words that get a row of their own.

    A share of them are the words that move the target most: n(w) · KL(p(y|w) ‖ p(y)), where p(y|w) is the mean
    target of the n(w) texts that hold the word w, mixed with `PSEUDO_COUNT` texts of the mean target p(y). That
    is the word's contribution to the mutual information between words and targets. The rest are the most
    frequent words, which carry the order of the others.

    Args:
        texts: the texts that the student will train on.
        targets: their probabilities, of shape (texts, classes).
        size: how many words.
        influence: the share, 0 to 1, chosen by influence.

    Returns:
        At most `size` words, most telling first.
    """
    documents: Counter[str] = Counter()
    tokens: Counter[str] = Counter()
    rows: dict[str, int] = {}
    text_of: list[int] = []
    word_of: list[int] = []
    for i, text in enumerate(texts):
        found = words(text)
        tokens.update(found)
        distinct = set(found)
        documents.update(distinct)
        word_of.extend(rows.setdefault(word, len(rows)) for word in found)
        text_of.extend([i] * len(found))
    # A word that a text holds twice counts once.
    pairs = np.unique(np.stack([np.array(word_of, np.int64), np.array(text_of, np.int64)]), axis=1)
    sums = np.zeros((len(rows), targets.shape[1]))
    np.add.at(sums, pairs[0], targets[pairs[1]])
    counts = np.bincount(pairs[0], minlength=len(rows)).astype(float)
    prior = targets.mean(0)
    mean = (sums + PSEUDO_COUNT * prior) / (counts + PSEUDO_COUNT)[:, None]
    score = counts * (mean * np.log(np.clip(mean, 1e-12, None) / np.clip(prior, 1e-12, None))).sum(1)
    telling = sorted((w for w, r in rows.items() if counts[r] >= RARE), key=lambda w: (-score[rows[w]], w))
    chosen = telling[: round(influence * size)]
    taken = set(chosen)
    frequent = sorted((w for w in tokens if w not in taken), key=lambda w: (-tokens[w], w))
    return chosen + frequent[: size - len(chosen)]
