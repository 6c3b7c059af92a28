"""A student's file, to the bit: nothing in it is ever executed, and all of it is checked.

    4 bytes   "pot1"
    4 bytes   CRC-32 of all that follows
    header    see `_HEADER`, numbers little-endian; with `SHARED` in its first byte, behind it the number of rows
    labels    UTF-8, a line each
    salts     a byte for each bucket
    a stream of bits, the high ones first, filled up with zeros:
      the gaps between the ascending fingerprints, less one (the first: from -1), Rice-coded (Rice 1979):
      the quotient by 2^r in ones and a zero, then r bits of remainder
      with `SHARED`, the row of each less one, in as many bits as the last row less one takes
      the weights, tensor by tensor in the order of `Shape.weights`, the last index running fastest:
      a half-precision step (16 bits), then whole numbers of `bits` bits, each with 2^(bits-1) added;
      or with 32 bits, floats, and no step

Word vectors and all other weights differ in their bits. A weight is its whole number times its tensor's step.
"""

import struct
import zlib
from typing import Any

import numpy as np

from potstill.runtime.networks import ARCHITECTURES, Shape, Weights
from potstill.runtime.tokenizer import Lookup

MAGIC = b"pot1"
TABLE = "embedding.weight"
FLOAT = 32  # bits of a weight that is not rounded

# architecture (its place in ARCHITECTURES), bits of the table, of the rest, of a fingerprint, of a Rice remainder,
# words in the longest run, log2 of the buckets, embedding, hidden, words per text, words, bytes of the labels; the
# unknown word counts among words and rows
_HEADER = struct.Struct("<7B3HIH")
_ROWS = struct.Struct("<I")
SHARED = 128  # added to the architecture: words share rows


def pack(
    labels: list[str],
    lookup: Lookup,
    shape: Shape,
    weights: Weights,
    bits: tuple[int, int],
    steps: dict[str, float],
) -> bytes:
    """Put a student into bytes. The arguments are the attributes of `model.Student`."""
    names = "\n".join(labels).encode()
    rice, gaps = _rice(np.array(lookup.fingerprints, np.int64))
    rows = len(weights[TABLE])
    shared = lookup.rows is not None
    head = _HEADER.pack(
        list(ARCHITECTURES).index(shape.architecture) + SHARED * shared,
        *bits,
        lookup.bits,
        rice,
        lookup.longest,
        len(lookup.salts).bit_length() - 1,
        shape.embedding,
        shape.hidden,
        lookup.max_length,
        1 + len(lookup.fingerprints),
        len(names),
    )
    stream = [gaps]
    if lookup.rows is not None:
        head += _ROWS.pack(rows)
        stream.append(_bits(np.array(lookup.rows) - 1, _width(rows)))
    for name in shape.weights(rows, len(labels)):
        width = bits[name != TABLE]
        if width == FLOAT:
            stream.append(np.unpackbits(weights[name].astype(">f4").view(np.uint8).reshape(-1)))
            continue
        stream.append(np.unpackbits(np.array([steps[name]], ">f2").view(np.uint8)))
        whole = np.rint(weights[name].reshape(-1) / np.float32(steps[name])).astype(np.int64)
        stream.append(_bits(whole + (1 << (width - 1)), width))
    body = head + names + bytes(lookup.salts) + np.packbits(np.concatenate(stream)).tobytes()
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
    except (struct.error, IndexError, UnicodeDecodeError) as error:
        # The checksum is right, so somebody wrote it so.
        raise ValueError(f"it is no student's file ({error})") from None


def _unpack(body: bytes) -> dict[str, Any]:
    numbers = _HEADER.unpack_from(body)
    architecture, *bits, length, rice, longest, buckets, embedding, hidden, max_length, words, named = numbers
    shared, architecture = divmod(architecture, SHARED)
    at = _HEADER.size
    rows = words
    if shared:
        [rows] = _ROWS.unpack_from(body, at)
        at += _ROWS.size
    if (
        not all(2 <= width <= 8 or width == FLOAT for width in bits)
        or not 1 <= buckets + 1 <= length + 1 <= 33
        or min(embedding, hidden, max_length, words, rows, longest) < 1
        or rice > 31
        or max(words, rows) > 8 * len(body)
    ):
        raise IndexError("numbers out of range")
    labels = body[at : at + named].decode().split("\n")
    at += named
    salts = list(body[at : at + (1 << buckets)])
    if len(salts) != 1 << buckets:
        raise IndexError("it ends too early")
    shape = Shape(list(ARCHITECTURES)[architecture], embedding, hidden)
    stream = np.unpackbits(np.frombuffer(body, np.uint8, offset=at + len(salts)))
    fingerprints, start = _unrice(stream, words - 1, rice)
    row_of = None
    if shared:
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
            start += count * FLOAT
            continue
        steps[name] = float(np.packbits(_take(stream, start, 16)).view(">f2")[0])
        if not np.isfinite(steps[name]):
            raise IndexError("numbers out of range")
        whole = _numbers(_take(stream, start + 16, count * width), width) - (1 << (width - 1))
        weights[name] = (whole.astype(np.float32) * np.float32(steps[name])).reshape(size)
        start += 16 + count * width
    return {
        "labels": labels,
        "lookup": Lookup(fingerprints.tolist(), row_of, salts, length, longest, max_length),
        "shape": shape,
        "weights": weights,
        "bits": (bits[0], bits[1]),
        "steps": steps,
    }


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
