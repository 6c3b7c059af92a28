"""What teachers predicted for held-out texts: the labels of those that nobody has labelled."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from potstill.core import files, tracking
from potstill.data.dataset import Dataset
from potstill.scoring.ensemble import average


def label_held_out(data: Dataset, predictions: Sequence[Path]) -> Dataset:
    """Return the data with the label that teachers give each text of validation and test, where nobody has given one.

    Texts that a teacher has not answered are left out, see `Dataset.labelled_by`.

    Args:
        data: the data.
        predictions: per teacher the folder of its predictions, see `tracking.write_predictions`.

    Raises:
        PotstillError: a file is missing or damaged, or has no prediction for any text without a label.
    """
    logits = {}
    for split in ("validation", "test"):
        if len(data.split(split)) and not data.is_labelled(split):
            logits[split] = teacher_logits(predictions, data, split)
    return data.labelled_by(logits)


def teacher_logits(predictions: Sequence[Path], data: Dataset, split: str) -> np.ndarray:
    """Return the mean logits of teachers for a split, (texts, classes), from the folders of their predictions."""
    texts = len(data.split(split))
    found = [tracking.read_predictions(folder / f"{split}.csv", data.labels, texts) for folder in predictions]
    return average(found, data.multi_label)


def is_llm(predictions: Path) -> bool:
    """Return whether predictions are an LLM's, which counts as wrong where it has not answered; a table is incomplete.

    Args:
        predictions: the folder that the stage `teacher` wrote; one without `metrics.json` is not an LLM's.
    """
    metrics = predictions / "metrics.json"
    return metrics.is_file() and "left_out" in files.read_json(metrics, predictions.name)
