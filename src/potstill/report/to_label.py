"""Files of texts for a person to label: the unlabelled ones that would teach a teacher most, and suspect labels."""

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_extraction.text import TfidfVectorizer

from potstill.core.labels import JOINT, confidence, label_names, predict_labels
from potstill.data.transfer import TransferSet
from potstill.report.suspects import LabelError

COLUMNS = ("text", "label", "proposed", "confidence", "current", "split")
"""The columns of these files; `label` is empty, and the stage `prepare` reads the rows where it is filled in."""

# For each text to choose, as many are drawn at random, and the least certain of these are compared with each other. It
# bounds time and memory; and without the draw, the least certain of very many texts are about one and the same doubt.
DRAWN, SHORTLIST = 80, 20
SEED = 0


def to_label(
    transfer_set: TransferSet, probabilities: np.ndarray, names: Sequence[str], multi_label: bool, number: int
) -> list[dict[str, Any]]:
    """Choose the unlabelled texts that would teach most: the teacher is uncertain of them, and they differ.

    Args:
        transfer_set: the transfer set.
        probabilities: the teacher's, floats (texts, classes).
        names: of the classes.
        multi_label: whether a text may have several.
        number: how many texts to choose, if there are as many.

    Returns:
        A row with `COLUMNS` for each, the most uncertain first.
    """
    rows = np.flatnonzero(transfer_set.sources == "unlabelled")
    if not (number and len(rows)):
        return []
    rows = np.random.default_rng(SEED).permutation(rows)[: DRAWN * number]
    rows = np.sort(rows[shortlist(margins(probabilities[rows], multi_label), number)])
    texts, found = list(transfer_set.subset(rows).texts), probabilities[rows]
    predicted = predict_labels(found, 0.5 if multi_label else None)
    proposed, sure = _written(predicted, names), confidence(found, predicted)
    return [
        _row(texts[i], proposed[i], sure[i], "", "unlabelled")
        for i in spread(texts, margins(found, multi_label), number)
    ]


def to_correct(
    errors: Sequence[LabelError], labels: np.ndarray, texts: Sequence[str], names: Sequence[str], split: str
) -> list[dict[str, Any]]:
    """Return a row for every text of a split with probable label errors: `COLUMNS`, and `margin` of the worst error.

    Args:
        errors: the result of `find_label_errors`.
        labels: of all texts, ids (texts,) or booleans (texts, classes).
        texts: of the split.
        names: of the classes.
        split: its name.
    """
    proposed, worst = labels.copy(), dict[int, LabelError]()
    for error in sorted(errors, key=lambda error: -error.margin):
        worst.setdefault(error.text, error)
        if labels.ndim == 1:
            proposed[error.text] = error.label
        else:
            proposed[error.text, error.label] ^= True
    numbers = list(worst)
    columns = zip(worst.values(), _written(labels[numbers], names), _written(proposed[numbers], names), strict=True)
    return [
        _row(texts[error.text], better, error.confidence, current, split) | {"margin": error.margin}
        for error, current, better in columns
    ]


def _row(text: str, proposed: str, sure: float, current: str, split: str) -> dict[str, Any]:
    return dict(zip(COLUMNS, (text, "", proposed, float(sure), current, split), strict=True))


def _written(chosen: np.ndarray, names: Sequence[str]) -> list[str]:
    """Return labels as `prepare` reads them in such a file."""
    return [name or JOINT for name in label_names(chosen, names)]


def margins(probabilities: np.ndarray, multi_label: bool) -> np.ndarray:
    """Return how clearly each text's labels are chosen, floats (texts,) from 0 to 1.

    It is the difference of the two largest probabilities; in a multi-label task, the difference between a label's
    presence and absence, for the label where it is smallest.
    """
    if multi_label:
        return np.abs(2 * probabilities - 1).min(1)
    top = np.partition(probabilities, -2, axis=1)[:, -2:]
    return top[:, 1] - top[:, 0]


def shortlist(margins: np.ndarray, number: int) -> np.ndarray:
    """Return the texts of the smallest margins, `SHORTLIST` for each of `number`."""
    return np.argsort(margins, kind="stable")[: SHORTLIST * number]


def spread(texts: Sequence[str], margins: np.ndarray, number: int) -> np.ndarray:
    """Choose texts that are uncertain and differ from each other.

    Weighted k-means on TF-IDF, and of each cluster the text nearest to its centre (Zhdanov 2019, Diverse mini-batch
    Active Learning, arXiv 1901.05954).

    Args:
        texts: a shortlist.
        margins: of these texts.
        number: how many to choose; if there are fewer, all are.

    Returns:
        Their positions in the shortlist, in ascending order of the margin.
    """
    by_margin = np.argsort(margins, kind="stable")
    if len(texts) <= number:
        return by_margin
    # Of any language: every run of other characters than white space is a word.
    words = TfidfVectorizer(token_pattern=r"\S+", ngram_range=(1, 2), sublinear_tf=True)
    clusters = KMeans(number, n_init=1, random_state=SEED)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer different texts than clusters
        distances = clusters.fit_transform(words.fit_transform(texts), sample_weight=1 - margins + 1e-6)
    own = distances[np.arange(len(texts)), clusters.labels_]
    members = [np.flatnonzero(clusters.labels_ == cluster) for cluster in np.unique(clusters.labels_)]
    chosen = np.isin(by_margin, [texts_[own[texts_].argmin()] for texts_ in members])
    chosen[np.flatnonzero(~chosen)[: number - len(members)]] = True
    return by_margin[chosen]
