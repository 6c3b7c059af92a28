"""Training a student: choose its vocabulary, build its network, fit it to soft or hard labels."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from safetensors.numpy import save_file
from torch.nn import functional

from potstill.core import files
from potstill.core.errors import PotstillError
from potstill.core.labels import probabilities
from potstill.data.dataset import targets
from potstill.runtime.file import FLOAT, TABLE, check
from potstill.runtime.model import FILE, UNROUNDED, WORDS, Classifier, Student
from potstill.runtime.networks import Shape, Weights
from potstill.scoring import pretrained
from potstill.student import networks, training, transformer, vocabulary
from potstill.student.networks import Vectors
from potstill.student.params import DistilParams, NetworkParams
from potstill.student.quantization import bits_of
from potstill.student.training import Log
from potstill.student.vectors import TeacherVectors, reduce


@dataclass(frozen=True)
class Trained:
    """A trained student, and what its file does not hold.

    Attributes:
        student: the student.
        words: the entries of its vocabulary, in the order of their rows.
        best: the metrics of its best epoch, see `training.fit`.
        unrounded: its weights before rounding; empty without quantization.
    """

    student: Classifier
    words: list[str]
    best: dict[str, float]
    unrounded: Weights

    def save(self, folder: Path) -> int:
        """Write `FILE`, `WORDS` and `UNROUNDED` into a new folder. Return the size of the first in bytes."""
        with files.atomic_write(folder) as part:
            part.mkdir(parents=True)
            self.student.save(part / FILE)
            files.write_json(part / WORDS, self.words)
            save_file(self.unrounded, part / UNROUNDED)
        return files.size(folder / FILE)


def distil(
    labels: list[str],
    texts: vocabulary.Texts,
    logits: np.ndarray,
    validation: pd.DataFrame,
    params: DistilParams,
    teacher: Path | None = None,
    log: Log = lambda epoch: None,
    progress: Callable[[float], object] = lambda share: None,
) -> Trained:
    """Train a student to predict its teacher's probabilities.

    Args:
        labels: the class names.
        texts: the texts of the transfer set.
        logits: the teacher's logits, float32 (texts, classes).
        validation: a table with `text` and `label`, on which the best epoch is chosen. Its labels tell whether the task
            is multi-label.
        params: the settings.
        teacher: the folder of the fine-tuned teacher, whose word vectors a student that splits words has, and whose
            layers a small Transformer begins with; other students do not need it.
        log: called after each epoch, see `training.fit`.
        progress: called after each batch of a small Transformer, whose epochs take long, see `training.fit`.

    Raises:
        PotstillError: the teacher cannot be loaded, or the student begins with a kind of teacher that it cannot use.
    """
    multi_label = validation["label"].dtype == object
    loss: training.Loss
    if params.loss == "mse":
        loss = functional.mse_loss if multi_label else training.mse
    else:
        loss = partial(training.binary_kl if multi_label else training.kl, temperature=params.temperature)
    soft, loss_targets = probabilities(logits, multi_label), torch.from_numpy(logits)
    if params.kind == "table":
        return train(
            labels, texts, soft, loss_targets, loss, validation, params, log,
            exclude_identifiers=params.exclude_identifiers,
        )  # fmt: skip
    if teacher is None:
        raise PotstillError(
            f"student: {params.kind} begin with a Transformer's weights. Set `student.architecture` and "
            "`student.subwords` to null, or have a checkpoint label."
        )
    if params.kind == "subwords":
        vectors = TeacherVectors(*pretrained.load(str(teacher), trained=True))
        return train(
            labels, texts, soft, loss_targets, loss, validation, params, log, vectors, params.exclude_identifiers
        )
    student, best = transformer.train(
        labels, texts, loss_targets, loss, validation, params, params.layers, teacher, log, progress
    )
    return Trained(student, [], best, {})


def train(
    labels: list[str],
    texts: vocabulary.Texts,
    probabilities: np.ndarray,
    loss_targets: torch.Tensor,
    loss: training.Loss,
    validation: pd.DataFrame,
    params: NetworkParams,
    log: Log,
    vectors: TeacherVectors | None = None,
    exclude_identifiers: bool = False,
) -> Trained:
    """Train a student on probabilities or hard labels.

    Args:
        labels, validation, log: as for `distil`.
        texts: the texts to learn from.
        probabilities: of each text, floats (texts, classes), by which the vocabulary is chosen.
        loss_targets: what `loss` compares the logits with, of shape (texts,) or (texts, classes).
        loss: takes logits and targets of a batch.
        params: the settings.
        vectors: for a student that splits words, as for `distil`.
        exclude_identifiers: see `vocabulary.count`.
    """
    validation_labels = targets(validation["label"], len(labels))
    multi_label = validation_labels.ndim == 2
    shape = Shape(params.architecture, params.embedding_dim, params.hidden)
    bits = (FLOAT, FLOAT)
    if params.weight_bits:
        bits = bits_of(TABLE, params.weight_bits), bits_of("head.weight", params.weight_bits)
    check(labels, shape, 1, bits)  # before the minutes that the vocabulary may take
    pieces = list(vectors.pieces) if vectors else None
    built = vocabulary.build(texts, probabilities, params, multi_label, pieces, exclude_identifiers)
    lookup = built.lookup
    check(labels, shape, lookup.size, bits)
    initial = None
    if vectors:
        width = shape.weights(lookup.size, len(labels))[TABLE][1]
        table = reduce(vectors.embed(built.entries), built.occurrences, width)
        initial = Vectors(table, np.append(False, built.is_own))
    torch.manual_seed(params.seed)
    network = networks.build(params, lookup.size, len(labels), initial)
    encoded = lookup.encode(texts), lookup.encode(validation["text"])
    # Vectors that are not trained keep their size too.
    given = network.get_parameter(TABLE) if vectors else None
    fitted = training.fit(network, encoded[0], loss_targets, loss, encoded[1], validation_labels, params, log, given)
    weights = {name: weight.numpy() for name, weight in network.state_dict().items()}
    thresholds = [0.5] * len(labels) if multi_label else None
    student = Student(labels, lookup, shape, weights, bits, fitted.steps, thresholds=thresholds)
    unrounded = {name: weight.numpy() for name, weight in fitted.unrounded.items()}
    return Trained(student, built.entries, fitted.best, unrounded)
