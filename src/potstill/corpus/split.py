"""Splitting a labelled table by class: held-out splits, and keeping a few labels only."""

import numpy as np
import pandas as pd
from sklearn.model_selection import train_test_split

from potstill.corpus.clean import keys
from potstill.errors import PotstillError


def split_off(
    rows: pd.DataFrame, size: int, labels: list[str], seed: int, why: str
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Split a stratified sample of texts off; copies of one text stay together.

    Args:
        rows: the columns `text` and `label` (ids).
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
    key = keys(rows["text"])
    texts = rows["label"].groupby(key, sort=False).first()
    if size < len(labels):
        raise PotstillError(f"{why} makes {size} rows, fewer than the {len(labels)} classes: raise it")
    for id_, label in enumerate(labels):
        count = int((texts == id_).sum())
        if count < 2:
            raise PotstillError(
                f"{why} cannot be made: class {label!r} has {count} different text{'s' * (count != 1)} left: "
                "add examples, or give a file for the split"
            )
    _, sample = train_test_split(list(texts.index), test_size=size, stratify=texts.to_numpy(), random_state=seed)
    chosen = key.isin(sample)
    return rows[~chosen], rows[chosen]


def keep(rows: pd.DataFrame, number: int, classes: int, seed: int, key: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Keep a stratified sample of labelled rows with at least one row of every class there is in them.

    Args:
        rows: the columns `text` and `label` (ids).
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
    counts = np.bincount(rows["label"], minlength=classes)
    kept = pd.Index([])
    for id_, count in enumerate(_shares(counts, number)):
        kept = kept.append(rows[rows["label"] == id_].sample(n=int(count), random_state=seed).index)
    chosen = rows.index.isin(kept)
    return rows[chosen], rows[~chosen]


def _shares(counts: np.ndarray, total: int) -> np.ndarray:
    """Share `total` out in proportion to `counts`, by largest remainder, at least one to each that is not 0."""
    exact = counts * total / counts.sum()
    shares = np.maximum(np.floor(exact).astype(int), np.minimum(counts, 1))
    while shares.sum() < total:
        shares[np.argmax(np.where(shares < counts, exact - shares, -np.inf))] += 1
    while shares.sum() > total:
        shares[np.argmax(np.where(shares > 1, shares - exact, -np.inf))] -= 1
    return shares
