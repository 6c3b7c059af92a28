"""Which words, and runs of words, the table knows, which of them share a row, and how they are found."""

from collections.abc import Collection
from dataclasses import dataclass
from itertools import islice

import numpy as np

from potstill.params.network import NetworkParams
from potstill.runtime import tokenizer
from potstill.runtime.tokenizer import Fingerprints, Vocabulary, Words

# How much a word has to be seen before its mean label counts: with n texts, the mean is mixed with this many
# texts of the overall distribution; and what is rarer than RARE is left out.
PSEUDO_COUNT = 5.0
RARE = 3

LONGEST = 256  # characters of an entry: what is longer is no word, and would fill the file

CHUNK = 1 << 16  # texts that are counted at a time

ROWS_PER_BUCKET = 16  # a byte of salt for each bucket is half a bit for each row
SALTS = 256
HEARD = 1 << 16  # of the words without a row, so many of the most frequent have a say in the choice of salts


@dataclass(frozen=True)
class Counts:
    """What there is to know about every word, and run of words, of a set of texts.

    Attributes:
        row: the row of each in the arrays, by the order in which they were seen.
        occurrences: how often it occurs, int64; of single words only, 0 for runs.
        texts: how many texts hold it, float64.
        mean: the mean target of these texts, float64 of shape (entries, classes), mixed with `PSEUDO_COUNT` texts
            of the overall mean.
        prior: the overall mean, float64 of shape (classes,).
    """

    row: dict[str, int]
    occurrences: np.ndarray
    texts: np.ndarray
    mean: np.ndarray
    prior: np.ndarray


def count(texts: Collection[str], targets: np.ndarray, longest: int = 1) -> Counts:
    """Count words, and runs of 2 to `longest` words, in texts whose targets have the shape (texts, classes)."""
    row: dict[str, int] = {}
    occurrences, counts = np.zeros(0, np.int64), np.zeros(0)
    sums = np.zeros((targets.shape[1], 0))
    unread, start = iter(texts), 0
    while chunk := list(islice(unread, CHUNK)):
        occurring: list[int] = []
        text_of: list[int] = []
        entry_of: list[int] = []
        for i, text in enumerate(chunk, start):
            found = tokenizer.words(text)
            occurring.extend(row.setdefault(word, len(row)) for word in found)
            entries = dict.fromkeys(found + tokenizer.ngrams(found, longest))  # one that a text holds twice counts once
            entry_of.extend(row.setdefault(entry, len(row)) for entry in entries)
            text_of.extend([i] * len(entries))
        start += len(chunk)
        new = (0, len(row) - len(counts))
        occurrences = np.pad(occurrences, new) + np.bincount(occurring, minlength=len(row))
        counts = np.pad(counts, new) + np.bincount(entry_of, minlength=len(row))
        weights = targets[text_of].T
        sums = np.pad(sums, ((0, 0), new)) + [np.bincount(entry_of, column, minlength=len(row)) for column in weights]
    prior = targets.mean(0)
    mean = (sums.T + PSEUDO_COUNT * prior) / (counts + PSEUDO_COUNT)[:, None]
    return Counts(row, occurrences, counts, mean, prior)


def truncated(texts: Collection[str], max_length: int) -> float:
    """The share of texts that have more than `max_length` words."""
    # What has no more characters has no more words.
    long = sum(len(text) > max_length and len(tokenizer.words(text)) > max_length for text in texts)
    return round(long / len(texts), 6)


def choose(counts: Counts, size: int, influence: float) -> list[str]:
    """Choose the words, and runs of words, that get a row of their own.

    A share of them are those that move the target most: n(w) · KL(p(y|w) ‖ p(y)), where p(y|w) is the mean
    target of the n(w) texts that hold the word w, mixed with `PSEUDO_COUNT` texts of the mean target p(y). That
    is the word's contribution to the mutual information between words and targets. The rest are the most
    frequent words, which carry the order of the others. What runs of words do for a bag of words that is distilled:
    Sparse Distillation, Ye et al. 2021, arXiv 2110.08536.

    Args:
        counts: of the texts that the student will train on.
        size: how many entries.
        influence: the share, 0 to 1, chosen by influence.

    Returns:
        At most `size` entries, most telling first.
    """
    row = counts.row
    score = counts.texts * (counts.mean * (_log(counts.mean) - _log(counts.prior))).sum(1)
    telling = sorted(
        (e for e in row if counts.texts[row[e]] >= RARE and len(e) <= LONGEST), key=lambda e: (-score[row[e]], e)
    )
    chosen = telling[: round(influence * size)]
    taken = set(chosen)
    words = (e for e, i in row.items() if counts.occurrences[i] and len(e) <= LONGEST and e not in taken)
    frequent = sorted(words, key=lambda word: (-counts.occurrences[row[word]], word))
    return chosen + frequent[: size - len(chosen)]


def build(
    texts: Collection[str], targets: np.ndarray, params: NetworkParams, multi_label: bool = False
) -> tuple[Vocabulary, list[str]]:
    """Choose the vocabulary of a student.

    Args:
        texts: what the student will train on.
        targets: their probabilities, of shape (texts, classes).
        params: `words`, `rows`, `influence`, `ngrams`, `max_length` and `fingerprint` are used.
        multi_label: whether each of the probabilities is that of a label for itself. A divergence is then the sum over
            all labels.

    Returns:
        The look-up, and a word for each of its entries. They are fewer than `params.words` only if there are no more.
    """
    if multi_label:  # a label and its absence are a distribution of their own
        targets = np.concatenate([targets, 1 - targets], axis=1)
    counts = count(texts, targets, params.ngrams)
    known: Words | Fingerprints
    if params.fingerprint is None:
        entries = sorted(choose(counts, params.words - 1, params.influence))
        known = Words(entries)
    else:
        known, entries = _fingerprints(counts, params.words - 1, params.influence, params.fingerprint)
    rows = None
    if params.rows and params.rows <= len(entries):
        rows = share(counts, entries, params.rows - 1, multi_label)
    return Vocabulary(known, rows, params.ngrams, params.max_length), entries


def _fingerprints(counts: Counts, size: int, influence: float, spare: int) -> tuple[Fingerprints, list[str]]:
    """The fingerprints of at most `size` entries, with `spare` bits more than they need, and an entry for each.

    Of chosen entries with the same fingerprint, which nothing can tell apart, the most telling is named; others are
    chosen in their place.
    """
    chosen = choose(counts, size, influence)
    buckets, bits = layout(len(chosen), spare)
    salts = _salts(counts, chosen, buckets, bits)
    named: dict[int, str] = {}
    for attempt in range(size, 2 * size + 1, max(1, size // 50)):
        for entry in choose(counts, attempt, influence):
            named.setdefault(tokenizer.fingerprint(tokenizer.checksum(entry), salts, bits), entry)
        if len(named) >= size:
            break
    known = dict(sorted(islice(named.items(), size)))
    return Fingerprints(list(known), salts, bits), list(known.values())


def share(counts: Counts, entries: list[str], rows: int, multi_label: bool = False) -> list[int]:
    """Let entries whose texts have like targets share a row.

    Weighted k-means (Lloyd 1982) of log p(y|w) − log p(y), each entry's centred: what it adds to the logits.

    Args:
        counts: of the texts that the student will train on.
        entries: words and runs of words in them.
        rows: how many there are for them, at most as many as entries.
        multi_label: whether the targets are those of labels, and then of their absence. It is the log-odds then that
            are clustered.

    Returns:
        The row of each entry, from 1 to `rows`, or to fewer if there are not so many different ones.
    """
    # Imported late: it costs a second, and not every student shares rows.
    from sklearn.cluster import KMeans
    from threadpoolctl import threadpool_limits

    of = [counts.row[entry] for entry in entries]
    says = _log(counts.mean[of]) - _log(counts.prior)
    if multi_label:
        there, absent = np.split(says, 2, axis=1)
        says = there - absent
    else:
        says -= says.mean(1, keepdims=True)
    rows = min(rows, len(np.unique(says, axis=0)))
    # On one thread: the order in which sums are added up would otherwise differ from run to run.
    with threadpool_limits(1):
        clusters = KMeans(rows, n_init=1, random_state=0).fit_predict(says, sample_weight=counts.texts[of])
    return (clusters + 1).tolist()


def layout(entries: int, fingerprint: int) -> tuple[int, int]:
    """How many buckets, and bits of a fingerprint, a vocabulary has; `fingerprint` are the bits to spare."""
    buckets = 1 << max(0, -(-entries // ROWS_PER_BUCKET) - 1).bit_length()
    return buckets, min(32, max(1, entries - 1).bit_length() + fingerprint)


def _salts(counts: Counts, chosen: list[str], buckets: int, bits: int) -> list[int]:
    """The salt of every bucket that does least harm.

    A word u that shares the fingerprint of the chosen word v costs n(u) · KL(p(y|u) ‖ p(y|v)): what its texts say
    about the target, coded as if they held v.
    """
    entries = np.array(list(counts.row))
    rank = {entry: i for i, entry in enumerate(chosen)}
    order = np.argsort(-counts.texts, kind="stable")[:HEARD]
    order = np.union1d(order, [counts.row[entry] for entry in chosen])
    checksums = np.array([tokenizer.checksum(entry) for entry in entries[order]], np.uint64)
    where = tokenizer.bucket(checksums, buckets)
    width = bits - (buckets.bit_length() - 1)
    log = _log(counts.mean)
    tried = np.arange(SALTS, dtype=np.uint64)[:, None]
    salts = []
    for number in range(buckets):
        inside = np.flatnonzero(where == number)
        words = order[inside]
        ranks = {i: rank[entry] for i, entry in enumerate(entries[words].tolist()) if entry in rank}
        owners = sorted(ranks, key=lambda i: ranks[i])
        # Row u, column 1 + v: what it costs that u is taken for v. Column 0 is for words that are taken for none.
        own = (counts.mean[words] * log[words]).sum(1, keepdims=True)
        cost = counts.texts[words, None] * (own - counts.mean[words] @ log[words[owners]].T)
        cost = np.pad(cost, ((0, 0), (1, 0)))
        prints = tokenizer.mix32(checksums[inside], tried) >> np.uint64(32 - width)
        owner = np.zeros(prints.shape, np.int64)
        for column in reversed(range(len(owners))):  # of those that collide, the most telling one stays
            owner[prints == prints[:, [owners[column]]]] = 1 + column
        salts.append(int(cost[np.arange(len(words)), owner].sum(1).argmin()))
    return salts


def _log(probabilities: np.ndarray) -> np.ndarray:
    return np.log(np.clip(probabilities, 1e-12, None))
