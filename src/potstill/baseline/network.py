"""The network of the student, trained on hard labels without a teacher."""

from functools import partial

import numpy as np
import pandas as pd
import torch

from potstill.baseline.params import BaselineParams
from potstill.core.class_weights import class_weights
from potstill.data.dataset import targets
from potstill.student import training
from potstill.student.distil import Trained
from potstill.student.distil import train as train_student
from potstill.student.training import Log


def train_on_labels(
    labels: list[str],
    train: pd.DataFrame,
    validation: pd.DataFrame,
    params: BaselineParams,
    log: Log = lambda epoch: None,
) -> Trained:
    """Train the same network on hard labels, weighted by `params.class_weight`.

    Args:
        train: a table with `text` and `label`.
        labels, validation, params, log: as for `student.distil.distil`.
    """
    hard = targets(train["label"], len(labels))
    multi_label = hard.ndim == 2
    one_hot = hard.astype(float) if multi_label else np.eye(len(labels))[hard]
    weight = torch.from_numpy(class_weights(hard, len(labels))) if params.class_weight else None
    loss = partial(training.binary_cross_entropy if multi_label else training.cross_entropy, weight=weight)
    return train_student(labels, train["text"].tolist(), one_hot, torch.tensor(hard), loss, validation, params, log)
