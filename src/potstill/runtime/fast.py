"""The fast path: folds a student's weights for the compiled kernel (`kernel.c`), if there is one.

What a word contributes to a network's first layer does not depend on its position. So the embedding table is multiplied
by that layer once, when a student is loaded, and scoring only adds up rows.
"""

from array import array
from codecs import iterdecode
from collections.abc import Iterable, Sequence
from enum import IntEnum
from importlib import import_module
from itertools import accumulate, chain
from typing import Any, Self

import numpy as np

from potstill.runtime import tokenizer
from potstill.runtime.networks import ARCHITECTURES, Shape, Weights
from potstill.runtime.tokenizer import Fingerprints, Vocabulary, Words

# A top-level module, since DVC runs experiments in a copy of the sources, which has no compiled files.
kernel: Any
try:
    kernel = import_module("_potstill")
except ImportError:  # potstill was installed without a C compiler
    kernel = None

LANES = 8  # as in kernel.c
_PIECE = 1 << 16  # characters or bytes that are lower-cased at once
_LARGEST = 1 << 25  # numbers of a folded table; larger students run in numpy


class Output(IntEnum):
    """What the kernel returns per text."""

    LOGITS = 0
    PROBABILITIES = 1
    CLASSES = 2
    LOGITS_AND_RARE = 3  # and the share of its rows that are rare


class Scorer:
    """Scores texts with the compiled kernel."""

    def __init__(
        self, vocabulary: Vocabulary, shape: Shape, weights: Weights, temperature: float, rare: np.ndarray
    ) -> None:
        self._classes = len(weights["head.bias"])
        entries = vocabulary.entries
        folded = _FOLD[shape.architecture](weights, temperature)
        self._model = kernel.build(
            list(ARCHITECTURES).index(shape.architecture),
            self._classes,
            shape.hidden,
            vocabulary.max_ngram,
            vocabulary.max_length,
            vocabulary.subwords,
            *(_tree(entries, vocabulary) if isinstance(entries, Words) else _table(entries, vocabulary)),
            tuple(np.ascontiguousarray(part, np.float32) for part in folded),
            tokenizer.lower,
            _lower_long,
            tokenizer.kind,
            rare,
        )

    @classmethod
    def build(
        cls, vocabulary: Vocabulary, shape: Shape, weights: Weights, temperature: float, rare: np.ndarray
    ) -> Self | None:
        """Build the scorer of a student; None without a kernel, or if the folded table would be too large."""
        width = _folded_width(shape, len(weights["head.bias"]))
        if kernel is None or vocabulary.size * width > _LARGEST:
            return None
        return cls(vocabulary, shape, weights, temperature, rare)

    def __call__(self, texts: Any, output: Output) -> np.ndarray:
        """Score a list or tuple of strings, or an object with Arrow's C data interface.

        Returns:
            Float32 (texts, classes), with a column more for `Output.LOGITS_AND_RARE`; for `Output.CLASSES` int64
            (texts,).

        Raises:
            TypeError: a text is missing, or not a string.
            ValueError: a text of an Arrow array is not UTF-8.
            NotImplementedError: an Arrow array that the kernel does not read; convert it to a list.
        """
        if isinstance(texts, (list, tuple)):
            scored = kernel.score_list(self._model, texts, output)
        elif hasattr(texts, "__arrow_c_stream__"):
            scored = kernel.score_arrow_stream(self._model, texts.__arrow_c_stream__(), output)
        else:
            scored = kernel.score_arrow_array(self._model, texts.__arrow_c_array__(), output)
        if output == Output.CLASSES:
            return np.frombuffer(scored, np.int64)
        return np.frombuffer(scored, np.float32).reshape(-1, self._classes + (output == Output.LOGITS_AND_RARE))


def _lower_long(text: str | bytes) -> bytes:
    """Lower-case a long text (a string or UTF-8) piece by piece, so that other threads can run in between."""
    pieces: Iterable[Any] = (text[i : i + _PIECE] for i in range(0, len(text), _PIECE))
    if isinstance(text, bytes):
        pieces = iterdecode(pieces, "utf-8")
    return b"".join([tokenizer.lower(piece).encode() for piece in pieces])


def _tree(words: Words, vocabulary: Vocabulary) -> tuple[Any, ...]:
    """Return the kernel's look-up of strings: the single words, and a tree of the n-grams that they start."""
    place: dict[str, int] = {}
    for entry in words.strings:
        for word in entry.split(" "):
            place.setdefault(word, 1 + len(place))
    row_of = array("I", bytes(4 * (1 + len(place))))
    edges: dict[int, int] = {}
    for entry, row in zip(words.strings, _rows(vocabulary), strict=True):
        first, *others = entry.split(" ")
        node = place[first]
        for word in others:
            step = node << 32 | place[word]
            if step not in edges:
                edges[step] = len(row_of)
                row_of.append(0)
            node = edges[step]
        row_of[node] = row
    joined = "".join(place).encode()
    ends = array("I", accumulate(len(word.encode()) for word in place))
    triples = array("I", chain.from_iterable((step >> 32, step & 0xFFFFFFFF, to) for step, to in edges.items()))
    return b"", joined, ends, b"\0", 0, row_of, triples


def _table(fingerprints: Fingerprints, vocabulary: Vocabulary) -> tuple[Any, ...]:
    """Return the kernel's look-up of fingerprints."""
    values, row_of = array("I", fingerprints.values), array("I", [0, *_rows(vocabulary)])
    return values, None, b"", bytes(fingerprints.salts), fingerprints.bits, row_of, b""


def _rows(vocabulary: Vocabulary) -> Sequence[int]:
    return vocabulary.rows or range(1, 1 + len(vocabulary.entries))


def _pad(array: np.ndarray, *axes: int) -> np.ndarray:
    """Append zeros along some axes, up to a multiple of LANES."""
    return np.pad(array, [(0, -size % LANES if axis in axes else 0) for axis, size in enumerate(array.shape)])


def _head(weights: Weights, temperature: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the last layer, (features, classes) and (classes,), divided by the temperature."""
    return weights["head.weight"].T / np.float32(temperature), _pad(weights["head.bias"] / np.float32(temperature), 0)


def _fold_mlp(weights: Weights, temperature: float) -> list[np.ndarray]:
    head, bias = _head(weights, temperature)
    return [_pad(weights["embedding.weight"] @ head, 1), bias]


def _fold_attention(weights: Weights, temperature: float) -> list[np.ndarray]:
    # The bias of the scores cancels in their softmax.
    scores = weights["embedding.weight"] @ weights["weight.weight"][0]
    return [*_fold_mlp(weights, temperature), _pad(scores, 1)]


def _fold_cnn(weights: Weights, temperature: float) -> list[np.ndarray]:
    head, bias = _head(weights, temperature)
    kernel = weights["convolution.weight"].transpose(1, 2, 0)
    table = (weights["embedding.weight"] @ kernel.reshape(len(kernel), -1)).reshape(-1, *kernel.shape[1:])
    return [_pad(table, 2), _pad(weights["convolution.bias"], 0), _pad(head, 1), bias]


def _fold_bigru(weights: Weights, temperature: float) -> list[np.ndarray]:
    head, bias = _head(weights, temperature)
    hidden = len(head) // 2
    # The kernel computes a sigmoid of x as 1 / (1 + 2^-cx), and a tangent from 2^2cx, with c = log2(e).
    scale = np.array([-1, -1, 2], np.float32)[:, None] * np.float32(np.log2(np.e))
    # In place, since the table of a large vocabulary takes a hundred megabytes.
    table = np.zeros((len(weights["embedding.weight"]), 2, 3, hidden + -hidden % LANES), np.float32)
    kernels, new_biases = [], []
    for side, direction in enumerate(("forwards", "backwards")):
        of_words, of_state = (weights[f"{direction}.weight_{kind}_l0"] for kind in ("ih", "hh"))
        state_bias = weights[f"{direction}.bias_hh_l0"].reshape(3, hidden) * scale
        # The reset gate multiplies the third bias, so that one is not folded into the table.
        new_biases.append(state_bias[2].copy())
        state_bias[2] = 0
        inputs = weights["embedding.weight"] @ of_words.T
        inputs += weights[f"{direction}.bias_ih_l0"]
        gates = inputs.reshape(-1, 3, hidden)
        gates *= scale
        np.add(gates, state_bias, out=table[:, side, :, :hidden])
        kernels.append((of_state.reshape(3, hidden, hidden).transpose(2, 0, 1)) * scale)
    stacked = [_pad(np.stack(kernels), 3), _pad(np.stack(new_biases), 1)]
    return [table, *stacked, _pad(head.reshape(2, hidden, -1), 1, 2), bias]


def _folded_width(shape: Shape, classes: int) -> int:
    """Return the numbers per row of the folded table, nearly."""
    classes, hidden = max(LANES, classes), max(LANES, shape.hidden)
    return {"mlp": classes, "attention": LANES + classes, "cnn": 3 * hidden, "bigru": 6 * hidden}[shape.architecture]


_FOLD = {"mlp": _fold_mlp, "attention": _fold_attention, "cnn": _fold_cnn, "bigru": _fold_bigru}
