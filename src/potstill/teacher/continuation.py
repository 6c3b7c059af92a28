"""Fine-tuning that continues from an earlier teacher, whose classes may be others or in another order."""

from pathlib import Path

import torch
from transformers import PreTrainedModel
from transformers.trainer_utils import set_seed

from potstill.core.errors import PotstillError
from potstill.scoring import model


def is_teacher(source: Path) -> bool:
    """Return whether a checkpoint is a teacher of this or another project, see `scoring.model`."""
    return (source / "teacher.json").is_file()


def keep_head(network: PreTrainedModel, source: Path, labels: list[str], seed: int) -> list[str]:
    """Copy what a teacher's head knows of each class into a network that was loaded from it; match classes by name.

    `from_pretrained` keeps a saved head of as many classes whatever their names are, and forgets one of another size.

    Args:
        network: a classifier of `labels`, which is changed in place.
        source: the folder of the teacher.
        labels: the names of the classes of `network`.
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
    known = [(row, teacher.labels.index(name)) for row, name in enumerate(labels) if name in teacher.labels]
    to, rows = ([pair[side] for pair in known] for side in (0, 1))
    with torch.no_grad():
        for name, values in ours.named_parameters():
            values[to] = theirs.get_parameter(name)[rows]
    return [name for name in labels if name not in teacher.labels]


def _output_layer(network: PreTrainedModel) -> torch.nn.Linear:
    """Return the last layer of a classifier, which has a row of weights for each class."""
    inside = f"{network.base_model_prefix}."
    modules = [module for name, module in network.named_modules() if not name.startswith(inside)]
    return [module for module in modules if isinstance(module, torch.nn.Linear)][-1]
