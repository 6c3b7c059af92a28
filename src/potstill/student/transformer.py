"""Training a student that is a small Transformer: some layers of its teacher, distilled and then quantized."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from potstill.data.dataset import targets
from potstill.runtime.tokenizer import Encoded
from potstill.runtime.transformer.model import BATCH, Transformer
from potstill.runtime.transformer.shape import MAX_POSITIONS
from potstill.runtime.transformer.weights import Weights
from potstill.scoring import pretrained
from potstill.student import activations, encoder, tokens, training
from potstill.student.params import NetworkParams
from potstill.student.training import Log, Loss
from potstill.student.vocabulary import Texts

_MEASURED = 2048  # texts on which activations are measured


def train(
    labels: list[str],
    texts: Texts,
    loss_targets: Tensor,
    loss: Loss,
    validation: pd.DataFrame,
    params: NetworkParams,
    layers: int,
    teacher: Path,
    log: Log = lambda epoch: None,
    progress: Callable[[float], object] = lambda share: None,
) -> tuple[Transformer, dict[str, float]]:
    """Train a small Transformer, which begins as some layers of its teacher.

    Args:
        labels: the class names.
        texts: the texts to learn from.
        loss_targets: what `loss` compares the logits with, of shape (texts,) or (texts, classes).
        loss: takes logits and targets of a batch.
        validation: a table with `text` and `label`, on which the best epoch is chosen.
        params: the settings; `vocab_size` and `max_length` count tokens. `weight_bits` is ignored: weights are
            always rounded, see `runtime.transformer.weights`, and after the training.
        layers: how many of the teacher's layers to begin with, see `encoder.evenly_spaced`; 0 for all of them, which
            is the teacher itself, so that nothing is trained.
        teacher: the folder of the fine-tuned teacher.
        log, progress: see `training.fit`.

    Returns:
        The student, and the metrics of its best epoch, see `training.fit`; those on validation are of the quantized
        student.

    Raises:
        PotstillError: the teacher cannot be loaded, or is of another kind than `encoder` supports.
    """
    model, full = pretrained.load(str(teacher), trained=True)
    limit = min(full.model_max_length, MAX_POSITIONS)
    max_length = min(params.max_length or tokens.fit_length(full, texts, limit), limit)
    tokenizer, kept = tokens.cut(full, texts, params.vocab_size, max_length)
    torch.manual_seed(params.seed)
    network = encoder.build(model, layers, kept, max_length, params.dropout)
    encoded = tokenizer.encode(texts), tokenizer.encode(validation["text"])
    actual = targets(validation["label"], len(labels))
    best = {"epoch": 1, "loss": 0.0}
    if layers:
        params = params.model_copy(update={"weight_bits": None})
        best = training.fit(
            network, encoded[0], loss_targets, loss, encoded[1], actual, params, log, progress=progress
        ).best
    factors, ranges = activations.calibrate(network, _batches(encoded[0], params.seed), params.seed)
    weights = {name: weight.cpu().numpy() for name, weight in network.state_dict().items()}
    weights |= {f"{name}.smoothing": array for name, array in factors.items()}
    thresholds = [0.5] * len(labels) if actual.ndim == 2 else None
    shape = replace(network.shape, smoothed=True)
    student = Transformer(labels, tokenizer, shape, Weights.round(weights, ranges), thresholds=thresholds)
    best |= training.evaluate(student.logits(encoded[1]), actual)
    if not layers:
        log(best)
    return student, best


def _batches(texts: Encoded, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield ids and mask of random texts, each once."""
    chosen = np.random.default_rng(seed).permutation(len(texts))[:_MEASURED]
    chosen = chosen[np.argsort(texts.lengths[chosen], kind="stable")]
    for start in range(0, len(chosen), BATCH):
        yield training.pad(texts, chosen[start : start + BATCH])
