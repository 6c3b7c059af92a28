"""The one training loop: hard labels are soft labels that are sure of themselves."""

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

from potstill.balance import macro_f1
from potstill.params.network import NetworkParams
from potstill.runtime import model
from potstill.runtime.decision import choose_default, right
from potstill.runtime.tokenizer import UNKNOWN, Encoded
from potstill.student.rounding import Rounding

Loss = Callable[[Tensor, Tensor], Tensor]

# Texts are sorted by length within this many batches: little padding, and still much chance.
_BATCHES_SORTED_TOGETHER = 50


def kl(temperature: float) -> Loss:
    """Kullback-Leibler divergence from the teacher's softened distribution (Hinton 2015, arXiv 1503.02531).

    The loss takes the student's logits and the teacher's, both (batch, classes). It is scaled by the squared
    temperature, so that gradients keep their size.
    """

    def loss(student: Tensor, teacher: Tensor) -> Tensor:
        return temperature**2 * functional.kl_div(
            (student / temperature).log_softmax(-1),
            (teacher / temperature).log_softmax(-1),
            reduction="batchmean",
            log_target=True,
        )

    return loss


def binary_kl(temperature: float) -> Loss:
    """`kl` where a text may have several labels: the sum of the divergences, each of one label's own distribution."""

    def loss(student: Tensor, teacher: Tensor) -> Tensor:
        soft = (teacher / temperature).sigmoid()
        cross, least = (_binary(logits / temperature, soft) for logits in (student, teacher))
        return temperature**2 * (cross - least).sum(-1).mean()

    return loss


def _binary(logits: Tensor, targets: Tensor) -> Tensor:
    return functional.binary_cross_entropy_with_logits(logits, targets, reduction="none")


def mse(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean squared difference of the logits, each text's centred: only their differences mean anything."""
    return functional.mse_loss(student, teacher - teacher.mean(-1, keepdim=True))


def binary_mse(student: Tensor, teacher: Tensor) -> Tensor:
    """`mse` where a text may have several labels: a logit means something by itself."""
    return functional.mse_loss(student, teacher)


def cross_entropy(student: Tensor, labels: Tensor, weight: Tensor | None = None) -> Tensor:
    """The loss of hard labels, int64 ids (batch,): what `kl` is for a teacher that is always sure.

    `weight`, float32 (classes,), is what a text of each class counts. Batches are divided by their texts, not by what
    these count: otherwise one without any of a rare class would count as much as one with.
    """
    if weight is None:
        return functional.cross_entropy(student, labels)
    return functional.cross_entropy(student, labels, weight, reduction="sum") / len(labels)


def binary_cross_entropy(student: Tensor, labels: Tensor, weight: Tensor | None = None) -> Tensor:
    """The same where a text may have several labels, booleans (batch, labels): summed over them.

    `weight`, float32 (2, labels), is what a text without and with each label counts.
    """
    losses = _binary(student, labels.float())
    if weight is not None:
        losses = losses * torch.where(labels, weight[1], weight[0])
    return losses.sum(-1).mean()


@dataclass(frozen=True)
class Fitted:
    """What `fit` found, besides the network's weights.

    Attributes:
        best: the dictionary of the best epoch, as it was logged.
        steps: what its weights are multiples of, see `Rounding.settle`; empty without `params.bits`.
        unrounded: its weights before they were rounded; empty without `params.bits`.
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
    log: Callable[[dict[str, float]], None] = lambda epoch: None,
) -> Fitted:
    """Train a network in place; at the end it holds the weights of its best epoch by `params.metric` on validation.

    Adam with a one-cycle learning rate. Word dropout turns words into the unknown word, anew in every epoch, so
    that no two epochs see the same texts. With `params.bits` the second half of the epochs trains rounded weights, and
    the best is one of these. Of two equally good epochs the one with the lower loss is better.

    Args:
        network: maps `ids` and `mask` to logits, see `networks`.
        texts, targets: what to learn from; `targets` is what `loss` takes beside the logits, a row per text.
        loss: one of those above.
        validation, labels: the texts, and what is right for them (see `Dataset.targets`), that choose the epoch.
        params: batch size, epochs, learning rate, weight decay, word dropout, bits, metric, seed.
        log: receives one dictionary per epoch: `epoch`, `loss`, `validation_loss`, `validation_accuracy`,
            `validation_macro_f1`.
    """
    judged = cross_entropy if labels.ndim == 1 else binary_cross_entropy
    rng = np.random.default_rng(params.seed)
    torch.manual_seed(params.seed)
    rounding = Rounding(network, params.bits) if params.bits else None
    rounded_from = params.epochs // 2 + 1
    groups = [{"params": list(network.parameters()), "weight_decay": params.weight_decay}]
    if rounding:
        groups.append({"params": list(rounding.parameters()), "weight_decay": 0.0})
    optimizer = torch.optim.AdamW(groups, lr=params.learning_rate)
    batches = -(-len(texts) // params.batch_size)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, params.learning_rate, params.epochs * batches)
    best: dict[str, float] = {}
    weights: dict[str, Tensor] = {}
    fitted = Fitted({}, {}, {})
    for epoch in range(1, params.epochs + 1):
        rounds = rounding if epoch >= rounded_from else None
        if rounds and epoch == rounded_from:
            rounds.start()
            best = {}
        network.train()
        total = 0.0
        for chosen in _batches(texts.lengths, params.batch_size, rng):
            ids, mask = pad(texts, chosen)
            if params.word_dropout:
                ids = ids.masked_fill(torch.rand(ids.shape) < params.word_dropout, UNKNOWN)
            value = loss(functional_call(network, rounds() if rounds else {}, (ids, mask)), targets[chosen])
            optimizer.zero_grad(set_to_none=True)
            value.backward()
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            total += value.item() * len(chosen)
        settled = copy.deepcopy(network)
        settled_steps = rounds.settle(settled) if rounds else {}
        scored = torch.from_numpy(logits(settled, validation))
        predicted = choose_default(scored.numpy(), labels)
        answer = {
            "epoch": epoch,
            "loss": total / len(texts),
            "validation_loss": judged(scored, torch.tensor(labels)).item(),
            "validation_accuracy": float(right(predicted, labels).mean()),
            "validation_macro_f1": macro_f1(labels, predicted, scored.shape[1]),
        }
        log(answer)
        if not best or _rank(answer, params.metric) > _rank(best, params.metric):
            best, weights = answer, settled.state_dict()
            fitted = Fitted(best, settled_steps, copy.deepcopy(network.state_dict()) if rounds else {})
    network.load_state_dict(weights)
    network.eval()
    return fitted


def _rank(epoch: dict[str, float], metric: str) -> tuple[float, float]:
    return epoch[f"validation_{metric}"], -epoch["validation_loss"]


def _batches(lengths: np.ndarray, size: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    order = rng.permutation(len(lengths))
    for start in range(0, len(order), size * _BATCHES_SORTED_TOGETHER):
        block = order[start : start + size * _BATCHES_SORTED_TOGETHER]
        block = block[np.argsort(lengths[block], kind="stable")]
        pieces = [block[i : i + size] for i in range(0, len(block), size)]
        for piece in rng.permutation(len(pieces)):
            yield pieces[piece]


def pad(texts: Encoded, chosen: np.ndarray) -> tuple[Tensor, Tensor]:
    """The ids and the mask, both (len(chosen), longest), of some of the texts."""
    ids, mask = model.pad(texts, chosen)
    return torch.from_numpy(ids), torch.from_numpy(mask)


@torch.inference_mode()
def logits(network: nn.Module, texts: Encoded, batch_size: int = 512) -> np.ndarray:
    """Score texts: float32 logits of shape (texts, classes), in their order."""
    network.eval()
    order = np.argsort(texts.lengths, kind="stable")
    parts = [network(*pad(texts, order[i : i + batch_size])) for i in range(0, len(order), batch_size)]
    scored = torch.cat(parts).numpy()
    result = np.empty_like(scored)
    result[order] = scored
    return result
