"""Whether a text is of the kind that a student was made for: in scope, or "none of these".

A text is in scope if its energy score reaches the threshold in the facts of the model file, which the module
`export.scope` fits. `student.js` and the ONNX model compute the same.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from potstill.core.errors import PotstillError
from potstill.core.labels import probabilities

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


def sentence(fact: Mapping[str, float]) -> str:
    """Return what a fact `scope`, which `runtime.facts.check` has checked, promises."""
    return (
        f"texts with an energy score below {fact['threshold']:g}; false alarms {fact['false_alarms']:.1%} on average "
        f"(at most {fact['false_alarms_high']:.1%} with 95% confidence, from {fact['texts']:,.0f} validation texts)"
    )


def inside(student: "Classifier", logits: np.ndarray) -> np.ndarray:
    """Return whether texts are in scope, booleans (texts,), given their calibrated logits (texts, classes).

    Raises:
        PotstillError: the model file has no threshold.
    """
    fact: dict[str, Any] | None = student.facts.get(FACT)
    if fact is None:
        raise PotstillError(
            "the model file has no threshold for texts that are out of scope. Set `export.scope` and export it again."
        )
    return energy(logits, student.thresholds is not None) >= fact["threshold"]


def predict(student: "Classifier", texts: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return the probabilities of texts, float32 (texts, classes), and whether they are in scope, booleans (texts,).

    Raises:
        PotstillError: the model file has no threshold.
    """
    logits = student.decision_function(texts)
    return probabilities(logits, multi_label=student.thresholds is not None), inside(student, logits)
