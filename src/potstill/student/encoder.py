"""A small Transformer for training, made of layers of a fine-tuned teacher; `runtime.transformer.graph` runs it.

Teachers are encoders of the kind of BERT, whose classification head reads the first token only.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import PreTrainedModel

from potstill.core import device
from potstill.core.errors import PotstillError
from potstill.runtime.transformer.shape import Shape

# The names of a layer's parts in the teacher, by model type.
_BERT = {
    "query": "attention.self.query",
    "key": "attention.self.key",
    "value": "attention.self.value",
    "output": "attention.output.dense",
    "attention_norm": "attention.output.LayerNorm",
    "up": "intermediate.dense",
    "down": "output.dense",
    "norm": "output.LayerNorm",
}
_DISTILBERT = {
    "query": "attention.q_lin",
    "key": "attention.k_lin",
    "value": "attention.v_lin",
    "output": "attention.out_lin",
    "attention_norm": "sa_layer_norm",
    "up": "ffn.lin1",
    "down": "ffn.lin2",
    "norm": "output_layer_norm",
}
_MPNET = _BERT | {
    "query": "attention.attn.q",
    "key": "attention.attn.k",
    "value": "attention.attn.v",
    "output": "attention.attn.o",
    "attention_norm": "attention.LayerNorm",
}
# By model type: the names above, the teacher's list of layers, its pooler and its head, and the pooler's activation.
_ROBERTA = (_BERT, "base_model.encoder.layer", "classifier.dense", "classifier.out_proj", "tanh")
_TEACHERS = {
    "bert": (_BERT, "base_model.encoder.layer", "base_model.pooler.dense", "classifier", "tanh"),
    "camembert": _ROBERTA,
    "distilbert": (_DISTILBERT, "base_model.transformer.layer", "pre_classifier", "classifier", "relu"),
    "electra": (_BERT, "base_model.encoder.layer", "classifier.dense", "classifier.out_proj", "gelu"),
    "mpnet": (_MPNET, "base_model.encoder.layer", "classifier.dense", "classifier.out_proj", "tanh"),
    "roberta": _ROBERTA,
    "xlm-roberta": _ROBERTA,
}
_ACTIVATIONS = {"gelu": "gelu", "relu": "relu", "gelu_new": "gelu_tanh", "gelu_pytorch_tanh": "gelu_tanh"}


class Layer(nn.Module):
    """Self-attention and a feed-forward network, each added to its input and normalized."""

    def __init__(self, shape: Shape, dropout: float) -> None:
        super().__init__()
        self.query, self.key, self.value, self.output = (nn.Linear(shape.hidden, shape.hidden) for _ in range(4))
        self.attention_norm, self.norm = (nn.LayerNorm(shape.hidden, shape.epsilon) for _ in range(2))
        self.up, self.down = nn.Linear(shape.hidden, shape.feed_forward), nn.Linear(shape.feed_forward, shape.hidden)
        self.dropout = nn.Dropout(dropout)
        self._heads, self._activation = shape.heads, shape.activation

    def forward(self, vectors: Tensor, mask: Tensor, biases: Tensor | None, first_only: bool) -> Tensor:
        """Return the vectors (batch, length, hidden) after this layer; with `first_only`, that of the first token.

        `biases`, of shape (heads, length, length), are added to the attention scores.
        """
        key, value = self._split(self.key(vectors)), self._split(self.value(vectors))
        if first_only:
            vectors = vectors[:, :1]
        query = self._split(self.query(vectors))
        # On a CPU, the backward pass of `scaled_dot_product_attention` takes several times as long.
        scores = query @ key.transpose(-1, -2) / math.sqrt(query.shape[-1])
        if biases is not None:
            scores = scores + biases[:, : query.shape[2]]
        shares = scores.masked_fill(~mask, float("-inf")).softmax(-1)
        attended = self.dropout(self.output((shares.to(value.dtype) @ value).transpose(1, 2).flatten(2)))
        vectors = self.attention_norm(vectors + attended)
        wide = activate(self.up(vectors), self._activation)
        return self.norm(vectors + self.dropout(self.down(wide)))

    def _split(self, vectors: Tensor) -> Tensor:
        """Return vectors as (batch, heads, length, width)."""
        return vectors.unflatten(-1, (self._heads, -1)).transpose(1, 2)


class Encoder(nn.Module):
    """The network that `runtime.transformer.shape` describes.

    It runs on the GPU if there is one, in bfloat16 where the hardware supports that, and returns float32 on the CPU.
    """

    def __init__(self, shape: Shape, classes: int, dropout: float) -> None:
        super().__init__()
        self.embedding = nn.Embedding(shape.vocabulary, shape.embedding)
        self.position = nn.Embedding(shape.positions, shape.embedding)
        if shape.relative:
            self.distance = nn.Embedding(shape.heads, 2 * shape.positions - 1)
        self.norm = nn.LayerNorm(shape.embedding, shape.epsilon)
        if shape.embedding != shape.hidden:
            self.projection = nn.Linear(shape.embedding, shape.hidden)
        self.layers = nn.ModuleList(Layer(shape, dropout) for _ in range(shape.layers))
        self.pooler = nn.Linear(shape.hidden, shape.hidden)
        self.head = nn.Linear(shape.hidden, classes)
        self.dropout = nn.Dropout(dropout)
        self.shape = shape

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Return the logits (batch, classes) of `ids` and `mask`, see `networks`."""
        ids, mask = ids.to(self.head.weight.device), mask.to(self.head.weight.device)
        with device.autocast("auto"):
            vectors = self.embedding(ids) + self.position.weight[: ids.shape[1]]
            vectors = self.dropout(self.norm(vectors))
            if self.shape.embedding != self.shape.hidden:
                vectors = self.projection(vectors)
            biases = self._biases(ids.shape[1]) if self.shape.relative else None
            for i, layer in enumerate(self.layers, 1):
                vectors = layer(vectors, mask[:, None, None], biases, first_only=i == len(self.layers))
            pooled = activate(self.pooler(vectors[:, 0]), self.shape.pooler)
            return self.head(self.dropout(pooled)).float().cpu()

    def _biases(self, length: int) -> Tensor:
        """Return the bias of each head, query and key, (heads, length, length)."""
        places = torch.arange(length, device=self.head.weight.device)
        return self.distance.weight[:, places - places[:, None] + self.shape.positions - 1]


def activate(vectors: Tensor, activation: str) -> Tensor:
    """Apply one of `shape.ACTIVATIONS` or `shape.POOLERS`."""
    if activation.startswith("gelu"):
        return functional.gelu(vectors, approximate="tanh" if activation == "gelu_tanh" else "none")
    return vectors.relu() if activation == "relu" else vectors.tanh()


def obstacle(config: Any) -> str | None:
    """Return why no small Transformer can be made of a teacher with this configuration, or None."""
    if config.model_type not in _TEACHERS:
        supported = ", ".join(_TEACHERS)
        return f"no small Transformer can be made of a teacher of the type {config.model_type} (supported: {supported})"
    if (activation := _activation(config)) not in _ACTIVATIONS:
        supported = ", ".join(_ACTIVATIONS)
        return (
            f"no small Transformer can be made of a teacher with the activation {activation} (supported: {supported})"
        )
    return None


def _activation(config: Any) -> str:
    return config.activation if config.model_type == "distilbert" else config.hidden_act


def evenly_spaced(count: int, total: int) -> list[int]:
    """Return the numbers of `count` of a teacher's layers, evenly spaced from the first: 0, 2 and 4 of six.

    Raises:
        PotstillError: the teacher has fewer layers.
    """
    if count > total:
        raise PotstillError(f"`student.layers` is {count}, and the teacher has {total} layers. Lower it.")
    return [i * total // count for i in range(count)]


def build(teacher: PreTrainedModel, layers: int, tokens: Sequence[int], max_length: int, dropout: float) -> Encoder:
    """Build a small Transformer from some of a teacher's layers, its embeddings of some tokens, and its head.

    Args:
        teacher: a fine-tuned classifier of one of the supported types.
        layers: number of layers, see `evenly_spaced`; 0 for all.
        tokens: the teacher's ids of the tokens to keep, in the order of their rows.
        max_length: tokens per text; at most as many as the teacher has positions.
        dropout: of training.

    Raises:
        PotstillError: the teacher is of another type, or has fewer layers.
    """
    config: Any = teacher.config
    if problem := obstacle(config):
        raise PotstillError(f"{problem}. Set `student.architecture` to another one.")
    names, stack, pooler, head, pooler_activation = _TEACHERS[config.model_type]
    found = _part(teacher, stack)
    embeddings: Any = teacher.base_model.embeddings
    first = embeddings.position_embeddings.padding_idx
    positions = embeddings.position_embeddings.weight[0 if first is None else first + 1 :][:max_length]
    block, layers = found[0], layers or len(found)
    shape = Shape(
        vocabulary=len(tokens),
        positions=len(positions),
        embedding=embeddings.word_embeddings.embedding_dim,
        hidden=_part(block, names["query"]).out_features,
        feed_forward=_part(block, names["up"]).out_features,
        layers=layers,
        heads=config.num_attention_heads,
        activation=_ACTIVATIONS[_activation(config)],
        pooler=pooler_activation,
        epsilon=float(embeddings.LayerNorm.eps),
        relative=config.model_type == "mpnet",
    )
    shape.check()
    network = Encoder(shape, config.num_labels, dropout)
    parts: dict[str, nn.Module] = {"norm": embeddings.LayerNorm, "pooler": _part(teacher, pooler)}
    parts["head"] = _part(teacher, head)
    if shape.embedding != shape.hidden:
        parts["projection"] = _part(teacher, "base_model.embeddings_project")
    for i, number in enumerate(evenly_spaced(layers, len(found))):
        parts |= {f"layers.{i}.{name}": _part(found[number], where) for name, where in names.items()}
    with torch.no_grad():
        for name, part in parts.items():
            network.get_submodule(name).load_state_dict(part.state_dict())
        network.embedding.weight.copy_(embeddings.word_embeddings.weight[list(tokens)])
        network.position.weight.copy_(positions)
        if hasattr(embeddings, "token_type_embeddings"):  # all tokens are of the first type
            network.position.weight.add_(embeddings.token_type_embeddings.weight[0])
        if shape.relative:
            # MPNet has a bias per range of distances; from all queries and keys, that of each distance.
            encoder: Any = teacher.base_model.encoder
            between = encoder.compute_position_bias(torch.empty(1, shape.positions))[0]
            network.distance.weight.copy_(torch.cat([between[:, -1], between[:, 0, 1:]], 1))
    return network.to(device.device())


def _part(module: nn.Module, name: str) -> Any:
    for attribute in name.split("."):
        module = getattr(module, attribute)
    return module
