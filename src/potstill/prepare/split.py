"""Split a labelled table, stratified by class: held-out splits, and a sample of the labels.

Which texts of a class are drawn depends on a hash of each, not on the other rows. So when rows are added or corrected,
all but a few texts stay in the split that they were in, and two runs can be compared on the test texts of both.

A text of a multi-label task is stratified by its rarest label, or if it has none, by the most frequent label of the
task. So rare labels are split in proportion, and others nearly so (Sechidis et al. 2011, On the Stratification of
Multi-Label Data). iterative-stratification 0.1.9 (PyPI) is not used, as its samples can have no text with a rare label.
"""

import hashlib
from collections.abc import Iterable

import numpy as np
import pandas as pd

from potstill.core.errors import PotstillError
from potstill.data.clean import comparison_keys
from potstill.data.dataset import is_labelled, targets


def split_off(
    rows: pd.DataFrame, size: int, labels: list[str], seed: int, reason: str
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Split off a stratified sample of texts; copies of one text stay together.

    Args:
        rows: the columns `text` and `label` (ids, or tuples of them).
        size: number of different texts to split off.
        labels: the names of the ids, for errors.
        seed: of the sample.
        reason: the file and the key behind this split, for errors.

    Returns:
        The rest and the sample, both in the order of `rows`.

    Raises:
        PotstillError: the sample would be smaller than the number of classes, or a class has too few different texts.
    """
    key = comparison_keys(rows["text"])
    texts = rows["label"].groupby(key, sort=False).first()
    if size < len(labels):
        # Each class needs a text in the sample, and one in the rest.
        advice = "Raise it" if len(texts) >= 2 * len(labels) else "Add different texts, or a file for the split"
        rows_ = f"{size} row{'s' * (size != 1)}"
        raise PotstillError(f"{reason} makes {rows_}, fewer than the {len(labels)} classes. {advice}.")
    for label, count in zip(labels, count_labels(texts, len(labels)), strict=True):
        if is_labelled(texts) and count < 2:
            raise PotstillError(
                f"{reason} cannot be split off: class {label!r} has {count} different text{'s' * (count != 1)} left. "
                "Add examples, or a file for the split."
            )
    strata = _strata(texts, len(labels))
    if texts.dtype == object:
        strata[np.bincount(strata)[strata] < 2] = np.bincount(strata).argmax()  # too few to split: join the largest
    sample = texts.index[_draw(texts.index, strata, size, seed)]
    sampled = key.isin(sample)
    return rows[~sampled], rows[sampled]


def subsample(
    rows: pd.DataFrame, number: int, classes: int, seed: int, reason: str
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Keep a stratified sample of labelled rows with at least one row of every class that occurs.

    Args:
        rows: the columns `text` and `label` (ids, or tuples of them).
        number: of rows to keep.
        classes: the number of classes.
        seed: of the sample.
        reason: the key and the split behind this sample, for errors.

    Returns:
        The sample and the rest, both in the order of `rows`.

    Raises:
        PotstillError: `number` is less than the number of classes or more than there are rows.
    """
    if not classes <= number <= len(rows):
        raise PotstillError(
            f"{reason} has {len(rows)} rows and {classes} classes. Set it to {classes} to {len(rows)}, or null for all."
        )
    sampled = _draw(comparison_keys(rows["text"]), _strata(rows["label"], classes), number, seed)
    return rows[sampled], rows[~sampled]


def count_labels(labels: pd.Series, classes: int) -> list[int]:
    """Count the texts of each label, in the order of the ids."""
    if not is_labelled(labels):
        return [0] * classes
    ids = targets(labels, classes)
    return (np.bincount(ids, minlength=classes) if ids.ndim == 1 else ids.sum(0)).tolist()


def _strata(labels: pd.Series, classes: int) -> np.ndarray:
    """Return the label by which each text is stratified, int64 (texts,); without labels, 0."""
    if not is_labelled(labels):
        return np.zeros(len(labels), np.int64)
    ids = targets(labels, classes)
    if ids.ndim == 1:
        return ids
    counts = ids.sum(0)
    rarest = np.where(ids, counts, len(labels) + 1).argmin(1)
    return np.where(ids.any(1), rarest, counts.argmax())


def _draw(keys: Iterable[str], strata: np.ndarray, number: int, seed: int) -> np.ndarray:
    """Draw a sample with every stratum in proportion, and at least once: those of its texts with the least hashes.

    Args:
        keys: the `comparison_key` of each text.
        strata: the stratum of each text, int64 (texts,).
        number: of texts to draw.
        seed: of the hashes.

    Returns:
        Whether each text is drawn, booleans (texts,).
    """
    hashes = np.array([hashlib.sha256(f"{seed} {key}".encode()).hexdigest() for key in keys])
    order = np.lexsort((hashes, strata))
    counts = np.bincount(strata)
    rank = np.arange(len(strata)) - np.repeat(counts.cumsum() - counts, counts)
    drawn = np.empty(len(strata), bool)
    drawn[order] = rank < np.repeat(_shares(counts, number), counts)
    return drawn


def _shares(counts: np.ndarray, total: int) -> np.ndarray:
    """Divide `total` in proportion to `counts` by largest remainder, with at least one for each that is not 0."""
    exact = counts * total / counts.sum()
    shares = np.maximum(np.floor(exact).astype(int), np.minimum(counts, 1))
    while shares.sum() < total:
        shares[np.argmax(np.where(shares < counts, exact - shares, -np.inf))] += 1
    while shares.sum() > total:
        shares[np.argmax(np.where(shares > 1, shares - exact, -np.inf))] -= 1
    return shares
