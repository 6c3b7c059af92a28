"""The sample of a task that is used for advice."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from potstill.core.errors import PotstillError
from potstill.data.dataset import Dataset
from potstill.prepare.split import subsample

SEED = 0
FRACTIONS = (4, 2, 1)  # of the sample, and of the transfer set, to train on: a quarter, half, all
MIN_ROWS = 40  # labelled rows, below which no difference shows
SELECTION_ROWS = 500  # train rows for choosing epochs, so that the validation split is for measuring only
VALIDATION_ROWS = 1000
TRANSFER_TEXTS = 6000  # that the teacher labels


@dataclass(frozen=True)
class Sample:
    """A part of a task.

    Attributes:
        labels: the names of the classes.
        train: a table with `text` and `label`, likewise the next two.
        selection: for choosing epochs.
        validation: for measuring.
        others: texts without their labels.
        train_as_unlabelled: whether `others` are train texts, because the task has no unlabelled ones.
    """

    labels: list[str]
    train: pd.DataFrame
    selection: pd.DataFrame
    validation: pd.DataFrame
    others: list[str]
    train_as_unlabelled: bool

    def transfer_set(self) -> list[str]:
        """Return the train texts in random order, since a file may be sorted by class, then the others."""
        return self.train["text"].sample(frac=1, random_state=SEED).tolist() + self.others


def draw(data: Dataset, rows: int) -> Sample:
    """Draw a sample of at most `rows` labelled train rows, a quarter of which has room for every class.

    Raises:
        PotstillError: there are too few rows, or the validation split has one class only.
    """
    classes = len(data.labels)
    # At most four fifths of the train split, so that there are rows left for choosing epochs.
    size = min(rows, len(data.train) * 4 // 5)
    smallest = max(MIN_ROWS, FRACTIONS[0] * classes)
    if size < smallest:
        raise PotstillError(
            f"--rows: {size} labelled rows are too few for {classes} classes. Use at least {smallest}; four fifths of "
            "the train split are used at most."
        )
    if len(np.unique(data.targets("validation"), axis=0)) < 2:
        raise PotstillError("the validation split has only one class. Set prepare.validation.")
    train, rest = subset(data.train, size, classes)
    selection, rest = subset(rest, min(SELECTION_ROWS, len(train) // 3), classes)
    train_as_unlabelled = data.unlabelled.empty
    others = (rest if train_as_unlabelled else data.unlabelled)["text"]
    others = others.sample(n=min(len(others), max(0, TRANSFER_TEXTS - len(train))), random_state=SEED)
    validation, _ = subset(data.validation, VALIDATION_ROWS, classes)
    return Sample(
        data.labels, train, train if selection.empty else selection, validation, others.tolist(), train_as_unlabelled
    )


def subset(rows: pd.DataFrame, size: int, classes: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return a stratified sample of `size` rows, but at least one of each class, and the rest."""
    size = max(size, classes)
    return (rows, rows.iloc[:0]) if size >= len(rows) else subsample(rows, size, classes, SEED, "the sample")
