"""Fine-tuning that continues from an earlier teacher, whose classes may be others or in another order."""

from pathlib import Path

import numpy as np
import torch
from transformers import PreTrainedModel
from transformers.trainer_utils import set_seed

from potstill.core.errors import PotstillError
from potstill.data.dataset import Dataset
from potstill.scoring import model


def is_teacher(source: Path) -> bool:
    """Return whether a checkpoint is a teacher of this or another project, see `scoring.model`."""
    return (source / "teacher.json").is_file()


def keep_head(network: PreTrainedModel, source: Path, labels: list[str], seed: int) -> list[str]:
    """Copy what a teacher's head knows of each class into a network that was loaded from it; match classes by name.

    `from_pretrained` keeps a saved head of as many classes whatever their names are, and forgets one of another size.

    Args:
        network: a classifier of the classes `labels`, whose head is changed in place.
        source: the folder of the teacher.
        labels: the names of the classes.
        seed: for the initial weights of new classes.

    Returns:
        The new classes: those that the teacher does not have.

    Raises:
        PotstillError: the teacher is not a fine-tuned checkpoint, or damaged.
    """
    teacher = model.load(source)
    if not isinstance(teacher, model.CheckpointTeacher):
        raise PotstillError(
            f"{source}: a teacher that cannot be fine-tuned further. Set the preset's `checkpoint` to another."
        )
    theirs, ours = _output_layer(teacher.network), _output_layer(network)
    set_seed(seed)
    ours.reset_parameters()
    known = [row for row, name in enumerate(labels) if name in teacher.labels]
    with torch.no_grad():
        for name, values in ours.named_parameters():
            values[known] = theirs.get_parameter(name)[[teacher.labels.index(labels[row]) for row in known]]
    return [name for name in labels if name not in teacher.labels]


def repeats(data: Dataset, new: list[str]) -> np.ndarray:
    """Return how often an epoch should have each train text, so that a new class counts as much as a known one.

    A teacher has learned to ignore what does not distinguish the classes that it knows. With ten texts once an epoch,
    it takes longer to learn a new class than one that was there from the start.

    Args:
        data: the texts to train on.
        new: the new classes.

    Returns:
        int64 (texts,): 1; where a new class has fewer texts than the mean of the known classes, how many times fewer.
    """
    targets = data.targets("train")
    has = targets if targets.ndim == 2 else targets[:, None] == np.arange(len(data.labels))
    is_new = np.isin(data.labels, new)
    times = np.ones(len(is_new), np.int64)
    if is_new.any() and not is_new.all():
        counts = has.sum(0).clip(1)
        times[is_new] = np.rint(counts[~is_new].mean() / counts[is_new]).clip(1)
    return np.where(has, times, 1).max(1)


def _output_layer(network: PreTrainedModel) -> torch.nn.Linear:
    """Return the last layer of a classifier, which has a row of weights for each class."""
    inside = f"{network.base_model_prefix}."
    modules = [module for name, module in network.named_modules() if not name.startswith(inside)]
    return [module for module in modules if isinstance(module, torch.nn.Linear)][-1]
