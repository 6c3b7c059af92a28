"""The architecture of a small Transformer, and the shapes of its weights.

It is an encoder like BERT (Devlin et al. 2019, arXiv 1810.04805), with normalization after each part. `ids` and `mask`
are (texts, length), and each text begins with the `[CLS]` token:

    embeddings   normalized sum of token and position embeddings; projected to the width of the layers if theirs differs
    each layer   self-attention, then a feed-forward network, each added to its input and normalized
    pooler       a linear layer and its activation, on the first token
    head         a linear layer

With `smoothed`, the inputs of the layers' matrix products are divided by a factor per channel before they are rounded,
and the weights are multiplied by it (SmoothQuant, Xiao et al. 2022, arXiv 2211.10438). With `relative`, each head adds
a bias for the distance from a query to a key to their attention score, the same in all layers, as MPNet does (Song et
al. 2020, arXiv 2004.09297).

Only its first token leaves the last layer, so all but keys and values is computed for that token alone there.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

from potstill.runtime.file import TABLE

# Limits of a file, and of the parameters.
MAX_VOCABULARY = 1 << 18
MAX_POSITIONS = 512  # attention takes memory in proportion to their square, and to the heads
MAX_HEADS = 16
MAX_WIDTH = 1024  # of embeddings and layers
MAX_FEED_FORWARD = 4096
MAX_LAYERS = 24

ACTIVATIONS = ("gelu", "gelu_tanh", "relu")
POOLERS = ("tanh", "relu", "gelu")
Shapes = dict[str, tuple[int, ...]]


@dataclass(frozen=True)
class Shape:
    """The architecture of a network.

    Attributes:
        vocabulary: tokens, the rows of the embedding table.
        positions: the most tokens of a text, with `[CLS]` and `[SEP]`.
        embedding: width of the embeddings.
        hidden: width of the layers.
        feed_forward: width of the feed-forward networks.
        layers: number of layers.
        heads: attention heads.
        activation: of the feed-forward networks, one of `ACTIVATIONS`.
        pooler: activation of the pooler, one of `POOLERS`.
        epsilon: added to the variance in normalization.
        relative: whether attention has a bias for each distance.
        smoothed: whether the inputs of the layers' products have smoothing factors.
    """

    vocabulary: int
    positions: int
    embedding: int
    hidden: int
    feed_forward: int
    layers: int
    heads: int
    activation: str
    pooler: str
    epsilon: float
    relative: bool = False
    smoothed: bool = False

    architecture = "transformer"

    @classmethod
    def read(cls, values: Any) -> Self:
        """Read a shape from JSON.

        Raises:
            ValueError: it is not a shape, or out of range.
        """
        names = {item.name: item.type for item in fields(cls)}
        absent = {"relative": False, "smoothed": False}
        if not isinstance(values, Mapping) or {**absent, **values}.keys() != names.keys():
            raise ValueError("its shape is incomplete")
        if any(type(value) is not names[name] for name, value in values.items()):
            raise ValueError("its shape is not of numbers and names")
        shape = cls(**values)
        shape.check()
        return shape

    def values(self) -> dict[str, Any]:
        """Return it for JSON, see `read`; without what is false, as in files of earlier versions."""
        return {name: value for name, value in asdict(self).items() if value is not False}

    def check(self) -> None:
        """Check that all values are in range.

        Raises:
            ValueError: one is not.
        """
        limits = {
            "vocabulary": (3, MAX_VOCABULARY),  # the unknown token, [CLS] and [SEP]
            "positions": (3, MAX_POSITIONS),
            "embedding": (1, MAX_WIDTH),
            "hidden": (1, MAX_WIDTH),
            "feed_forward": (1, MAX_FEED_FORWARD),
            "layers": (1, MAX_LAYERS),
            "heads": (1, MAX_HEADS),
            "epsilon": (1e-12, 1e-2),
        }
        for name, (least, most) in limits.items():
            if not least <= getattr(self, name) <= most:
                raise ValueError(f"its {name} is out of range")
        if self.hidden % self.heads:
            raise ValueError("its heads do not divide its width")
        if self.activation not in ACTIVATIONS or self.pooler not in POOLERS:
            raise ValueError("an unknown activation")

    def weights(self, classes: int) -> Shapes:
        """Return the shapes of the weights, named as in the network's state dict, in their order in the model file.

        Matrices are quantized row by row; vectors are not.
        """
        shapes: Shapes = {
            TABLE: (self.vocabulary, self.embedding),
            "position.weight": (self.positions, self.embedding),
            **({"distance.weight": (self.heads, 2 * self.positions - 1)} if self.relative else {}),
            **_norm("norm", self.embedding),
        }
        if self.embedding != self.hidden:
            shapes |= _linear("projection", self.embedding, self.hidden)
        for i in range(self.layers):
            for name in ("query", "key", "value", "output"):
                shapes |= _linear(f"layers.{i}.{name}", self.hidden, self.hidden)
            shapes |= _norm(f"layers.{i}.attention_norm", self.hidden)
            shapes |= _linear(f"layers.{i}.up", self.hidden, self.feed_forward)
            shapes |= _linear(f"layers.{i}.down", self.feed_forward, self.hidden)
            shapes |= _norm(f"layers.{i}.norm", self.hidden)
        if self.smoothed:
            shapes |= {f"{name}.smoothing": shapes[f"{name}.weight"][1:] for name in self.inputs()}
        return shapes | _linear("pooler", self.hidden, self.hidden) | _linear("head", self.hidden, classes)

    def inputs(self) -> list[str]:
        """Return the names of the values that are quantized: the inputs of the layers' matrix products."""
        projection = ["projection"] if self.embedding != self.hidden else []
        parts = ("query", "output", "up", "down")
        return projection + [f"layers.{i}.{name}" for i in range(self.layers) for name in parts]


def readers(name: str) -> list[str]:
    """Return the names of the linear layers that read one of `Shape.inputs`, the first of which is called like it."""
    start, _, part = name.rpartition(".")
    return [name, f"{start}.key", f"{start}.value"] if part == "query" else [name]


def _linear(name: str, inputs: int, outputs: int) -> Shapes:
    return {f"{name}.weight": (outputs, inputs), f"{name}.bias": (outputs,)}


def _norm(name: str, width: int) -> Shapes:
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}
