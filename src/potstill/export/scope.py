"""Which texts are out of scope, "none of these": the rows that count as rare, and the threshold of the scores."""

import math
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

import numpy as np
from scipy.stats import beta

from potstill.core import files
from potstill.data.dataset import Dataset
from potstill.runtime.model import Classifier, Student
from potstill.runtime.tokenizer import UNKNOWN

LEVEL = 0.95  # of the upper bound
DECIMALS = 4  # of the threshold
# Chosen on validation for all tasks, see benchmarks/README.md. As it is a constant, no score depends on the texts that
# the threshold is fitted on.
WEIGHT = 10.0  # of the share of rare rows
# Rows of fewer texts are rare. The file then does not say what single texts hold.
MIN_TEXTS = 5
MOST_TEXTS = 200_000  # that are read to count them
_CHUNK = 4096  # texts encoded at once


def rare_rows(student: Classifier, texts: Iterable[str]) -> list[int]:
    """Return the rows that fewer than `MIN_TEXTS` texts have, and that of unknown words, as `runtime.facts` has them.

    Args:
        student: the student.
        texts: those that it was made for.
    """
    counts = np.zeros(student.rows, np.int64)
    waiting = iter(texts)
    while chunk := list(islice(waiting, _CHUNK)):
        encoded = student.encode(chunk)
        of_texts = np.repeat(np.arange(len(encoded)) * student.rows, encoded.lengths)
        counts += np.bincount(np.unique(of_texts + encoded.ids) % student.rows, minlength=student.rows)
    rare = counts < MIN_TEXTS
    if isinstance(student, Student):  # the others have a token for nearly everything
        rare[UNKNOWN] = True
    edges = np.flatnonzero(np.diff(rare, prepend=True))
    runs = np.diff([0, *edges, len(rare)]).tolist()
    return runs if rare[-1] else runs[:-1]


def known_texts(prepared: Path) -> Iterable[str]:
    """Return the train and unlabelled texts of the prepared data, or every n-th if there are very many.

    Those that the pool holds out are among them, although no student learns from them.
    """
    names = ("train", "unlabelled")
    rows = files.read_json(prepared / "dataset.json")["rows"]
    step = max(1, math.ceil(sum(rows[name] for name in names) / MOST_TEXTS))
    texts = (text for name in names for batch in Dataset.texts(prepared, name) for text in batch.to_pylist())
    return islice(texts, 0, None, step)


def fit(scores: np.ndarray, false_alarms: float) -> dict[str, float]:
    """Fit the threshold of a false-alarm rate by split conformal prediction (Vovk et al. 2005).

    A new text of the same kind has each rank among the scores with the same probability. So it is below the k-th lowest
    of n scores with a probability of at most k / (n + 1), whatever their distribution. That is the mean over sets of n
    texts: the rate of one set's threshold follows the distribution Beta(k, n + 1 - k), or is lower.

    Args:
        scores: those of `runtime.scope` (texts,), of texts that the student was not trained on.
        false_alarms: the share of in-scope texts that may be called out of scope. With fewer than 1 / `false_alarms`
            - 1 texts the lowest score is the threshold, and the rate is the higher one that this has.

    Returns:
        Of the fact `scope`, see `runtime.facts`: `threshold`; `false_alarms`, the rate; `false_alarms_high`, its 95%
        upper bound for this threshold; `texts`, the number of scores.
    """
    count = len(scores)
    rank = max(1, math.floor(false_alarms * (count + 1)))
    # Rounded down, so that a runtime whose logits differ in the last digits decides the text of this score alike.
    threshold = math.floor(np.sort(scores)[rank - 1] * 10**DECIMALS) / 10**DECIMALS
    return {
        "threshold": threshold,
        "false_alarms": round(max(false_alarms, 1 / (count + 1)), 6),
        "false_alarms_high": round(float(beta.ppf(LEVEL, rank, count + 1 - rank)), 6),
        "texts": count,
    }
