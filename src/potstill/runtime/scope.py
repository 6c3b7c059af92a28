"""Whether a text is of the kind that a student was made for: in scope, or "none of these".

A text is in scope if its score reaches the threshold in the facts of the model file, which the module `export.scope`
fits: its energy score, less `weight` times the share of its rows that are rare. `student.js` and the ONNX model compute
the same.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from potstill.core.errors import PotstillError
from potstill.core.labels import probabilities
from potstill.runtime.facts import RARE

if TYPE_CHECKING:
    from potstill.runtime.model import Classifier

FACT = "scope"


def energy(logits: np.ndarray, multi_label: bool) -> np.ndarray:
    """Return the energy scores of texts: the lower, the less a text is like those of the training data.

    The score is the logarithm of the summed exponentials of the logits (Liu et al. 2020, arXiv 2010.03759); in a
    multi-label task that of each label and its absence, summed over the labels (Wang et al. 2021, arXiv 2109.14162).

    Args:
        logits: calibrated, floats (texts, classes).
        multi_label: whether the task is multi-label.

    Returns:
        Float64 (texts,).
    """
    logits = logits.astype(np.float64)
    return np.logaddexp(0, logits).sum(1) if multi_label else np.logaddexp.reduce(logits, axis=1)


def rare_rows(facts: Mapping[str, Any], rows: int) -> np.ndarray:
    """Return which rows of the embedding table are rare by the facts of a file, uint8 (rows,): 1, or 0."""
    runs = np.array(facts.get(FACT, {}).get(RARE, []), np.int64)
    found = np.repeat(np.arange(1, 1 + len(runs)) % 2, runs)
    return np.pad(found, (0, rows - len(found))).astype(np.uint8)


def score(student: "Classifier", texts: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return the calibrated logits of texts, float32 (texts, classes), and their scores, float64 (texts,).

    Of the student's fact `scope`, `weight` and `rare` alone are used, and may be missing.
    """
    logits, shares = student.logits_and_rare(texts)
    weight = student.facts.get(FACT, {}).get("weight", 0)
    return logits, energy(logits, student.thresholds is not None) - weight * shares.astype(np.float64)


def sentence(fact: Mapping[str, float]) -> str:
    """Return what a fact `scope`, which `runtime.facts.check` has checked, promises."""
    return (
        f"texts with a score below {fact['threshold']:g}; false alarms {fact['false_alarms']:.1%} on average "
        f"(at most {fact['false_alarms_high']:.1%} with 95% confidence, from {fact['texts']:,.0f} validation texts)"
    )


def predict(student: "Classifier", texts: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return the probabilities of texts, float32 (texts, classes), and whether they are in scope, booleans (texts,).

    Raises:
        PotstillError: the model file has no threshold.
    """
    fact: dict[str, Any] | None = student.facts.get(FACT)
    if fact is None:
        raise PotstillError(
            "the model file has no threshold for texts that are out of scope. Set `export.scope` and export it again."
        )
    logits, scores = score(student, texts)
    return probabilities(logits, multi_label=student.thresholds is not None), scores >= fact["threshold"]
