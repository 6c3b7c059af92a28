"""Choosing a student's vocabulary: its words and n-grams, the rows they share, and their fingerprints."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Protocol

import numpy as np

from potstill.runtime import tokenizer
from potstill.runtime.tokenizer import Fingerprints, Vocabulary, Words
from potstill.student.params import NetworkParams

PSEUDO_COUNT = 5.0  # texts with the overall mean target that are mixed into the mean target of each entry
MIN_TEXTS = 3  # fewer texts are too few to estimate the information of an entry
INFORMATIVE_SHARE = 0.85  # of the words of its texts, in the vocabulary of a student that splits words
MAX_CHARACTERS = 256  # longer entries are not words, and would fill the file
CHUNK = 1 << 16  # texts counted at a time
# By default all but 1% of the texts are read whole, and 128 words of the others, at most 1,024.
WHOLE, MIN_LENGTH, MAX_LENGTH = 0.99, 128, 1024

# E-mail addresses, URLs and names of accounts, whose words are no identifiers by themselves.
_ADDRESS = re.compile(r"(?a:[\w.+-]+@[\w-]+\.[\w.-]+|(?:[a-z][a-z0-9+.-]*://|www\.)[!-~]+)|@\w+", re.IGNORECASE)
_DIGIT = re.compile(r"\d")

ROWS_PER_BUCKET = 16  # a bucket's salt takes a byte, hence half a bit per row
SALTS = 256
MAX_WEIGHED = 1 << 16  # most frequent entries that are considered in the choice of salts


class Texts(Protocol):
    """Texts that can be counted, and iterated over more than once."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[str]: ...


@dataclass(frozen=True)
class Counts:
    """Statistics of the entries, words and n-grams, of a set of texts.

    Attributes:
        index: the position of each entry in the arrays, in order of first occurrence.
        occurrences: number of occurrences of each word, int64 (entries,); 0 for n-grams.
        texts: number of texts that contain each entry, float64 (entries,).
        mean: mean target of these texts, smoothed by `PSEUDO_COUNT`, float64 (entries, classes).
        prior: mean target of all texts, float64 (classes,).
    """

    index: dict[str, int]
    occurrences: np.ndarray
    texts: np.ndarray
    mean: np.ndarray
    prior: np.ndarray

    def extended(self, entries: Iterable[str]) -> "Counts":
        """Return the statistics with entries that occur in no text."""
        index = dict(self.index)
        for entry in entries:
            index.setdefault(entry, len(index))
        new = (0, len(index) - len(self.index))
        mean = np.concatenate([self.mean, np.tile(self.prior, (new[1], 1))])
        return Counts(index, np.pad(self.occurrences, new), np.pad(self.texts, new), mean, self.prior)


def count(texts: Texts, targets: np.ndarray, max_ngram: int = 1, exclude_identifiers: bool = False) -> Counts:
    """Count words and n-grams in texts.

    Args:
        texts: the texts.
        targets: of each text, floats (texts, classes).
        max_ngram: words of the longest n-grams; 1 for single words only.
        exclude_identifiers: whether to leave out words with a digit, and those within e-mail addresses, URLs and names
            of accounts (@name).
    """
    index: dict[str, int] = {}
    occurrences, counts = np.zeros(0, np.int64), np.zeros(0)
    sums = np.zeros((targets.shape[1], 0))
    remaining, start = iter(texts), 0
    while chunk := list(islice(remaining, CHUNK)):
        occurring: list[int] = []
        text_of: list[int] = []
        entry_of: list[int] = []
        for i, text in enumerate(chunk, start):
            words, found = _entries(text, max_ngram, exclude_identifiers)
            occurring.extend(index.setdefault(word, len(index)) for word in words)
            entries = dict.fromkeys(words + found)  # each once per text
            entry_of.extend(index.setdefault(entry, len(index)) for entry in entries)
            text_of.extend([i] * len(entries))
        start += len(chunk)
        new = (0, len(index) - len(counts))
        occurrences = np.pad(occurrences, new) + np.bincount(occurring, minlength=len(index))
        counts = np.pad(counts, new) + np.bincount(entry_of, minlength=len(index))
        weights = targets[text_of].T
        sums = np.pad(sums, ((0, 0), new)) + [np.bincount(entry_of, column, minlength=len(index)) for column in weights]
    prior = targets.mean(0)
    mean = (sums.T + PSEUDO_COUNT * prior) / (counts + PSEUDO_COUNT)[:, None]
    return Counts(index, occurrences, counts, mean, prior)


def _entries(text: str, max_ngram: int, exclude_identifiers: bool) -> tuple[list[str], list[str]]:
    """Return the words and the n-grams of a text that may be in a vocabulary."""
    if not exclude_identifiers:
        words = tokenizer.words(text)
        return words, tokenizer.ngrams(words, max_ngram)
    parts = [tokenizer.words(part) for part in _ADDRESS.split(text)]
    found = [ngram for words in parts for ngram in tokenizer.ngrams(words, max_ngram)]
    named = (word for words in parts for word in words)
    return [word for word in named if not _DIGIT.search(word)], [ngram for ngram in found if not _DIGIT.search(ngram)]


def truncated_share(texts: Texts, max_length: int) -> float:
    """Return the fraction of texts of more than `max_length` words."""
    # A text has at most as many words as characters.
    long = sum(len(text) > max_length and len(tokenizer.words(text)) > max_length for text in texts)
    return round(long / len(texts), 6)


def fit_length(lengths: Iterable[int]) -> int:
    """Return a `max_length` that all but 1% of some texts do not exceed, at least `MIN_LENGTH`, at most `MAX_LENGTH`.

    Args:
        lengths: of the texts, in words or tokens.
    """
    whole = np.quantile(np.fromiter(lengths, np.int64), WHOLE, method="higher")
    return int(np.clip(whole, MIN_LENGTH, MAX_LENGTH))


def _fit_words(texts: Texts) -> int:
    # A text has at most as many words as characters.
    return fit_length(len(tokenizer.words(text)) if len(text) > MIN_LENGTH else 0 for text in texts)


def select_entries(counts: Counts, size: int, informative_share: float) -> list[str]:
    """Choose the words and n-grams of a vocabulary.

    A share of them are the most informative: n(w) · KL(p(y|w) ‖ p(y)) is the contribution of w to the mutual
    information between entries and targets, with n(w) the texts that contain w, p(y|w) their smoothed mean target, and
    p(y) the mean target. The others are the most frequent words, which preserve the context of the informative ones.
    N-grams let a bag of words see word order (Sparse Distillation, Ye et al. 2021, arXiv 2110.08536).

    Args:
        counts: statistics of the texts that the student trains on.
        size: the number of entries.
        informative_share: the fraction of entries chosen for their information, 0 to 1.

    Returns:
        At most `size` entries, the most informative first.
    """
    index = counts.index
    information = counts.texts * (counts.mean * (_log(counts.mean) - _log(counts.prior))).sum(1)
    candidates = (e for e, i in index.items() if counts.texts[i] >= MIN_TEXTS and len(e) <= MAX_CHARACTERS)
    informative = sorted(candidates, key=lambda e: (-information[index[e]], e))[: round(informative_share * size)]
    taken = set(informative)
    others = (e for e, i in index.items() if counts.occurrences[i] and len(e) <= MAX_CHARACTERS and e not in taken)
    frequent = sorted(others, key=lambda e: (-counts.occurrences[index[e]], e))
    return informative + frequent[: size - len(informative)]


@dataclass(frozen=True)
class Built:
    """A student's vocabulary.

    Attributes:
        lookup: the look-up from words to rows.
        entries: its words, n-grams and pieces, in the order of their rows.
        occurrences: how often each occurs in the texts as a word, int64 (entries,).
        is_own: which of them were chosen for the texts that hold them, not as pieces, booleans (entries,).
    """

    lookup: Vocabulary
    entries: list[str]
    occurrences: np.ndarray
    is_own: np.ndarray


def build(
    texts: Texts,
    targets: np.ndarray,
    params: NetworkParams,
    multi_label: bool = False,
    pieces: Sequence[str] | None = None,
    exclude_identifiers: bool = False,
) -> Built:
    """Choose the vocabulary of a student: `params.vocab_size` less one entries, or all if there are fewer.

    Args:
        texts: the texts that the student trains on.
        targets: their probabilities, (texts, classes).
        params: the settings.
        multi_label: whether each label has a distribution of its own, so that divergences are summed over labels.
        pieces: words and pieces that fill the vocabulary, the most important first, for a student that splits words;
            None for one that does not.
        exclude_identifiers: see `count`. The words are unknown then, in training as in prediction.
    """
    if multi_label:
        targets = np.concatenate([targets, 1 - targets], axis=1)
    counts = count(texts, targets, params.max_ngram, exclude_identifiers).extended(pieces or ())
    size = params.vocab_size - 1

    def choose(candidates: int) -> list[str]:
        if pieces is None:
            return select_entries(counts, candidates, params.informative_share)
        return select_with_pieces(counts, candidates, params.informative_share, pieces)

    known: Words | Fingerprints
    if params.fingerprint_bits is None:
        entries = sorted(choose(size))
        known = Words(entries)
    else:
        known, entries = _fingerprints(counts, size, choose, params.fingerprint_bits)
    rows = None
    if params.embedding_rows and params.embedding_rows <= len(entries):
        rows = share_rows(counts, entries, params.embedding_rows - 1, multi_label)
    occurrences = counts.occurrences[[counts.index[entry] for entry in entries]]
    max_length = params.max_length or _fit_words(texts)
    lookup = Vocabulary(known, rows, params.max_ngram, max_length, subwords=pieces is not None)
    own = set(entries if pieces is None else own_words(counts, size, params.informative_share))
    return Built(lookup, entries, occurrences, np.array([entry in own for entry in entries]))


def own_words(counts: Counts, size: int, own_share: float) -> list[str]:
    """Return the words of the texts in the vocabulary of a student that splits words, see `select_with_pieces`."""
    return select_entries(counts, round(own_share * size), INFORMATIVE_SHARE)


def select_with_pieces(counts: Counts, size: int, own_share: float, pieces: Sequence[str]) -> list[str]:
    """Choose the vocabulary of a student that splits words.

    Single characters come first, so that every word of these characters can be split. A share of the entries are words
    of the texts, most of them informative; the others are words and pieces of the teacher, of which the student's texts
    may hold none.

    Args:
        counts: statistics of the texts that the student trains on.
        size: the number of entries.
        own_share: the fraction of the entries that are words of the texts, 0 to 1.
        pieces: the words and pieces of the teacher, the most frequent first.

    Returns:
        At most `size` distinct entries.
    """
    characters = [piece for piece in pieces if len(piece.removeprefix(tokenizer.CONTINUATION)) == 1 and piece.isascii()]
    own = own_words(counts, size, own_share)
    return list(dict.fromkeys([*characters, *own, *pieces]))[:size]


def share_rows(counts: Counts, entries: list[str], rows: int, multi_label: bool = False) -> list[int]:
    """Assign entries whose texts have similar targets to the same row of the embedding table.

    Weighted k-means (Lloyd 1982) of log p(y|w) − log p(y), centred per entry: its contribution to the logits. For
    multi-label targets, of the log-odds of each label.

    Args:
        counts: statistics of the texts that the student trains on.
        entries: words and n-grams of these texts.
        rows: the number of rows, at most that of entries.
        multi_label: whether the targets are those of `build` for multi-label classification.

    Returns:
        The row of each entry, from 1 to `rows`, or to the number of distinct entries if that is less.
    """
    # Imported late: it takes a second, and few students share rows.
    from sklearn.cluster import KMeans
    from threadpoolctl import threadpool_limits

    positions = [counts.index[entry] for entry in entries]
    contributions = _log(counts.mean[positions]) - _log(counts.prior)
    if multi_label:
        present, absent = np.split(contributions, 2, axis=1)
        contributions = present - absent
    else:
        contributions -= contributions.mean(1, keepdims=True)
    rows = min(rows, len(np.unique(contributions, axis=0)))
    # One thread keeps the order of summation, and so the result, the same in every run.
    with threadpool_limits(1):
        kmeans = KMeans(rows, n_init=1, random_state=0)
        clusters = kmeans.fit_predict(contributions, sample_weight=counts.texts[positions])
    return (clusters + 1).tolist()


def layout(entries: int, fingerprint_bits: int) -> tuple[int, int]:
    """Return the number of buckets, and the bits of a fingerprint with `fingerprint_bits` more than rows require."""
    buckets = 1 << max(0, -(-entries // ROWS_PER_BUCKET) - 1).bit_length()
    return buckets, min(32, max(1, entries - 1).bit_length() + fingerprint_bits)


def _fingerprints(
    counts: Counts, size: int, choose: Callable[[int], list[str]], fingerprint_bits: int
) -> tuple[Fingerprints, list[str]]:
    """Choose at most `size` entries with distinct fingerprints, and return the fingerprints and the entries.

    Of entries with the same fingerprint the first that `choose` returns is kept, and others are chosen instead.
    """
    entries = choose(size)
    buckets, bits = layout(len(entries), fingerprint_bits)
    salts = _salts(counts, entries, buckets, bits)
    entry_of: dict[int, str] = {}
    for candidates in range(size, 2 * size + 1, max(1, size // 50)):
        for entry in choose(candidates):
            entry_of.setdefault(tokenizer.fingerprint(tokenizer.checksum(entry), salts, bits), entry)
        if len(entry_of) >= size:
            break
    known = dict(sorted(islice(entry_of.items(), size)))
    return Fingerprints(list(known), salts, bits), list(known.values())


def _salts(counts: Counts, chosen: list[str], buckets: int, bits: int) -> list[int]:
    """Choose for each bucket the salt whose fingerprint collisions cost least."""
    entries = list(counts.index)
    rank = {counts.index[entry]: i for i, entry in enumerate(chosen)}
    frequent = np.argsort(-counts.texts, kind="stable")[:MAX_WEIGHED]
    weighed = np.union1d(frequent, np.array(list(rank), np.int64))
    checksums = np.array([tokenizer.checksum(entries[i]) for i in weighed], np.uint64)
    bucket_of = tokenizer.bucket(checksums, buckets)
    width = bits - (buckets.bit_length() - 1)
    log = _log(counts.mean)
    inside = (np.flatnonzero(bucket_of == bucket) for bucket in range(buckets))
    return [_best_salt(counts, log, rank, weighed[i], checksums[i], width) for i in inside]


def _best_salt(
    counts: Counts, log: np.ndarray, rank: dict[int, int], entries: np.ndarray, checksums: np.ndarray, width: int
) -> int:
    """Choose the salt of one bucket.

    An entry u with the fingerprint of a chosen entry v is mistaken for it, at a cost of n(u) · KL(p(y|u) ‖ p(y|v)).

    Args:
        counts: statistics of all entries.
        log: the logarithm of `counts.mean`.
        rank: the rank of the chosen entries, by position in `counts`.
        entries: positions of the entries of this bucket.
        checksums: their checksums, uint64.
        width: bits of a fingerprint less those of the bucket's number.
    """
    ranks = {i: rank[entry] for i, entry in enumerate(entries.tolist()) if entry in rank}
    owners = sorted(ranks, key=lambda i: ranks[i])
    # Row u, column 1 + v: the cost of mistaking u for v. Column 0: u is not mistaken.
    negentropy = (counts.mean[entries] * log[entries]).sum(1, keepdims=True)
    cost = counts.texts[entries, None] * (negentropy - counts.mean[entries] @ log[entries[owners]].T)
    cost = np.pad(cost, ((0, 0), (1, 0)))
    salts = np.arange(SALTS, dtype=np.uint64)[:, None]
    fingerprints = tokenizer.mix32(checksums, salts) >> np.uint64(32 - width)
    mistaken_for = np.zeros(fingerprints.shape, np.int64)
    for column in reversed(range(len(owners))):  # the highest-ranked of those that collide is written last
        mistaken_for[fingerprints == fingerprints[:, [owners[column]]]] = 1 + column
    return int(cost[np.arange(len(entries)), mistaken_for].sum(1).argmin())


def _log(probabilities: np.ndarray) -> np.ndarray:
    return np.log(np.clip(probabilities, 1e-12, None))
