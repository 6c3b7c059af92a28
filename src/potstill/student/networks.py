"""The students' architectures for training; `runtime.networks` has the same in numpy.

All take `ids`, int64 (batch, length), and `mask`, booleans (batch, length), True where there is a word. Padding is on
the right. All return logits (batch, classes).
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from potstill.runtime.file import TABLE
from potstill.student.params import NetworkParams


@dataclass(frozen=True)
class Vectors:
    """Word vectors for an embedding table.

    Attributes:
        table: float32 (rows, width).
        is_trained: which rows are trained, booleans (rows,); the others keep their vectors, so that words which the
            texts lack stay comparable with those that they hold.
    """

    table: np.ndarray
    is_trained: np.ndarray


class _Network(nn.Module):
    """The embedding table and the dropout, which all networks have."""

    def __init__(self, rows: int, width: int, dropout: float) -> None:
        super().__init__()
        self.embedding = nn.Embedding(rows, width)
        # Small initial values: rare words stay near zero instead of adding noise.
        nn.init.normal_(self.embedding.weight, std=0.1)
        self.dropout = nn.Dropout(dropout)


class Mlp(_Network):
    """The mean of the word embeddings and a linear layer: a bag of words, the student of Wasserblat 2021."""

    def __init__(self, rows: int, embedding: int, hidden: int, classes: int, dropout: float) -> None:
        super().__init__(rows, hidden, dropout)
        self.head = nn.Linear(hidden, classes)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        vectors = self.embedding(ids) * mask.unsqueeze(-1)
        return self.head(self.dropout(vectors.sum(1) / mask.sum(1, keepdim=True)))


class Attention(_Network):
    """A weighted mean of the word embeddings, with weights from a width-5 convolution over them."""

    def __init__(self, rows: int, embedding: int, hidden: int, classes: int, dropout: float) -> None:
        super().__init__(rows, hidden, dropout)
        self.weight = nn.Conv1d(hidden, 1, kernel_size=5, padding=2)
        self.head = nn.Linear(hidden, classes)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        vectors = self.embedding(ids) * mask.unsqueeze(-1)
        scores = self.weight(vectors.transpose(1, 2)).squeeze(1)
        weights = scores.masked_fill(~mask, float("-inf")).softmax(1)
        return self.head(self.dropout((weights.unsqueeze(-1) * vectors).sum(1)))


class Cnn(_Network):
    """A width-3 convolution with max-over-time pooling (Kim 2014, arXiv 1408.5882)."""

    def __init__(self, rows: int, embedding: int, hidden: int, classes: int, dropout: float) -> None:
        super().__init__(rows, embedding, dropout)
        self.convolution = nn.Conv1d(embedding, hidden, kernel_size=3, padding=1)
        self.head = nn.Linear(hidden, classes)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        vectors = self.dropout(self.embedding(ids)) * mask.unsqueeze(-1)
        features = self.convolution(vectors.transpose(1, 2)).relu()
        # Padding becomes 0, the minimum of relu.
        return self.head(self.dropout((features * mask.unsqueeze(1)).amax(2)))


class BiGru(_Network):
    """A bidirectional GRU and the maximum of its states over time."""

    def __init__(self, rows: int, embedding: int, hidden: int, classes: int, dropout: float) -> None:
        super().__init__(rows, embedding, dropout)
        self.forwards = nn.GRU(embedding, hidden, batch_first=True)
        self.backwards = nn.GRU(embedding, hidden, batch_first=True)
        self.head = nn.Linear(2 * hidden, classes)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        # Each text is reversed within its own length, so that padding comes last in both directions and affects no
        # state. The order of the states does not matter to the maximum.
        position = torch.arange(ids.shape[1], device=ids.device)
        reversed_ = (mask.sum(1, keepdim=True) - 1 - position).clamp(min=0)
        vectors = self.dropout(self.embedding(ids))
        forward, _ = self.forwards(vectors)
        backward, _ = self.backwards(vectors.gather(1, reversed_.unsqueeze(-1).expand_as(vectors)))
        states = torch.cat([forward, backward], -1).masked_fill(~mask.unsqueeze(-1), -1.0)  # states are in (-1, 1)
        return self.head(self.dropout(states.amax(1)))


ARCHITECTURES: dict[str, type[nn.Module]] = {"mlp": Mlp, "attention": Attention, "cnn": Cnn, "bigru": BiGru}


def build(params: NetworkParams, rows: int, classes: int, vectors: Vectors | None = None) -> nn.Module:
    """Return an untrained network, initialized from torch's default generator.

    Args:
        params: the settings.
        rows: rows of the embedding table.
        classes: number of logits.
        vectors: the word vectors to begin with; None for random ones.
    """
    network = ARCHITECTURES[params.architecture](rows, params.embedding_dim, params.hidden, classes, params.dropout)
    if vectors is not None:
        is_trained = torch.from_numpy(vectors.is_trained)[:, None]
        weight = network.get_parameter(TABLE)
        with torch.no_grad():
            weight.copy_(torch.from_numpy(vectors.table))
        weight.register_hook(lambda gradient: gradient * is_trained)
    return network
