"""Splitting a labelled table by class: held-out splits, and keeping a few labels only.

Where a text may have several labels, it goes by the rarest of them, or without any by the most frequent label: so
rare labels are shared out in proportion, and others nearly so (the idea of Sechidis et al. 2011, On the Stratification
of Multi-Label Data).
"""

import numpy as np
import pandas as pd
from sklearn.model_selection import train_test_split

from potstill.corpus.clean import comparison_keys
from potstill.corpus.dataset import targets
from potstill.errors import PotstillError


def split_off(
    rows: pd.DataFrame, size: int, labels: list[str], seed: int, why: str
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Split a stratified sample of texts off; copies of one text stay together.

    Args:
        rows: the columns `text` and `label` (ids, or tuples of them).
        size: number of different texts to split off.
        labels: the names of the ids, for errors.
        seed: of the sample.
        why: the key and the file behind this split, for errors.

    Returns:
        The rest and the sample, both in the order of `rows`.

    Raises:
        PotstillError: the sample would be smaller than the number of classes, or a class has too few
            different texts to be split.
    """
    key = comparison_keys(rows["text"])
    texts = rows["label"].groupby(key, sort=False).first()
    if size < len(labels):
        # Each class needs a text in the sample, and one in the rest.
        mend = "raise it" if len(texts) >= 2 * len(labels) else "add different texts, or give a file for the split"
        raise PotstillError(f"{why} makes {size} row{'s' * (size != 1)}, fewer than the {len(labels)} classes: {mend}")
    for label, count in zip(labels, count_labels(texts, len(labels)), strict=True):
        if count < 2:
            raise PotstillError(
                f"{why} cannot be made: class {label!r} has {count} different text{'s' * (count != 1)} left: "
                "add examples, or give a file for the split"
            )
    of = _strata(texts, len(labels))
    if texts.dtype == object:
        of[np.bincount(of)[of] < 2] = np.bincount(of).argmax()  # what cannot be shared out goes with the most
        sample = _draw(texts, of, size, seed)
    else:
        _, sample = train_test_split(list(texts.index), test_size=size, stratify=of, random_state=seed)
    chosen = key.isin(sample)
    return rows[~chosen], rows[chosen]


def keep(rows: pd.DataFrame, number: int, classes: int, seed: int, key: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Keep a stratified sample of labelled rows with at least one row of every class there is in them.

    Args:
        rows: the columns `text` and `label` (ids, or tuples of them).
        number: of rows to keep.
        classes: the number of classes.
        seed: of the sample.
        key: what asked for it, and of which split, for errors.

    Returns:
        The sample and the rest, both in the order of `rows`.

    Raises:
        PotstillError: `number` is less than the number of classes or more than there are rows.
    """
    if not classes <= number <= len(rows):
        raise PotstillError(
            f"{key} has {len(rows)} rows and {classes} classes: choose from {classes} to {len(rows)}, or null for all"
        )
    chosen = rows.index.isin(_draw(rows, _strata(rows["label"], classes), number, seed))
    return rows[chosen], rows[~chosen]


def count_labels(labels: pd.Series, classes: int) -> list[int]:
    """How many texts have each label, in the order of the ids."""
    right = targets(labels, classes)
    return (np.bincount(right, minlength=classes) if right.ndim == 1 else right.sum(0)).tolist()


def _strata(labels: pd.Series, classes: int) -> np.ndarray:
    """The one label by which each text is shared out, int64 (texts,)."""
    right = targets(labels, classes)
    if right.ndim == 1:
        return right
    counts = right.sum(0)
    rarest = np.where(right, counts, len(labels) + 1).argmin(1)
    return np.where(right.any(1), rarest, counts.argmax())


def _draw(rows: pd.DataFrame | pd.Series, of: np.ndarray, number: int, seed: int) -> pd.Index:
    """The index of a sample that has every stratum in proportion, and at least once."""
    drawn = pd.Index([])
    for stratum, count in enumerate(_shares(np.bincount(of), number)):
        drawn = drawn.append(rows[of == stratum].sample(n=int(count), random_state=seed).index)
    return drawn


def _shares(counts: np.ndarray, total: int) -> np.ndarray:
    """Share `total` out in proportion to `counts`, by largest remainder, at least one to each that is not 0."""
    exact = counts * total / counts.sum()
    shares = np.maximum(np.floor(exact).astype(int), np.minimum(counts, 1))
    while shares.sum() < total:
        shares[np.argmax(np.where(shares < counts, exact - shares, -np.inf))] += 1
    while shares.sum() > total:
        shares[np.argmax(np.where(shares > 1, shares - exact, -np.inf))] -= 1
    return shares
