"""The labels of held-out texts that nobody has labelled: those of the teachers, from their predictions."""

from collections.abc import Sequence
from pathlib import Path

from potstill.core import tracking
from potstill.data.dataset import Dataset
from potstill.scoring.ensemble import average


def label_held_out(data: Dataset, predictions: Sequence[Path]) -> Dataset:
    """Return the data with the label that teachers give each text of validation and test, where nobody has given one.

    Args:
        data: the data.
        predictions: per teacher the folder of its predictions, see `tracking.write_predictions`.

    Raises:
        PotstillError: a file is missing or damaged, or has no prediction for a text without a label.
    """
    logits = {}
    for split in ("validation", "test"):
        if len(texts := data.split(split)) and not data.is_labelled(split):
            found = [tracking.read_predictions(one / f"{split}.csv", data.labels, len(texts)) for one in predictions]
            logits[split] = average(found)
    return data.labelled_by(logits)
