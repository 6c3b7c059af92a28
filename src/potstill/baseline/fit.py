"""The baselines: TF-IDF with logistic regression, and the student's network, both trained on hard labels."""

from pathlib import Path

from potstill.baseline.network import train_on_labels
from potstill.baseline.params import BaselineParams
from potstill.core import device
from potstill.data.dataset import Dataset
from potstill.scoring.tfidf import Tfidf
from potstill.student.distil import Trained
from potstill.student.training import Log


def fit(
    data: Dataset, params: BaselineParams, folder: Path, log: Log = lambda epoch: None
) -> tuple[Tfidf, Trained, int]:
    """Train the baselines, and write them to `tfidf` and `hard` in a folder.

    Args:
        data: the prepared data.
        params: the settings.
        folder: a folder that exists.
        log: called after each epoch of the network, see `training.fit`.

    Returns:
        TF-IDF, the network, and the size of the network's file in bytes.
    """
    device.use_threads(params.threads)
    tfidf = Tfidf.fit(data.train, params.C, params.class_weight)
    tfidf.save(folder / "tfidf")
    trained = train_on_labels(data.labels, data.train, data.validation, params, log)
    return tfidf, trained, trained.save(folder / "hard")
