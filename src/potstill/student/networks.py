"""The students' architectures, for training; `runtime.networks` is the same in numpy.

All take `ids` (batch, length), int64, and `mask` (batch, length), True where there is a word; texts are aligned
left. All give logits (batch, classes).
"""

import torch
from torch import Tensor, nn

from potstill.params.network import NetworkParams


def _table(rows: int, width: int) -> nn.Embedding:
    """Word vectors that start small: those of rare words stay near zero instead of adding noise."""
    table = nn.Embedding(rows, width)
    nn.init.normal_(table.weight, std=0.1)
    return table


class Mlp(nn.Module):
    """The mean of the word vectors and a linear layer: a bag of words, the article's student."""

    def __init__(self, rows: int, embedding: int, hidden: int, classes: int, dropout: float) -> None:
        super().__init__()
        self.embedding = _table(rows, hidden)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(hidden, classes)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        vectors = self.embedding(ids) * mask.unsqueeze(-1)
        return self.head(self.dropout(vectors.sum(1) / mask.sum(1, keepdim=True)))


class Attention(nn.Module):
    """A weighted mean of the word vectors; a width-5 convolution over them says how much each word weighs."""

    def __init__(self, rows: int, embedding: int, hidden: int, classes: int, dropout: float) -> None:
        super().__init__()
        self.embedding = _table(rows, hidden)
        self.weight = nn.Conv1d(hidden, 1, kernel_size=5, padding=2)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(hidden, classes)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        vectors = self.embedding(ids) * mask.unsqueeze(-1)
        scores = self.weight(vectors.transpose(1, 2)).squeeze(1)
        weights = scores.masked_fill(~mask, float("-inf")).softmax(1)
        return self.head(self.dropout((weights.unsqueeze(-1) * vectors).sum(1)))


class Cnn(nn.Module):
    """A width-3 convolution and its maximum over time (Kim 2014, arXiv 1408.5882)."""

    def __init__(self, rows: int, embedding: int, hidden: int, classes: int, dropout: float) -> None:
        super().__init__()
        self.embedding = _table(rows, embedding)
        self.convolution = nn.Conv1d(embedding, hidden, kernel_size=3, padding=1)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(hidden, classes)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        vectors = self.dropout(self.embedding(ids)) * mask.unsqueeze(-1)
        features = self.convolution(vectors.transpose(1, 2)).relu()
        # Zero is the least that relu gives, so padding never wins.
        return self.head(self.dropout((features * mask.unsqueeze(1)).amax(2)))


class BiGru(nn.Module):
    """A bidirectional GRU and the maximum of its states over time."""

    def __init__(self, rows: int, embedding: int, hidden: int, classes: int, dropout: float) -> None:
        super().__init__()
        self.embedding = _table(rows, embedding)
        self.forwards = nn.GRU(embedding, hidden, batch_first=True)
        self.backwards = nn.GRU(embedding, hidden, batch_first=True)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(2 * hidden, classes)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        # Turning each text round within its own length keeps padding at the end for both directions, so no
        # state ever passes over it; the maximum over time does not mind the order.
        position = torch.arange(ids.shape[1], device=ids.device)
        turned = (mask.sum(1, keepdim=True) - 1 - position).clamp(min=0)
        vectors = self.dropout(self.embedding(ids))
        there, _ = self.forwards(vectors)
        back, _ = self.backwards(vectors.gather(1, turned.unsqueeze(-1).expand_as(vectors)))
        states = torch.cat([there, back], -1).masked_fill(~mask.unsqueeze(-1), -1.0)  # states lie above -1
        return self.head(self.dropout(states.amax(1)))


ARCHITECTURES: dict[str, type[nn.Module]] = {
    "mlp": Mlp,
    "attention": Attention,
    "cnn": Cnn,
    "bigru": BiGru,
}


def build(params: NetworkParams, rows: int, classes: int) -> nn.Module:
    """An untrained network; its first weights are drawn from torch's generator."""
    network = ARCHITECTURES[params.architecture]
    return network(rows, params.embedding, params.hidden, classes, params.dropout)
