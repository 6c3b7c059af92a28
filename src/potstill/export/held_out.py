"""What unlabelled texts say of a student that did not learn from them, and whose teacher has labelled them."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from potstill.core.labels import is_correct
from potstill.data.dataset import Dataset
from potstill.evaluate.metrics.measures import HeldOut
from potstill.runtime import drift
from potstill.runtime.profile import Profile, Tally, traits

ALPHA = 0.05  # the false-alarm rate of the test whether they are texts like those of validation
# With fewer, the test would hardly notice a difference; `benchmarks/trust/held_out.py` measured it with as many.
FEWEST = 200  # validation texts
AGREEMENT = "agreement"  # a trait next to those of `profile.traits`: whether the student predicts its teacher's label


def measure(
    student: Any, held_out: tuple[Sequence[str], np.ndarray], validation: tuple[Sequence[str], np.ndarray]
) -> HeldOut:
    """Compare a student with its teacher on held-out texts, and these with the validation texts.

    Args:
        student: the calibrated student.
        held_out: the held-out texts, and the labels that its teacher predicts for them, ids (texts,) or booleans
            (texts, classes).
        validation: the same of the validation texts.
    """
    if not held_out[0]:
        return {"texts": 0, "agree": 0, "differs_in": ""}
    now, before = (_counts(student, *part) for part in (held_out, validation))
    differs_in = differences(before, now, traits(student)) if validation[0] else []
    return {"texts": len(held_out[0]), "agree": int(now[AGREEMENT][1]), "differs_in": ", ".join(differs_in)}


def are_alike(found: HeldOut, data: Dataset) -> bool:
    """Return whether an agreement may be calibrated on held-out texts as on those of validation.

    Where nobody has labelled the train texts, the teacher has trained itself on the unlabelled ones, which are then
    easier for it than those to come.

    Args:
        found: what was measured, see `measure`.
        data: the data set, as it was prepared.
    """
    return data.is_labelled("train") and len(data.validation) >= FEWEST and not found["differs_in"]


def differences(
    before: Mapping[str, np.ndarray], now: Mapping[str, np.ndarray], names: Mapping[str, list[str]]
) -> list[str]:
    """Return the traits in which held-out texts differ significantly from the validation texts.

    Any difference counts, not only one that is large enough to call drift.

    Args:
        before: by trait, `AGREEMENT` included, the number of validation texts in each bin, int64 (bins,).
        now: the same of the held-out texts.
        names: the names of the bins, see `profile.traits`.
    """
    profile = Profile(dict(before), correct=0)  # how many are right plays no part
    bins = {**names, AGREEMENT: ["another label", "its teacher's label"]}
    changes = drift.compare(profile, dict(now), bins, ALPHA, min_effect=0).changes
    return [change.trait for change in changes if change.drifted]


def _counts(student: Any, texts: Sequence[str], teacher: np.ndarray) -> dict[str, np.ndarray]:
    tally = Tally(student)
    same = is_correct(tally.add(texts), teacher)
    return tally.counts | {AGREEMENT: np.bincount(same, minlength=2)}
