"""What unlabelled texts say of a student that did not learn from them, and whose teacher has labelled them."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from potstill.core.labels import is_correct
from potstill.evaluate.metrics.measures import HeldOut
from potstill.runtime import drift
from potstill.runtime.profile import Profile, Tally, traits

ALPHA = 0.05  # the false-alarm rate of the test whether they are texts like those of validation


def measure(student: Any, texts: Sequence[str], teacher: np.ndarray, validation: Sequence[str]) -> HeldOut:
    """Compare a student with its teacher on held-out texts, and these with the validation texts.

    Args:
        student: the calibrated student.
        texts: the held-out texts.
        teacher: the labels that its teacher predicts for them, ids (texts,) or booleans (texts, classes).
        validation: the validation texts.
    """
    if not texts:
        return {"texts": 0, "agree": 0, "differs_in": ""}
    before, now = Tally(student), Tally(student)
    before.add(validation)
    same = is_correct(now.add(texts), teacher)
    profile = Profile(before.counts, correct=0)  # their labels play no part
    # Any difference counts, not only one that is large enough to call drift.
    changes = drift.compare(profile, now.counts, traits(student), ALPHA, min_effect=0).changes
    differs_in = ", ".join(change.trait for change in changes if change.drifted)
    return {"texts": len(texts), "agree": int(same.sum()), "differs_in": differs_in}
