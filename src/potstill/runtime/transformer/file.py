"""Read and write the model files of small Transformers (.pot). Nothing in a file is executed, and all of it is checked.

A file consists of, in this order, numbers being little-endian:

    magic      4 bytes, `TRANSFORMER_MAGIC`
    checksum   4 bytes, the CRC-32 of all that follows
    sizes      2 integers of 4 bytes: the bytes of the next two parts
    header     a JSON object, deflated (RFC 1951): `labels`, `shape`, `ranges`, `cls`, `sep`, `temperature`,
               `thresholds` (null unless the task is multi-label) and `facts`, see `runtime.facts`
    tokenizer  a JSON object, deflated: see `Tokenizer.spec`
    weights    deflated by Huffman coding alone, so to an eighth at best; tensor by tensor in the order of
               `Shape.weights`: of a matrix, a half-precision step above 0 for each row, then int8 numbers row by row,
               which times their row's step are the weights; of a vector, half-precision floats,
               which are at least 1 if they are smoothing factors

What `unpack` returns can be used without further checks, whoever wrote the file.
"""

import math
import struct
import zlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from potstill.core import errors, naming
from potstill.runtime import facts as fact_checks
from potstill.runtime.file import (
    MAX_FACTS_BYTES,
    MAX_INFLATION,
    MAX_TEMPERATURE,
    MIN_TEMPERATURE,
    FormatError,
    deflate,
    inflate,
    pack_checked,
    require,
    seal,
    unseal,
)
from potstill.runtime.model import TRANSFORMER_MAGIC
from potstill.runtime.transformer.shape import Shape
from potstill.runtime.transformer.tokenizer import Tokenizer
from potstill.runtime.transformer.weights import Matrix, Weights

# Within these no sum of the network overflows.
MAX_STEP = 64.0  # so that a weight is at most 8,192
MAX_ACTIVATION = 1e4  # the ends of a range
MIN_SPREAD = 1e-6  # of a range
MAX_TOKENIZER_BYTES = 1 << 25  # inflated
_SIZES = struct.Struct("<II")
_KEYS = {"labels", "shape", "ranges", "cls", "sep", "temperature", "thresholds", "facts"}


@dataclass(frozen=True, eq=False)
class Contents:
    """What a model file of a small Transformer holds.

    Attributes:
        labels: the names of the classes.
        tokenizer: splits texts into tokens.
        shape: the architecture.
        weights: of the network.
        temperature: what logits are divided by to calibrate probabilities.
        thresholds: in a multi-label task, the least probability with which a text has each label; None otherwise.
        facts: metadata, see `runtime.facts`; without `words`.
    """

    labels: list[str]
    tokenizer: Tokenizer
    shape: Shape
    weights: Weights
    temperature: float = 1.0
    thresholds: list[float] | None = None
    facts: dict[str, Any] = field(default_factory=dict)


def pack(contents: Contents) -> bytes:
    """Return the bytes of a model file.

    Raises:
        PotstillError: a file cannot hold these contents.
    """
    return pack_checked(contents, _pack, _unpack)


def _pack(contents: Contents) -> bytes:
    """Return the bytes of a model file, without checks."""
    weights, tokenizer = contents.weights, contents.tokenizer
    header = deflate(
        {
            "labels": contents.labels,
            "shape": contents.shape.values(),
            "ranges": {name: list(ends) for name, ends in weights.ranges.items()},
            "cls": tokenizer.cls,
            "sep": tokenizer.sep,
            "temperature": contents.temperature,
            "thresholds": contents.thresholds,
            "facts": contents.facts,
        }
    )
    spec = deflate(dict(tokenizer.spec))
    parts = []
    for name, size in contents.shape.weights(len(contents.labels)).items():
        if len(size) == 1:
            parts.append(weights.vectors[name].astype("<f2").tobytes())
        else:
            matrix = weights.matrices[name]
            parts += [matrix.steps.astype("<f2").tobytes(), matrix.values.tobytes()]
    coder = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS, 9, zlib.Z_HUFFMAN_ONLY)
    coded = coder.compress(b"".join(parts)) + coder.flush()
    body = _SIZES.pack(len(header), len(spec)) + header + spec + coded
    return seal(TRANSFORMER_MAGIC, body)


def unpack(data: bytes) -> Contents:
    """Read and check the bytes of a model file.

    Raises:
        FormatError: they are damaged, or not those of such a file.
    """
    if data[:4] != TRANSFORMER_MAGIC:
        raise FormatError("damaged")
    return unseal(data, _unpack)


def _unpack(body: memoryview) -> Contents:
    sizes = _SIZES.unpack_from(body)
    start, spec_start = _SIZES.size, _SIZES.size + sizes[0]
    weights_start = spec_start + sizes[1]
    require(weights_start <= len(body), "it ends too early")
    limit = MAX_INFLATION * len(body) + (1 << 20)
    header = inflate(bytes(body[start:spec_start]), min(MAX_FACTS_BYTES, limit))
    require(isinstance(header, dict) and header.keys() == _KEYS, "its header is incomplete")
    labels = _labels(header["labels"])
    shape = Shape.read(header["shape"])
    spec = inflate(bytes(body[spec_start:weights_start]), min(MAX_TOKENIZER_BYTES, limit))
    require(isinstance(spec, dict) and all(type(header[name]) is int for name in ("cls", "sep")))
    weights = _weights(bytes(body[weights_start:]), shape, len(labels), _ranges(header["ranges"], shape))
    tokenizer = Tokenizer(spec, header["cls"], header["sep"], shape.positions)
    tokenizer.check(shape.vocabulary)
    require(_is_within(header["temperature"], MIN_TEMPERATURE, MAX_TEMPERATURE))
    thresholds = header["thresholds"]
    if thresholds is not None:
        require(isinstance(thresholds, list) and len(thresholds) == len(labels))
        require(all(_is_within(threshold, 0, 1) for threshold in thresholds))
        thresholds = [float(threshold) for threshold in thresholds]
    fact_checks.check(header["facts"], 0, shape.vocabulary, 0 if thresholds else len(labels))
    require("words" not in header["facts"], "it names words")
    return Contents(labels, tokenizer, shape, weights, float(header["temperature"]), thresholds, header["facts"])


def _labels(labels: Any) -> list[str]:
    require(isinstance(labels, list) and all(isinstance(label, str) for label in labels), "its labels are not strings")
    require(bool(labels) and all(labels) and len(set(labels)) == len(labels), "its labels are empty, or not distinct")
    joined = naming.SEPARATOR.join(labels)
    require(joined.count(naming.SEPARATOR) == len(labels) - 1 and not errors.SURROGATE.search(joined), "its labels")
    require(len(joined.encode()) <= naming.LARGEST, "its labels are too long")
    return labels


def _ranges(ranges: Any, shape: Shape) -> dict[str, tuple[float, float]]:
    """Check the ranges of the activations."""
    require(isinstance(ranges, dict) and set(ranges) == set(shape.inputs()), "its ranges are incomplete")
    checked = {}
    for name, ends in ranges.items():
        require(isinstance(ends, list) and len(ends) == 2)
        low, high = ends
        require(_is_within(low, -MAX_ACTIVATION, 0) and _is_within(high, 0, MAX_ACTIVATION))
        require(high - low >= MIN_SPREAD)
        checked[name] = (float(low), float(high))
    return checked


def _weights(data: bytes, shape: Shape, classes: int, ranges: dict[str, tuple[float, float]]) -> Weights:
    shapes = shape.weights(classes)
    expected = sum(2 * size[0] + (math.prod(size) if len(size) == 2 else 0) for size in shapes.values())
    require(expected <= 8 * len(data), "its weights do not fit its shape")
    inflator = zlib.decompressobj(-zlib.MAX_WBITS)
    data = inflator.decompress(data, expected + 1)
    complete = inflator.eof and not inflator.unused_data and not inflator.unconsumed_tail
    require(complete and len(data) == expected, "its weights do not fit its shape")
    matrices, vectors, position = {}, {}, 0

    def halves(count: int) -> np.ndarray:
        nonlocal position
        found = np.frombuffer(data, "<f2", count, position).astype(np.float32)
        position += 2 * count
        require(bool(np.isfinite(found).all()))
        return found

    for name, size in shapes.items():
        if len(size) == 1:
            vectors[name] = halves(size[0])
            is_smoothing = name.endswith(".smoothing")
            require(not is_smoothing or bool((vectors[name] >= 1).all()), "a smoothing factor is below 1")
            continue
        steps, count = halves(size[0]), math.prod(size)
        require(bool(((steps > 0) & (steps <= MAX_STEP)).all()))
        matrices[name] = Matrix(np.frombuffer(data, np.int8, count, position).reshape(size), steps)
        position += count
    return Weights(matrices, vectors, ranges)


def _is_within(value: Any, least: float, most: float) -> bool:
    return type(value) in (int, float) and least <= value <= most
