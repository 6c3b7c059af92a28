"""The student architectures in numpy: the shapes of their weights, and the forward pass from row ids to logits.

`student.networks` defines the same networks for training. Each forward pass takes `weights` (float32 arrays, named as
in the state dict of that network), `ids` (texts, length), int64, and `mask` (texts, length), True where there is a
word. Texts are left-aligned and sorted by length, longest first. It returns logits, float32 (texts, classes).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from potstill.core.labels import sigmoid

Weights = dict[str, Any]  # arrays; the embedding table may be a `QuantizedTable`
Shapes = dict[str, tuple[int, ...]]
LARGE = 1 << 22  # a larger embedding table, in numbers, is kept as a `QuantizedTable`


@dataclass(frozen=True, eq=False)
class QuantizedTable:
    """A large embedding table in one byte per number; only the rows that are looked up become floats.

    Attributes:
        values: int8 (rows, width), multiples of `step`.
        step: float32.
    """

    values: np.ndarray
    step: np.float32

    def __getitem__(self, rows: Any) -> np.ndarray:
        return self.values[rows] * self.step

    def __len__(self) -> int:
        return len(self.values)

    def __matmul__(self, other: np.ndarray) -> np.ndarray:
        chunk = LARGE // 16 // self.values.shape[1]
        return np.concatenate([self[start : start + chunk] @ other for start in range(0, len(self), chunk)])

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return np.asarray(self[:], dtype)

    @property
    def size(self) -> int:
        """How many numbers."""
        return self.values.size


@dataclass(frozen=True)
class Shape:
    """The architecture of a network and its widths.

    Attributes:
        architecture: a key of `ARCHITECTURES`.
        embedding: width of a word vector of cnn and bigru.
        hidden: width of a word vector of mlp and attention, channels of cnn, cells per direction of bigru.
    """

    architecture: str
    embedding: int
    hidden: int

    def weights(self, rows: int, classes: int) -> Shapes:
        """Return the shapes of the weights, in their order in the model file."""
        embedding, hidden, features = self.embedding, self.hidden, self.hidden
        layers: Shapes = {}
        if self.architecture in ("mlp", "attention"):
            embedding = hidden
        if self.architecture == "attention":
            layers = {"weight.weight": (1, hidden, 5), "weight.bias": (1,)}
        elif self.architecture == "cnn":
            layers = {"convolution.weight": (hidden, embedding, 3), "convolution.bias": (hidden,)}
        elif self.architecture == "bigru":
            features = 2 * hidden
            for direction in ("forwards", "backwards"):
                layers[f"{direction}.weight_ih_l0"] = (3 * hidden, embedding)
                layers[f"{direction}.weight_hh_l0"] = (3 * hidden, hidden)
                layers[f"{direction}.bias_ih_l0"] = layers[f"{direction}.bias_hh_l0"] = (3 * hidden,)
        head: Shapes = {"head.weight": (classes, features), "head.bias": (classes,)}
        return {"embedding.weight": (rows, embedding), **layers, **head}


def _classify(weights: Weights, features: np.ndarray) -> np.ndarray:
    return features @ weights["head.weight"].T + weights["head.bias"]


def _vectors(weights: Weights, ids: np.ndarray, mask: np.ndarray) -> np.ndarray:
    return weights["embedding.weight"][ids] * mask[..., None]


def _convolve(vectors: np.ndarray, kernel: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """Convolve (texts, length, in) with (out, in, width) over time, zero-padded, to (texts, length, out)."""
    width = kernel.shape[2]
    padded = np.pad(vectors, ((0, 0), (width // 2, width // 2), (0, 0)))
    length = vectors.shape[1]
    return sum(padded[:, i : i + length] @ kernel[:, :, i].T for i in range(width)) + bias


def _mlp(weights: Weights, ids: np.ndarray, mask: np.ndarray) -> np.ndarray:
    return _classify(weights, _vectors(weights, ids, mask).sum(1) / mask.sum(1, keepdims=True, dtype=np.float32))


def _attention(weights: Weights, ids: np.ndarray, mask: np.ndarray) -> np.ndarray:
    vectors = _vectors(weights, ids, mask)
    scores = _convolve(vectors, weights["weight.weight"], weights["weight.bias"])[..., 0]
    scores = np.where(mask, scores, np.float32(-np.inf))
    shares = np.exp(scores - scores.max(1, keepdims=True))
    shares /= shares.sum(1, keepdims=True)
    return _classify(weights, (shares[..., None] * vectors).sum(1))


def _cnn(weights: Weights, ids: np.ndarray, mask: np.ndarray) -> np.ndarray:
    features = _convolve(_vectors(weights, ids, mask), weights["convolution.weight"], weights["convolution.bias"])
    return _classify(weights, (features.clip(0) * mask[..., None]).max(1))


def _gru_step(x: np.ndarray, h: np.ndarray, state: np.ndarray) -> np.ndarray:
    """Return the next state of a GRU, from the gate inputs of the word (`x`) and of the last state (`h`)."""
    n = state.shape[1]
    gates = sigmoid(x[:, : 2 * n] + h[:, : 2 * n])
    new = np.tanh(x[:, 2 * n :] + gates[:, :n] * h[:, 2 * n :])
    return new + gates[:, n:] * (state - new)


def _bigru(weights: Weights, ids: np.ndarray, mask: np.ndarray) -> np.ndarray:
    lengths = mask.sum(1)
    # Each text is reversed within its own length, so that no state passes over padding.
    reversed_ = np.maximum(lengths[:, None] - 1 - np.arange(ids.shape[1]), 0)
    # The gate inputs of a word do not depend on its position, so they are computed once per distinct word.
    distinct, inverse = np.unique(ids, return_inverse=True)
    vectors = weights["embedding.weight"][distinct]
    inverse = inverse.reshape(ids.shape)
    directions = {"forwards": inverse, "backwards": np.take_along_axis(inverse, reversed_, axis=1)}
    maxima = []
    for direction, words in directions.items():
        kernel, bias = weights[f"{direction}.weight_hh_l0"].T, weights[f"{direction}.bias_hh_l0"]
        inputs = vectors @ weights[f"{direction}.weight_ih_l0"].T + weights[f"{direction}.bias_ih_l0"]
        state = np.zeros((len(ids), kernel.shape[0]), np.float32)
        maximum = np.full_like(state, -1)  # states lie above -1
        for t in range(ids.shape[1]):
            active = int((lengths > t).sum())  # texts are sorted by length
            state[:active] = _gru_step(inputs[words[:active, t]], state[:active] @ kernel + bias, state[:active])
            np.maximum(maximum[:active], state[:active], out=maximum[:active])
        maxima.append(maximum)
    return _classify(weights, np.concatenate(maxima, axis=1))


ARCHITECTURES = {"mlp": _mlp, "attention": _attention, "cnn": _cnn, "bigru": _bigru}  # their forward passes
