"""The unlabelled texts that would teach a teacher most, and files of texts for a person to label."""

import warnings
from collections.abc import Sequence

import numpy as np
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_extraction.text import TfidfVectorizer

COLUMNS = ("text", "label", "proposed", "confidence", "current", "split")
"""The columns of a file of texts to label; `label` is empty, and `prepare` reads the rows where it is filled in."""

SHORTLIST = 10  # texts among which one is chosen
SEED = 0


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
    """Return the texts of the smallest margins, `SHORTLIST` for each of `number`, in ascending order of the margin."""
    return np.argsort(margins, kind="stable")[: SHORTLIST * number]


def spread(texts: Sequence[str], margins: np.ndarray, number: int) -> np.ndarray:
    """Choose texts that are uncertain and differ from each other.

    Weighted k-means on TF-IDF, and of each cluster the text nearest to its centre (Zhdanov 2019, Diverse mini-batch
    Active Learning, arXiv 1901.05954).

    Args:
        texts: a shortlist, in ascending order of the margin.
        margins: of these texts.
        number: how many to choose; if there are fewer, all are.

    Returns:
        Their positions in the shortlist, ascending.
    """
    if len(texts) <= number:
        return np.arange(len(texts))
    # Of any language: every run of other characters than white space is a word.
    features = TfidfVectorizer(token_pattern=r"\S+", ngram_range=(1, 2), sublinear_tf=True).fit_transform(texts)
    weights = 1 - margins + 1e-6
    clusters = KMeans(number, n_init=1, random_state=SEED)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer different texts than clusters
        distances = clusters.fit_transform(features, sample_weight=weights)
    own = distances[np.arange(len(texts)), clusters.labels_]
    nearest = [members[own[members].argmin()] for members in _members(clusters.labels_)]
    others = np.setdiff1d(np.arange(len(texts)), nearest)
    return np.sort(np.concatenate([nearest, others[: number - len(nearest)]]).astype(np.int64))


def _members(clusters: np.ndarray) -> list[np.ndarray]:
    return [np.flatnonzero(clusters == cluster) for cluster in np.unique(clusters)]
