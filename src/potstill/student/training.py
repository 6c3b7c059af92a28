"""The one training loop: hard labels are soft labels that are sure of themselves."""

import copy
from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from potstill.params.network import NetworkParams
from potstill.student.tokenizer import UNKNOWN, Encoded

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


def mse(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean squared difference of the logits, each text's centred: only their differences mean anything."""
    return functional.mse_loss(student, teacher - teacher.mean(-1, keepdim=True))


def cross_entropy(student: Tensor, labels: Tensor) -> Tensor:
    """The loss of hard labels, int64 ids (batch,): what `kl` is for a teacher that is always sure."""
    return functional.cross_entropy(student, labels)


def fit(
    network: nn.Module,
    texts: Encoded,
    targets: Tensor,
    loss: Loss,
    validation: Encoded,
    labels: np.ndarray,
    params: NetworkParams,
    log: Callable[[dict[str, float]], None] = lambda epoch: None,
) -> dict[str, float]:
    """Train a network in place; at the end it holds the weights of its best epoch by validation accuracy.

    Adam with a one-cycle learning rate. Word dropout turns words into the unknown word, anew in every epoch, so
    that no two epochs see the same texts.

    Args:
        network: maps `ids` and `mask` to logits, see `networks`.
        texts, targets: what to learn from; `targets` is what `loss` takes beside the logits, a row per text.
        loss: `kl(temperature)`, `mse` or `cross_entropy`.
        validation, labels: the texts, and their int64 class ids, that choose the epoch.
        params: batch size, epochs, learning rate, weight decay, word dropout, seed.
        log: receives one dictionary per epoch: `epoch`, `loss`, `validation_loss`, `validation_accuracy`.

    Returns:
        The dictionary of the best epoch. Of two equally accurate epochs the one with the lower loss is better.
    """
    rng = np.random.default_rng(params.seed)
    torch.manual_seed(params.seed)
    optimizer = torch.optim.AdamW(network.parameters(), lr=params.learning_rate, weight_decay=params.weight_decay)
    batches = -(-len(texts) // params.batch_size)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, params.learning_rate, params.epochs * batches)
    best: dict[str, float] = {}
    weights: dict[str, Tensor] = {}
    for epoch in range(1, params.epochs + 1):
        network.train()
        total = 0.0
        for chosen in _batches(texts.lengths, params.batch_size, rng):
            ids, mask = pad(texts, chosen)
            if params.word_dropout:
                ids = ids.masked_fill(torch.rand(ids.shape) < params.word_dropout, UNKNOWN)
            value = loss(network(ids, mask), targets[chosen])
            optimizer.zero_grad(set_to_none=True)
            value.backward()
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            total += value.item() * len(chosen)
        scored = torch.from_numpy(logits(network, validation))
        answer = {
            "epoch": epoch,
            "loss": total / len(texts),
            "validation_loss": functional.cross_entropy(scored, torch.tensor(labels)).item(),
            "validation_accuracy": float((scored.argmax(1).numpy() == labels).mean()),
        }
        log(answer)
        if not best or _rank(answer) > _rank(best):
            best, weights = answer, copy.deepcopy(network.state_dict())
    network.load_state_dict(weights)
    network.eval()
    return best


def _rank(epoch: dict[str, float]) -> tuple[float, float]:
    return epoch["validation_accuracy"], -epoch["validation_loss"]


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
    lengths = texts.lengths[chosen]
    mask = np.arange(lengths.max()) < lengths[:, None]
    ids = np.zeros(mask.shape, np.int64)
    ids[mask] = texts.ids[(texts.starts[chosen][:, None] + np.arange(lengths.max()))[mask]]
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
