"""The profile of the validation texts, in a model file for `potstill drift`."""

from potstill.core.labels import is_correct
from potstill.data.dataset import Dataset
from potstill.runtime.model import Classifier
from potstill.runtime.profile import Profile, Tally


def collect(student: Classifier, data: Dataset) -> Profile:
    """Count the validation texts, which the student was not trained on, as it sees them.

    Args:
        student: the student, calibrated, with its decision thresholds.
        data: the data set.
    """
    tally = Tally(student)
    chosen = tally.add(data.validation["text"].tolist())
    return Profile(tally.counts, int(is_correct(chosen, data.targets("validation")).sum()))
