"""Fine-tuning that continues from an earlier teacher, whose classes may be others or in another order."""

from pathlib import Path

import numpy as np
import torch
from torch.nn.functional import normalize
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from transformers.trainer_utils import set_seed

from potstill.core.errors import PotstillError
from potstill.data.dataset import Dataset
from potstill.scoring import inference, model, windows
from potstill.teacher.params import TeacherParams

TEXTS = 256  # at most, of a class and of the others, from which the weights of a new class are made


def is_teacher(source: Path) -> bool:
    """Return whether a checkpoint is a teacher of this or another project, see `scoring.model`."""
    return (source / "teacher.json").is_file()


def keep_head(
    network: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, source: Path, data: Dataset, params: TeacherParams
) -> list[str]:
    """Copy what a teacher's head knows of each class into a network that was loaded from it; match classes by name.

    `from_pretrained` keeps a saved head of as many classes whatever their names are, and forgets one of another size.
    A new class gets weights that point to its texts (Qi et al. 2018, Low-Shot Learning with Imprinted Weights): with
    random ones, it takes longer to learn ten texts of it than the other classes need.

    Args:
        network, tokenizer: a classifier of the classes of `data`, whose head is changed in place.
        source: the folder of the teacher.
        data: the texts to train on.
        params: the settings of the training.

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
    set_seed(params.seed)
    ours.reset_parameters()
    known = [row for row, name in enumerate(data.labels) if name in teacher.labels]
    new = [row for row in range(len(data.labels)) if row not in known]
    with torch.no_grad():
        for name, values in ours.named_parameters():
            values[known] = theirs.get_parameter(name)[[teacher.labels.index(data.labels[row]) for row in known]]
        if known and new:
            _imprint(network, tokenizer, data, params, known, new)
    return [data.labels[row] for row in new]


def _imprint(
    network: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    data: Dataset,
    params: TeacherParams,
    known: list[int],
    new: list[int],
) -> None:
    """Set the weights of each new class to the mean of its texts minus that of others, at the length of known ones."""
    layer = _output_layer(network)
    texts, targets = data.train["text"].to_numpy(), data.targets("train")
    max_windows = params.max_windows or windows.choose(tokenizer, texts.tolist(), params.max_length)
    options = params.max_length, params.texts_at_once, "fp32"

    def mean(chosen: np.ndarray) -> torch.Tensor:
        features: list[torch.Tensor] = []
        hook = layer.register_forward_pre_hook(lambda _, inputs: features.append(inputs[0].float()))
        inference.score(network, tokenizer, texts[chosen][:TEXTS].tolist(), *options, max_windows=max_windows)
        hook.remove()
        return torch.cat([values.reshape(-1, values.shape[-1]) for values in features]).mean(0)

    length = layer.weight[known].norm(dim=1).mean()
    for row in new:
        of_class = targets == row if targets.ndim == 1 else targets[:, row]
        direction = mean(of_class) - mean(~of_class)
        layer.weight[row] = normalize(direction, dim=0) * length
        if layer.bias is not None:
            layer.bias[row] = layer.bias[known].mean()


def repeats(data: Dataset, new: list[str]) -> np.ndarray:
    """Return how often an epoch should have each train text, so that a new class counts as much as a known one.

    A teacher has learned to ignore what does not distinguish the classes that it knows. With ten texts once an epoch,
    it takes longer to learn a new class than one that was there from the start.

    Args:
        data: the texts to train on.
        new: the new classes.

    Returns:
        int64 (texts,): 1, but for a text of a new class with fewer texts than the mean of the known classes, their ratio.
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
