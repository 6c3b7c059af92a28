"""The students' architectures in numpy: the shapes of their weights, and from row ids to logits.

`student.networks` describes the same networks for training. All take `weights` (float32 arrays by the name they have
there), `ids` (texts, length) of int64 and `mask` (texts, length), True where there is a word; texts are aligned left
and sorted, the longest first. All give logits, float32 (texts, classes).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from potstill.runtime.decision import sigmoid

Weights = dict[str, Any]  # arrays; a table may be `Rounded`
Shapes = dict[str, tuple[int, ...]]
LARGE = 1 << 22  # numbers of a table, from which on it is `Rounded`


@dataclass(frozen=True, eq=False)
class Rounded:
    """A large table of rounded numbers: a byte each, and floats only where they are looked up.

    Attributes:
        whole: int8 (rows, width), multiples of
        step: a float32.
    """

    whole: np.ndarray
    step: np.float32

    def __getitem__(self, rows: Any) -> np.ndarray:
        return self.whole[rows] * self.step

    def __len__(self) -> int:
        return len(self.whole)

    def __matmul__(self, other: np.ndarray) -> np.ndarray:
        some = LARGE // 16 // self.whole.shape[1]
        return np.concatenate([self[at : at + some] @ other for at in range(0, len(self), some)])

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return np.asarray(self[:], dtype)

    @property
    def size(self) -> int:
        """How many numbers."""
        return self.whole.size


@dataclass(frozen=True)
class Shape:
    """What a network is built from.

    Attributes:
        architecture: a key of `ARCHITECTURES`.
        embedding: width of a word vector of cnn, bigru and bilstm.
        hidden: width of a word vector of mlp and attention, channels of cnn, cells of bigru and bilstm.
    """

    architecture: str
    embedding: int
    hidden: int

    def weights(self, rows: int, classes: int) -> Shapes:
        """The shapes of the weights of a student with that many rows and classes."""
        return ARCHITECTURES[self.architecture].shapes(rows, self.embedding, self.hidden, classes)


@dataclass(frozen=True)
class Architecture:
    """The shapes of a network's weights for (rows, embedding, hidden, classes), and its forward pass."""

    shapes: Callable[[int, int, int, int], Shapes]
    forward: Callable[[Weights, np.ndarray, np.ndarray], np.ndarray]


def _head(classes: int, features: int) -> Shapes:
    return {"head.weight": (classes, features), "head.bias": (classes,)}


def _classify(weights: Weights, features: np.ndarray) -> np.ndarray:
    return features @ weights["head.weight"].T + weights["head.bias"]


def _vectors(weights: Weights, ids: np.ndarray, mask: np.ndarray) -> np.ndarray:
    return weights["embedding.weight"][ids] * mask[..., None]


def _convolve(vectors: np.ndarray, kernel: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """A convolution over time with zeros at both ends: (texts, length, in) and (out, in, width) to (…, out)."""
    width = kernel.shape[2]
    padded = np.pad(vectors, ((0, 0), (width // 2, width // 2), (0, 0)))
    length = vectors.shape[1]
    return sum(padded[:, i : i + length] @ kernel[:, :, i].T for i in range(width)) + bias


def _mlp_shapes(rows: int, embedding: int, hidden: int, classes: int) -> Shapes:
    return {"embedding.weight": (rows, hidden), **_head(classes, hidden)}


def _mlp(weights: Weights, ids: np.ndarray, mask: np.ndarray) -> np.ndarray:
    return _classify(weights, _vectors(weights, ids, mask).sum(1) / mask.sum(1, keepdims=True, dtype=np.float32))


def _attention_shapes(rows: int, embedding: int, hidden: int, classes: int) -> Shapes:
    return {
        "embedding.weight": (rows, hidden),
        "weight.weight": (1, hidden, 5),
        "weight.bias": (1,),
        **_head(classes, hidden),
    }


def _attention(weights: Weights, ids: np.ndarray, mask: np.ndarray) -> np.ndarray:
    vectors = _vectors(weights, ids, mask)
    scores = _convolve(vectors, weights["weight.weight"], weights["weight.bias"])[..., 0]
    scores = np.where(mask, scores, np.float32(-np.inf))
    shares = np.exp(scores - scores.max(1, keepdims=True))
    shares /= shares.sum(1, keepdims=True)
    return _classify(weights, (shares[..., None] * vectors).sum(1))


def _cnn_shapes(rows: int, embedding: int, hidden: int, classes: int) -> Shapes:
    return {
        "embedding.weight": (rows, embedding),
        "convolution.weight": (hidden, embedding, 3),
        "convolution.bias": (hidden,),
        **_head(classes, hidden),
    }


def _cnn(weights: Weights, ids: np.ndarray, mask: np.ndarray) -> np.ndarray:
    features = _convolve(_vectors(weights, ids, mask), weights["convolution.weight"], weights["convolution.bias"])
    return _classify(weights, (features.clip(0) * mask[..., None]).max(1))


def _recurrent_shapes(gates: int) -> Callable[[int, int, int, int], Shapes]:
    def shapes(rows: int, embedding: int, hidden: int, classes: int) -> Shapes:
        cells = {
            f"{direction}.{name}": shape
            for direction in ("forwards", "backwards")
            for name, shape in (
                ("weight_ih_l0", (gates * hidden, embedding)),
                ("weight_hh_l0", (gates * hidden, hidden)),
                ("bias_ih_l0", (gates * hidden,)),
                ("bias_hh_l0", (gates * hidden,)),
            )
        }
        return {"embedding.weight": (rows, embedding), **cells, **_head(classes, 2 * hidden)}

    return shapes


def _gru(x: np.ndarray, h: np.ndarray, state: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """One step: what comes from the word, what comes from the last output, the last output."""
    n = state.shape[1]
    gates = sigmoid(x[:, : 2 * n] + h[:, : 2 * n])
    new = np.tanh(x[:, 2 * n :] + gates[:, :n] * h[:, 2 * n :])
    state = new + gates[:, n:] * (state - new)
    return state, state


def _lstm(x: np.ndarray, h: np.ndarray, cell: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """One step: what comes from the word, what comes from the last output, the last cell."""
    n = cell.shape[1]
    gates = x + h
    kept, forgotten, out = (sigmoid(gates[:, i * n : (i + 1) * n]) for i in (0, 1, 3))
    cell = forgotten * cell + kept * np.tanh(gates[:, 2 * n : 3 * n])
    return out * np.tanh(cell), cell


def _recurrent(
    step: Callable[[np.ndarray, np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]],
) -> Callable[[Weights, np.ndarray, np.ndarray], np.ndarray]:
    def forward(weights: Weights, ids: np.ndarray, mask: np.ndarray) -> np.ndarray:
        lengths = mask.sum(1)
        # Each text turned round within its own length, so that no state ever passes over padding.
        turned = np.maximum(lengths[:, None] - 1 - np.arange(ids.shape[1]), 0)
        # What a word brings to the gates is the same wherever it stands.
        seen, at = np.unique(ids, return_inverse=True)
        vectors = weights["embedding.weight"][seen]
        at = at.reshape(ids.shape)
        sides = {"forwards": at, "backwards": np.take_along_axis(at, turned, axis=1)}
        maxima = []
        for side, rows in sides.items():
            kernel, bias = weights[f"{side}.weight_hh_l0"].T, weights[f"{side}.bias_hh_l0"]
            words = vectors @ weights[f"{side}.weight_ih_l0"].T + weights[f"{side}.bias_ih_l0"]
            output = np.zeros((len(ids), kernel.shape[0]), np.float32)
            memory, maximum = output.copy(), np.full_like(output, -1)  # states lie above -1
            for t in range(ids.shape[1]):
                going = int((lengths > t).sum())  # the longest come first
                output[:going], memory[:going] = step(
                    words[rows[:going, t]], output[:going] @ kernel + bias, memory[:going]
                )
                np.maximum(maximum[:going], output[:going], out=maximum[:going])
            maxima.append(maximum)
        return _classify(weights, np.concatenate(maxima, axis=1))

    return forward


ARCHITECTURES = {
    "mlp": Architecture(_mlp_shapes, _mlp),
    "attention": Architecture(_attention_shapes, _attention),
    "cnn": Architecture(_cnn_shapes, _cnn),
    "bigru": Architecture(_recurrent_shapes(3), _recurrent(_gru)),
    "bilstm": Architecture(_recurrent_shapes(4), _recurrent(_lstm)),
}
