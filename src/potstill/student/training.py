"""The training loop of students, the same for hard and soft labels, and its losses.

All losses take the student's logits (batch, classes) and the targets as their first two arguments.
"""

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

from potstill.core.class_weights import macro_f1
from potstill.core.labels import is_correct, predict_labels_default
from potstill.runtime import model
from potstill.runtime.tokenizer import UNKNOWN, Encoded
from potstill.student.params import NetworkParams
from potstill.student.quantization import LearnedStepQuantizer

Loss = Callable[[Tensor, Tensor], Tensor]
Log = Callable[[dict[str, float]], None]

_MAX_GRAD_NORM = 1.0
# Texts are sorted by length within so many batches: little padding, and batches that still vary from epoch to epoch.
_BATCHES_SORTED_TOGETHER = 50


def kl(student: Tensor, teacher: Tensor, temperature: float = 1.0) -> Tensor:
    """Return the Kullback-Leibler divergence from the teacher's distribution (Hinton et al. 2015, arXiv 1503.02531).

    Both logits are divided by the temperature. The loss is scaled by its square to keep the size of the gradients.
    """
    predicted, soft = ((logits / temperature).log_softmax(-1) for logits in (student, teacher))
    return temperature**2 * functional.kl_div(predicted, soft, reduction="batchmean", log_target=True)


def binary_kl(student: Tensor, teacher: Tensor, temperature: float = 1.0) -> Tensor:
    """Return `kl` for multi-label classification: the sum of the divergences of the labels."""
    soft = (teacher / temperature).sigmoid()
    cross, entropy = (_binary(logits / temperature, soft) for logits in (student, teacher))
    return temperature**2 * (cross - entropy).sum(-1).mean()


def _binary(logits: Tensor, targets: Tensor) -> Tensor:
    return functional.binary_cross_entropy_with_logits(logits, targets, reduction="none")


def mse(student: Tensor, teacher: Tensor) -> Tensor:
    """Return the mean squared error of the logits; the teacher's are centred, since softmax ignores a constant."""
    return functional.mse_loss(student, teacher - teacher.mean(-1, keepdim=True))


def cross_entropy(student: Tensor, labels: Tensor, weight: Tensor | None = None) -> Tensor:
    """Return the cross-entropy of hard labels, int64 (batch,).

    With class weights, float32 (classes,), it is the sum over the batch divided by the number of texts. Dividing by the
    sum of their weights would give a batch without rare classes the same influence as one with them.
    """
    if weight is None:
        return functional.cross_entropy(student, labels)
    return functional.cross_entropy(student, labels, weight, reduction="sum") / len(labels)


def binary_cross_entropy(student: Tensor, labels: Tensor, weight: Tensor | None = None) -> Tensor:
    """Return the cross-entropy of hard multi-label targets, booleans (batch, labels), summed over labels.

    Class weights, float32 (2, labels), are those of a text without and with each label.
    """
    losses = _binary(student, labels.float())
    if weight is not None:
        losses = losses * torch.where(labels, weight[1], weight[0])
    return losses.sum(-1).mean()


@dataclass(frozen=True)
class Fitted:
    """The best epoch of a training.

    Attributes:
        best: its metrics, as they were logged.
        steps: the step sizes of its weights, see `LearnedStepQuantizer.quantize`; empty without quantization.
        unrounded: its weights before rounding; empty without quantization.
    """

    best: dict[str, float]
    steps: dict[str, float]
    unrounded: dict[str, Tensor]


def fit(
    network: nn.Module,
    texts: Encoded,
    targets: Tensor,
    loss: Loss,
    validation: Encoded,
    labels: np.ndarray,
    params: NetworkParams,
    log: Log = lambda epoch: None,
    undecayed: nn.Parameter | None = None,
    progress: Callable[[float], object] = lambda share: None,
) -> Fitted:
    """Train a network in place, and load the weights of its best epoch by `params.metric` on validation.

    AdamW with a one-cycle learning rate. With `params.weight_bits` the second half of the epochs is quantization-aware,
    and only its epochs count. Ties are broken by the lower validation loss.

    Args:
        network: maps `ids` and `mask` to logits, see `networks`.
        texts: the texts to train on.
        targets: a row per text, the second argument of `loss`.
        loss: a loss of this module.
        validation: the validation texts.
        labels: their labels, see `Dataset.targets`.
        params: the settings of the training.
        log: called after each epoch with `epoch`, `loss`, `validation_loss`, `validation_accuracy` and
            `validation_macro_f1`.
        undecayed: weights of the network to which `params.weight_decay` does not apply.
        progress: called after each batch with the share of the training that is done.
    """
    rng = np.random.default_rng(params.seed)
    torch.manual_seed(params.seed)
    quantizer = LearnedStepQuantizer(network, params.weight_bits) if params.weight_bits else None
    first_quantized = params.epochs // 2 + 1
    decayed = [weight for weight in network.parameters() if weight is not undecayed]
    optimizer = torch.optim.AdamW(decayed, params.learning_rate, weight_decay=params.weight_decay, fused=True)
    if undecayed is not None:
        optimizer.add_param_group({"params": [undecayed], "weight_decay": 0.0})
    if quantizer:
        optimizer.add_param_group({"params": quantizer.parameters(), "weight_decay": 0.0})
    batches = -(-len(texts) // params.batch_size)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, params.learning_rate, params.epochs * batches)
    fitted = Fitted({}, {}, {})
    weights: dict[str, Tensor] = {}
    for epoch in range(1, params.epochs + 1):
        active = quantizer if epoch >= first_quantized else None
        if active and epoch == first_quantized:
            active.init_steps()
            fitted = Fitted({}, {}, {})
        network.train()
        total = 0.0
        for chosen in _batches(texts.lengths, params.batch_size, rng):
            ids, mask = pad(texts, chosen)
            if params.word_dropout:
                ids = ids.masked_fill(torch.rand(ids.shape) < params.word_dropout, UNKNOWN)
            value = loss(functional_call(network, active() if active else {}, (ids, mask)), targets[chosen])
            optimizer.zero_grad(set_to_none=True)
            value.backward()
            nn.utils.clip_grad_norm_(network.parameters(), _MAX_GRAD_NORM)
            optimizer.step()
            schedule.step()
            total += value.item() * len(chosen)
            progress(schedule.last_epoch / schedule.total_steps)
        evaluated = copy.deepcopy(network)
        steps = active.quantize(evaluated) if active else {}
        metrics = {"epoch": epoch, "loss": total / len(texts), **evaluate(logits(evaluated, validation), labels)}
        log(metrics)
        if not fitted.best or _rank(metrics, params.metric) > _rank(fitted.best, params.metric):
            fitted = Fitted(metrics, steps, copy.deepcopy(network.state_dict()) if active else {})
            weights = evaluated.state_dict()
    network.load_state_dict(weights)
    network.eval()
    return fitted


def evaluate(scores: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Return the metrics on validation that `fit` logs, from logits, float32 (texts, classes)."""
    predicted = predict_labels_default(scores, labels)
    loss = cross_entropy if labels.ndim == 1 else binary_cross_entropy
    return {
        "validation_loss": loss(torch.from_numpy(scores), torch.tensor(labels)).item(),
        "validation_accuracy": float(is_correct(predicted, labels).mean()),
        "validation_macro_f1": macro_f1(labels, predicted, scores.shape[1]),
    }


def _rank(metrics: dict[str, float], metric: str) -> tuple[float, float]:
    return metrics[f"validation_{metric}"], -metrics["validation_loss"]


def _batches(lengths: np.ndarray, size: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    order = rng.permutation(len(lengths))
    for start in range(0, len(order), size * _BATCHES_SORTED_TOGETHER):
        block = order[start : start + size * _BATCHES_SORTED_TOGETHER]
        block = block[np.argsort(lengths[block], kind="stable")]
        batches = [block[i : i + size] for i in range(0, len(block), size)]
        for i in rng.permutation(len(batches)):
            yield batches[i]


def pad(texts: Encoded, chosen: np.ndarray) -> tuple[Tensor, Tensor]:
    """Return the ids, int64, and the mask, both (chosen, longest), of some texts."""
    ids, mask = model.pad(texts, chosen)
    return torch.from_numpy(ids), torch.from_numpy(mask)


@torch.inference_mode()
def logits(network: nn.Module, texts: Encoded) -> np.ndarray:
    """Return the logits of texts, float32 (texts, classes)."""
    network.eval()
    order = np.argsort(texts.lengths, kind="stable")
    batches = (order[i : i + model.BATCH] for i in range(0, len(order), model.BATCH))
    scores = torch.cat([network(*pad(texts, batch)) for batch in batches]).numpy()
    result = np.empty_like(scores)
    result[order] = scores
    return result
