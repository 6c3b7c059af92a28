"""The fast path: folds a student for the compiled kernel (`kernel.c`), where there is one.

What a word brings to a network's first layer is the same wherever the word stands. So the table of word vectors and the
weights behind it are multiplied when a student is loaded, and scoring only adds up rows.
"""

from array import array
from codecs import iterdecode
from collections.abc import Callable, Iterable, Sequence
from enum import IntEnum
from importlib import import_module
from itertools import accumulate, chain
from typing import Any

import numpy as np

from potstill.runtime import tokenizer
from potstill.runtime.networks import ARCHITECTURES, Shape, Weights
from potstill.runtime.tokenizer import Fingerprints, Lookup, Words

# Not inside the package: an experiment of DVC's runs in a copy of the sources, which holds nothing compiled.
kernel: Any
try:
    kernel = import_module("_potstill")
except ImportError:  # there was no compiler when potstill was installed
    kernel = None

LANES = 8  # as in kernel.c
_PIECE = 1 << 16  # characters or bytes
_LARGEST = 1 << 25  # numbers of a folded table: what needs more is a forged file, or better off without


class Output(IntEnum):
    """What the kernel gives for a text."""

    LOGITS = 0
    PROBABILITIES = 1
    CLASSES = 2


Score = Callable[[Any, Output], np.ndarray]


def scorer(lookup: Lookup, shape: Shape, weights: Weights, temperature: float) -> Score | None:
    """A function that scores a list or tuple of strings, or what Arrow can hand over; None without a kernel, or room.

    Its second argument says what it gives: float32 of shape (texts, classes), or int64 of shape (texts,). It raises a
    TypeError for what is not a string, a ValueError for an Arrow array's text that is not UTF-8, and a
    NotImplementedError for Arrow arrays that are better given as a list.
    """
    classes = len(weights["head.bias"])
    if kernel is None or lookup.size * _WIDTH[shape.architecture](classes, shape.hidden) > _LARGEST:
        return None
    folded = _FOLD[shape.architecture](weights, shape.hidden, temperature)
    model = kernel.build(
        list(ARCHITECTURES).index(shape.architecture),
        classes,
        shape.hidden,
        lookup.longest,
        lookup.max_length,
        *(_tree(lookup.known, lookup) if isinstance(lookup.known, Words) else _table(lookup.known, lookup)),
        tuple(np.ascontiguousarray(part, np.float32) for part in folded),
        tokenizer.lower,
        _lower_long,
        tokenizer.kind,
    )

    def score(texts: Any, output: Output) -> np.ndarray:
        if isinstance(texts, (list, tuple)):
            scored = kernel.score_list(model, texts, output)
        elif hasattr(texts, "__arrow_c_stream__"):
            scored = kernel.score_arrow_stream(model, texts.__arrow_c_stream__(), output)
        else:
            scored = kernel.score_arrow_array(model, texts.__arrow_c_array__(), output)
        if output == Output.CLASSES:
            return np.frombuffer(scored, np.int64)
        return np.frombuffer(scored, np.float32).reshape(-1, classes)

    return score


def _lower_long(text: str | bytes) -> bytes:
    """Lower-case a text of megabytes, a string or UTF-8, piece by piece, between which other threads can run."""
    pieces: Iterable[Any] = (text[i : i + _PIECE] for i in range(0, len(text), _PIECE))
    if isinstance(text, bytes):
        pieces = iterdecode(pieces, "utf-8")
    return b"".join([tokenizer.lower(piece).encode() for piece in pieces])


def _tree(known: Words, lookup: Lookup) -> tuple[Any, ...]:
    """What is known, for the kernel: single words by their strings, and the runs that they begin as a tree."""
    place: dict[str, int] = {}
    for entry in known.entries:
        for word in entry.split(" "):
            place.setdefault(word, 1 + len(place))
    row_of = array("I", bytes(4 * (1 + len(place))))
    edges: dict[int, int] = {}
    for entry, row in zip(known.entries, _rows(lookup), strict=True):
        first, *others = entry.split(" ")
        at = place[first]
        for word in others:
            step = at << 32 | place[word]
            if step not in edges:
                edges[step] = len(row_of)
                row_of.append(0)
            at = edges[step]
        row_of[at] = row
    words = "".join(place).encode()
    ends = array("I", accumulate(len(word.encode()) for word in place))
    triples = array("I", chain.from_iterable((step >> 32, step & 0xFFFFFFFF, to) for step, to in edges.items()))
    return b"", words, ends, b"\0", 0, row_of, triples


def _table(known: Fingerprints, lookup: Lookup) -> tuple[Any, ...]:
    """What is known, for the kernel: entries by their fingerprints."""
    return array("I", known.prints), None, b"", bytes(known.salts), known.bits, array("I", [0, *_rows(lookup)]), b""


def _rows(lookup: Lookup) -> Sequence[int]:
    return lookup.rows or range(1, 1 + len(lookup.known))


def _pad(array: np.ndarray, *axes: int) -> np.ndarray:
    """Zeros behind some axes, up to a multiple of LANES."""
    return np.pad(array, [(0, -size % LANES if axis in axes else 0) for axis, size in enumerate(array.shape)])


def _head(weights: Weights, temperature: float) -> tuple[np.ndarray, np.ndarray]:
    """The last layer, (features, classes) and (classes,)."""
    return weights["head.weight"].T / np.float32(temperature), weights["head.bias"] / np.float32(temperature)


def _bag(weights: Weights, hidden: int, temperature: float) -> list[np.ndarray]:
    head, bias = _head(weights, temperature)
    return [_pad(weights["embedding.weight"] @ head, 1), _pad(bias, 0)]


def _attention(weights: Weights, hidden: int, temperature: float) -> list[np.ndarray]:
    # A bias that all words share does not change their shares.
    scores = weights["embedding.weight"] @ weights["weight.weight"][0]
    return [*_bag(weights, hidden, temperature), _pad(scores, 1)]


def _cnn(weights: Weights, hidden: int, temperature: float) -> list[np.ndarray]:
    head, bias = _head(weights, temperature)
    kernel = weights["convolution.weight"].transpose(1, 2, 0)
    table = weights["embedding.weight"] @ kernel.reshape(len(kernel), -1)
    return [
        _pad(table.reshape(-1, *kernel.shape[1:]), 2),
        _pad(weights["convolution.bias"], 0),
        _pad(head, 1),
        _pad(bias, 0),
    ]


def _recurrent(*signs: float) -> Callable[[Weights, int, float], list[np.ndarray]]:
    """By gate -1 for a sigmoid and 2 for a tangent, which the kernel makes of powers of 2."""
    gates, scale = len(signs), np.array(signs, np.float32)[:, None] * np.float32(np.log2(np.e))

    def fold(weights: Weights, hidden: int, temperature: float) -> list[np.ndarray]:
        head, bias = _head(weights, temperature)
        tables, kernels, news = [], [], []
        for side in ("forwards", "backwards"):
            last = weights[f"{side}.bias_hh_l0"].reshape(gates, hidden) * scale
            if gates == 3:  # a GRU's reset gate stands before the last bias
                news.append(last[2].copy())
                last[2] = 0
            words = weights["embedding.weight"] @ weights[f"{side}.weight_ih_l0"].T + weights[f"{side}.bias_ih_l0"]
            tables.append(words.reshape(-1, gates, hidden) * scale + last)
            kernels.append((weights[f"{side}.weight_hh_l0"].reshape(gates, hidden, hidden).transpose(2, 0, 1)) * scale)
        heads = _pad(head.reshape(2, hidden, -1), 1, 2)
        return [
            _pad(np.stack(tables, 1), 3),
            _pad(np.stack(kernels), 3),
            _pad(np.stack(news or [np.zeros(hidden)]), 1),
            heads,
            _pad(bias, 0),
        ]

    return fold


# Numbers that a row of the folded table has, padding aside, by classes and hidden.
_WIDTH: dict[str, Callable[[int, int], int]] = {
    "mlp": lambda classes, hidden: max(LANES, classes),
    "attention": lambda classes, hidden: LANES + max(LANES, classes),
    "cnn": lambda classes, hidden: 3 * max(LANES, hidden),
    "bigru": lambda classes, hidden: 6 * max(LANES, hidden),
    "bilstm": lambda classes, hidden: 8 * max(LANES, hidden),
}
_FOLD = {
    "mlp": _bag,
    "attention": _attention,
    "cnn": _cnn,
    "bigru": _recurrent(-1, -1, 2),
    "bilstm": _recurrent(-1, -1, 2, -1),
}
