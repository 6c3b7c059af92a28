"""A student's file, to the bit: nothing in it is ever executed, and all of it is checked.

    4 bytes   "pot1"
    4 bytes   CRC-32 of all that follows
    header    see `_HEADER`, numbers little-endian; its first byte holds flags besides
    4 bytes   with `SHARED`, the number of rows
    4 bytes   with `CALIBRATED`, the temperature, a float
    labels    UTF-8, a line each
    salts     a byte for each bucket; without `STRINGS`
    a stream of bits, the high ones first, filled up with zeros:
      with `MULTI_LABEL`, the probability from which on a text has each label, in half precision
      without `STRINGS`, the gaps between the ascending fingerprints, less one (the first: from -1), Rice-coded
      (Rice 1979): the quotient by 2^r in ones and a zero, then r bits of remainder
      with `SHARED`, the row of each less one, in as many bits as the last row less one takes
      the weights, tensor by tensor in the order of `Shape.weights`, the last index running fastest:
      a half-precision step (16 bits), then whole numbers of `bits` bits, each with 2^(bits-1) added;
      or with 32 bits, floats, and no step
    facts     all that is left, which may be nothing: a JSON object, deflated (RFC 1951). `words` are the entries of the
              vocabulary in the order of their rows, a line each; with `STRINGS` a student knows them by these. The rest
              is for people, see `model.Student`.

Word vectors and all other weights differ in their bits. A weight is its whole number times its tensor's step.
"""

import json
import struct
import zlib
from itertools import pairwise
from typing import Any

import numpy as np

from potstill.runtime.networks import ARCHITECTURES, Shape, Weights
from potstill.runtime.tokenizer import Fingerprints, Lookup, Words

MAGIC = b"pot1"
TABLE = "embedding.weight"
FLOAT = 32  # bits of a weight that is not rounded
LARGEST = 1 << 28  # bytes of a file
LARGEST_FACTS = 1 << 26  # bytes, inflated
WIDEST = 1024  # embedding and hidden
FURTHEST = 1e6  # a weight from 0, and its reciprocal the lowest temperature: beyond, answers could overflow to NaN

# architecture (its place in ARCHITECTURES), bits of the table, of the rest, of a fingerprint, of a Rice remainder,
# words in the longest run, log2 of the buckets, embedding, hidden, words per text, words, bytes of the labels; the
# unknown word counts among words and rows
_HEADER = struct.Struct("<7B3HIH")
_ROWS = struct.Struct("<I")
_TEMPERATURE = struct.Struct("<f")
# Added to the architecture: words share rows, are known by their strings, logits are divided by a temperature, a text
# may have several labels.
SHARED, STRINGS, CALIBRATED, MULTI_LABEL = 128, 64, 32, 16


def pack(
    labels: list[str],
    lookup: Lookup,
    shape: Shape,
    weights: Weights,
    bits: tuple[int, int],
    steps: dict[str, float],
    temperature: float,
    thresholds: list[float] | None,
    facts: dict[str, Any],
) -> bytes:
    """Put a student into bytes. The arguments are the attributes of `model.Student`."""
    names = "\n".join(labels).encode()
    rows = len(weights[TABLE])
    flags, extra, salts, width, rice, stream = 0, b"", b"", 0, 0, []
    if thresholds is not None:
        flags |= MULTI_LABEL
        stream.append(np.unpackbits(np.array(thresholds, ">f2").view(np.uint8)))
    if isinstance(lookup.known, Fingerprints):
        salts, width = bytes(lookup.known.salts), lookup.known.bits
        rice, gaps = _rice(np.array(lookup.known.prints, np.int64))
        stream.append(gaps)
    else:
        flags |= STRINGS
        facts = {**facts, "words": "\n".join(lookup.known.entries)}
    if lookup.rows is not None:
        flags |= SHARED
        extra += _ROWS.pack(rows)
        stream.append(_bits(np.array(lookup.rows) - 1, _width(rows)))
    if temperature != 1:
        flags |= CALIBRATED
        extra += _TEMPERATURE.pack(temperature)
    head = _HEADER.pack(
        list(ARCHITECTURES).index(shape.architecture) | flags,
        *bits,
        width,
        rice,
        lookup.longest,
        max(0, len(salts).bit_length() - 1),
        shape.embedding,
        shape.hidden,
        lookup.max_length,
        1 + len(lookup.known),
        len(names),
    )
    for name in shape.weights(rows, len(labels)):
        width = bits[name != TABLE]
        if width == FLOAT:
            stream.append(np.unpackbits(weights[name].astype(">f4").view(np.uint8).reshape(-1)))
            continue
        stream.append(np.unpackbits(np.array([steps[name]], ">f2").view(np.uint8)))
        whole = np.rint(weights[name].reshape(-1) / np.float32(steps[name])).astype(np.int64)
        stream.append(_bits(whole + (1 << (width - 1)), width))
    body = head + extra + names + salts + np.packbits(np.concatenate(stream)).tobytes() + _deflate(facts)
    return MAGIC + zlib.crc32(body).to_bytes(4, "little") + body


def unpack(data: bytes) -> dict[str, Any]:
    """Read what `pack` wrote, as its arguments.

    Raises:
        ValueError: it is no student's file, damaged, or of another version.
    """
    if data[:3] != MAGIC[:3]:
        raise ValueError("it is no student's file")
    if data[:4] != MAGIC:
        raise ValueError(f"its format is {data[:4]!r}, and this version of potstill reads {MAGIC!r}")
    body = data[8:]
    if zlib.crc32(body).to_bytes(4, "little") != data[4:8]:
        raise ValueError("it is damaged, fetch or make it anew")
    try:
        return _unpack(body)
    except (struct.error, IndexError, UnicodeDecodeError, zlib.error, RecursionError, json.JSONDecodeError) as error:
        # The checksum is right, so somebody wrote it so.
        raise ValueError(f"it is no student's file ({error})") from None


def _unpack(body: bytes) -> dict[str, Any]:
    numbers = _HEADER.unpack_from(body)
    flags, *bits, length, rice, longest, buckets, embedding, hidden, max_length, words, named = numbers
    architecture = flags & (MULTI_LABEL - 1)
    at = _HEADER.size
    rows, temperature = words, 1.0
    if flags & SHARED:
        [rows] = _ROWS.unpack_from(body, at)
        at += _ROWS.size
    if flags & CALIBRATED:
        [temperature] = _TEMPERATURE.unpack_from(body, at)
        at += _TEMPERATURE.size
    if (
        not all(2 <= width <= 8 or width == FLOAT for width in bits)
        or not (flags & STRINGS or 1 <= buckets + 1 <= length + 1 <= 33)
        or min(embedding, hidden, max_length, words, rows, longest) < 1
        or max(embedding, hidden) > WIDEST
        or rice > 31
        or rows > 8 * len(body)
        or words > (LARGEST_FACTS if flags & STRINGS else 8 * len(body))
        or not 1 / FURTHEST <= temperature < np.inf
    ):
        raise IndexError("numbers out of range")
    labels = body[at : at + named].decode().split("\n")
    at += named
    shape = Shape(list(ARCHITECTURES)[architecture], embedding, hidden)
    salts: list[int] = []
    if not flags & STRINGS:
        salts = list(body[at : at + (1 << buckets)])
        if len(salts) != 1 << buckets:
            raise IndexError("it ends too early")
        at += len(salts)
    stream = np.unpackbits(np.frombuffer(body, np.uint8, offset=at))
    start, thresholds = 0, None
    if flags & MULTI_LABEL:
        start = 16 * len(labels)
        thresholds = np.packbits(_take(stream, 0, start)).view(">f2").astype(float).tolist()
        if not all(0 <= threshold <= 1 for threshold in thresholds):
            raise IndexError("numbers out of range")
    if not flags & STRINGS:
        fingerprints, end = _unrice(stream[start:], words - 1, rice)
        start += end
    row_of = None
    if flags & SHARED:
        width = _width(rows)
        row_of = (1 + _numbers(_take(stream, start, (words - 1) * width), width)).tolist()
        if max(row_of, default=0) >= rows:
            raise IndexError("numbers out of range")
        start += (words - 1) * width
    weights, steps = {}, {}
    for name, size in shape.weights(rows, len(labels)).items():
        width = bits[name != TABLE]
        count = int(np.prod(size))
        if width == FLOAT:
            values = _take(stream, start, count * FLOAT).reshape(count, 4, 8)
            weights[name] = np.packbits(values, axis=2).reshape(count, 4).view(">f4").astype(np.float32).reshape(size)
            if not (np.abs(weights[name]) <= FURTHEST).all():
                raise IndexError("numbers out of range")
            start += count * FLOAT
            continue
        steps[name] = float(np.packbits(_take(stream, start, 16)).view(">f2")[0])
        if not np.isfinite(steps[name]):
            raise IndexError("numbers out of range")
        whole = _numbers(_take(stream, start + 16, count * width), width) - (1 << (width - 1))
        weights[name] = (whole.astype(np.float32) * np.float32(steps[name])).reshape(size)
        start += 16 + count * width
    facts = _inflate(body[at + -(-start // 8) :])
    known: Words | Fingerprints
    if flags & STRINGS:
        listed = facts.pop("words", None)
        known = Words(listed.split("\n") if words > 1 and isinstance(listed, str) else [])
        if len(known) != words - 1 or any(a >= b for a, b in pairwise(known.entries)):
            raise IndexError("its words are not in order")
    else:
        known = Fingerprints(fingerprints.tolist(), salts, length)
    return {
        "labels": labels,
        "lookup": Lookup(known, row_of, longest, max_length),
        "shape": shape,
        "weights": weights,
        "bits": (bits[0], bits[1]),
        "steps": steps,
        "temperature": temperature,
        "thresholds": thresholds,
        "facts": facts,
    }


def _deflate(facts: dict[str, Any]) -> bytes:
    if not facts:
        return b""
    # With sorted keys, so that equal facts give equal bytes.
    text = json.dumps(facts, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return zlib.compress(text.encode(), 9, wbits=-zlib.MAX_WBITS)


def _inflate(data: bytes) -> dict[str, Any]:
    if not data:
        return {}
    inflator = zlib.decompressobj(-zlib.MAX_WBITS)
    text = inflator.decompress(data, LARGEST_FACTS)
    if not inflator.eof or inflator.unused_data:
        raise IndexError("its facts are too long, or cut off")
    facts = json.loads(text)
    if not isinstance(facts, dict):
        raise IndexError("its facts are no JSON object")
    return facts


def _width(rows: int) -> int:
    """Bits of a row less one, where row 0, of the unknown word, does not occur."""
    return max(1, (rows - 2).bit_length())


def _take(stream: np.ndarray, start: int, count: int) -> np.ndarray:
    if start + count > len(stream):
        raise IndexError("it ends too early")
    return stream[start : start + count]


def _bits(numbers: np.ndarray, width: int) -> np.ndarray:
    """The bits of numbers from 0 on, the high ones first."""
    return (numbers[:, None] >> np.arange(width - 1, -1, -1) & 1).astype(np.uint8).reshape(-1)


def _numbers(bits: np.ndarray, width: int) -> np.ndarray:
    return bits.reshape(-1, width).astype(np.int64) @ (1 << np.arange(width - 1, -1, -1))


def _rice(ascending: np.ndarray) -> tuple[int, np.ndarray]:
    """The shortest Rice code of ascending numbers: how many bits the remainders have, and the code."""
    gaps = np.diff(ascending, prepend=-1) - 1
    rice = min(range(32), key=lambda r: int((gaps >> r).sum()) + r * len(gaps))
    pieces = [np.append(np.ones(gap >> rice, np.uint8), np.uint8(0)) for gap in gaps.tolist()]
    remainders = _bits(gaps & ((1 << rice) - 1), rice).reshape(len(gaps), rice)
    code = [part for piece, remainder in zip(pieces, remainders, strict=True) for part in (piece, remainder)]
    return rice, np.concatenate(code) if code else np.zeros(0, np.uint8)


def _unrice(stream: np.ndarray, count: int, rice: int) -> tuple[np.ndarray, int]:
    """`count` ascending numbers at the beginning of a stream of bits, and where they end."""
    zeros = np.flatnonzero(stream == 0)
    gaps = np.empty(count, np.int64)
    at = 0
    for i in range(count):
        zero = int(zeros[np.searchsorted(zeros, at)])
        remainder = _numbers(_take(stream, zero + 1, rice), rice)[0] if rice else 0
        gaps[i] = (zero - at << rice) + remainder
        at = zero + 1 + rice
    return np.cumsum(gaps + 1) - 1, at
