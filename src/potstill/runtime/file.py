"""A student's file, to the bit: nothing in it is ever executed, and all of it is checked.

    4 bytes   "pot1"
    4 bytes   CRC-32 of all that follows
    header    see `_HEADER`, numbers little-endian; its first byte holds flags too
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
              is for people, see `facts`.

Whoever forged a file gets no further than `unpack`: what it returns can be used without a check. Reading takes time in
proportion to the file, and memory of at most ten times its size beside what `WORDS` words and `LARGEST_FACTS` take.

Word vectors and all other weights differ in their bits. A weight is its whole number times its tensor's step.
"""

import json
import math
import struct
import zlib
from array import array
from itertools import pairwise
from typing import Any

import numpy as np

from potstill import errors
from potstill.errors import PotstillError
from potstill.runtime import facts as said
from potstill.runtime import naming
from potstill.runtime.naming import SEPARATOR
from potstill.runtime.networks import ARCHITECTURES, LARGE, Rounded, Shape, Weights
from potstill.runtime.tokenizer import Fingerprints, Lookup, Words

MAGIC = b"pot1"
TABLE = "embedding.weight"
FLOAT = 32  # bits of a weight that is not rounded

# What a file can hold, and what the parameters allow.
LARGEST = 1 << 28  # bytes of a file
LARGEST_FACTS = 1 << 23  # bytes, inflated, and
DENSEST = 8  # times the bytes of the file beside a million
WORDS = 1 << 18  # the unknown word included
WIDEST = 1024  # embedding and hidden
LONGEST = 5  # words of an n-gram of mlp; others see the order of words themselves
MAX_LENGTH = (1 << 16) - 1  # words of a text
# A weight that is rounded is smaller than this, since its step is in half precision. Up to here no network's sums
# overflow.
GREATEST = 1 << 23
COLDEST, HOTTEST = 1e-3, 1e3  # temperatures

# architecture (its place in ARCHITECTURES), bits of the table, of the rest, of a fingerprint, of a Rice remainder,
# words in the longest run, log2 of the buckets, embedding, hidden, words per text, words, bytes of the labels; the
# unknown word counts among words and rows
_HEADER = struct.Struct("<7B3HIH")
_ROWS = struct.Struct("<I")
_TEMPERATURE = struct.Struct("<f")
# Added to the architecture: words share rows, are known by their strings, logits are divided by a temperature, a text
# may have several labels.
SHARED, STRINGS, CALIBRATED, MULTI_LABEL = 128, 64, 32, 16
_WRONG = (struct.error, ValueError, OverflowError, RecursionError, zlib.error)  # what reading raises, and writing
_AT_ONCE = 1 << 15  # numbers whose bits are taken apart together


def check(labels: list[str], shape: Shape, rows: int, bits: tuple[int, int]) -> None:
    """Check that a file can hold a student, before it is trained.

    Args:
        labels: the names of the classes.
        shape: what the network is built from.
        rows: of the table of word vectors.
        bits: of the numbers of the table, and of the others.

    Raises:
        PotstillError: a file cannot.
    """
    if fault := naming.fault(labels):
        raise PotstillError(fault)
    size = sum(bits[name != TABLE] * math.prod(weight) for name, weight in shape.weights(rows, len(labels)).items())
    most = LARGEST - 2 * LARGEST_FACTS  # beside names, fingerprints and facts
    if size // 8 > most:
        raise PotstillError(
            f"the network takes {size // 8:,} bytes, and a model file holds {most:,}: "
            "lower `vocab_size`, `embedding_rows`, `embedding_dim`, `hidden` or `weight_bits`"
        )


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
    """Put a student into bytes. The arguments are the attributes of `model.Student`.

    Raises:
        PotstillError: a file cannot hold it.
    """
    try:
        content = _pack(labels, lookup, shape, weights, bits, steps, temperature, thresholds, facts)
        _require(len(content) <= LARGEST, "it would be too large")
        _require(_unpack(memoryview(content)[8:])["labels"] == labels, "its labels are cut")
    except _WRONG as error:
        raise PotstillError(f"a model file cannot hold this student: {naming.fault(labels) or error}") from None
    except (AttributeError, LookupError, TypeError) as error:  # an attribute is of another type, or incomplete
        raise PotstillError(f"a model file cannot hold this student: {errors.said(error)}") from None
    return content


def _pack(
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
    rows = len(weights[TABLE])
    names = SEPARATOR.join(labels).encode()
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
        stream.append(_bits(np.array(lookup.rows, np.int64) - 1, _width(rows)))
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
            stream.append(np.unpackbits(np.asarray(weights[name], ">f4").view(np.uint8).reshape(-1)))
            continue
        _require(name in steps, f"`steps` lacks {name!r}")
        stream.append(np.unpackbits(np.array([steps[name]], ">f2").view(np.uint8)))
        whole = np.rint(np.asarray(weights[name]).reshape(-1) / np.float32(steps[name])).astype(np.int64)
        stream.append(_bits(whole + (1 << (width - 1)), width))
    body = head + extra + names + salts + np.packbits(np.concatenate(stream)).tobytes() + _deflate(facts)
    return MAGIC + zlib.crc32(body).to_bytes(4, "little") + body


def unpack(data: bytes) -> dict[str, Any]:
    """Read what `pack` wrote, as its arguments.

    Raises:
        ValueError: it is not a potstill model file, damaged, or of another version.
    """
    if data[:3] != MAGIC[:3]:
        raise ValueError("not a potstill model file")
    if data[:4] != MAGIC:
        raise ValueError(f"its format is {data[:4]!r}, and this version of potstill reads {MAGIC!r}")
    body = memoryview(data)[8:]  # no copy
    if zlib.crc32(body).to_bytes(4, "little") != data[4:8]:
        raise ValueError("damaged")
    try:
        return _unpack(body)
    except _WRONG as error:
        # The checksum is right, so somebody wrote it so.
        raise ValueError(f"not a potstill model file ({error})") from None


def _unpack(body: memoryview) -> dict[str, Any]:
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
    _require(
        architecture < len(ARCHITECTURES)
        and all(2 <= width <= 8 or width == FLOAT for width in bits)
        and (length == rice == buckets == 0 if flags & STRINGS else buckets <= length <= 32 and rice <= 31)
        and min(embedding, hidden, max_length, words, rows, longest) >= 1
        and max(embedding, hidden) <= WIDEST
        and longest <= (LONGEST if architecture == 0 else 1)
        and rows <= words <= WORDS
        and COLDEST <= temperature <= HOTTEST
    )
    labels = bytes(_part(body, at, named)).decode().split(SEPARATOR)
    _require(all(labels) and len(set(labels)) == len(labels), "its labels are empty, or not distinct")
    at += named
    shape = Shape(list(ARCHITECTURES)[architecture], embedding, hidden)
    salts: list[int] = []
    if not flags & STRINGS:
        salts = list(_part(body, at, 1 << buckets))
        at += len(salts)
    stream = _Stream(body[at:])
    thresholds, row_of, prints = None, None, []
    if flags & MULTI_LABEL:
        thresholds = [stream.half() for _ in labels]
        _require(all(0 <= threshold <= 1 for threshold in thresholds))
    if not flags & STRINGS:
        prints = _unrice(stream, words - 1, rice)
        _require(not prints or prints[-1] < 1 << length)
    if flags & SHARED:
        row_of = (1 + stream.numbers(words - 1, _width(rows)).astype(np.int64)).tolist()
        _require(1 + max(row_of, default=0) == rows)
    weights: Weights = {}
    steps = {}
    for name, size in shape.weights(rows, len(labels)).items():
        width, count = bits[name != TABLE], math.prod(size)
        if width == FLOAT:
            weights[name] = stream.numbers(count, FLOAT).view(">f4").astype(np.float32).reshape(size)
            _require(bool((np.abs(weights[name]) <= GREATEST).all()))
            continue
        steps[name] = stream.half()
        _require(0 < steps[name] < math.inf)
        # Less 2^(bits-1), in a byte with a sign.
        whole = stream.numbers(count, width)
        whole ^= np.uint8(1 << (width - 1))
        whole <<= np.uint8(8 - width)
        rounded = Rounded(
            np.right_shift(whole.view(np.int8), 8 - width, out=whole.view(np.int8)).reshape(size),
            np.float32(steps[name]),
        )
        weights[name] = rounded if name == TABLE and count > LARGE else rounded[:]
    facts = _inflate(stream.rest(), min(LARGEST_FACTS, DENSEST * len(body) + (1 << 20)))
    said.check(facts, words - 1)
    known: Words | Fingerprints
    if flags & STRINGS:
        _require("words" in facts, "its words are missing")
        known = Words(said.listed(facts.pop("words")))
        _require(all(a < b for a, b in pairwise(known.entries)), "its words are not in order")
    else:
        known = Fingerprints(prints, salts, length)
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


def _require(right: bool, otherwise: str = "numbers out of range") -> None:
    if not right:
        raise ValueError(otherwise)


def _part(body: memoryview, at: int, size: int) -> memoryview:
    _require(at + size <= len(body), "it ends too early")
    return body[at : at + size]


class _Stream:
    """Takes numbers off a stream of bits, some at a time: all of its bits would need eight times its memory."""

    def __init__(self, data: memoryview) -> None:
        self._bytes = np.frombuffer(data, np.uint8)
        self._at = 0

    def ahead(self, count: int) -> np.ndarray:
        """The next bits, a byte each, or as many as there are; they are not taken."""
        end = min(self._at + count, 8 * len(self._bytes))
        return np.unpackbits(self._bytes[self._at >> 3 : (end + 7) >> 3])[self._at & 7 :][: end - self._at]

    def skip(self, count: int) -> None:
        """Take bits."""
        self._at += count

    def numbers(self, count: int, width: int) -> np.ndarray:
        """Whole numbers of that many bits: uint8, or if they do not fit, big-endian uint32."""
        _require(self._at + count * width <= 8 * len(self._bytes), "it ends too early")
        found = np.empty(count, np.uint8 if width <= 8 else ">u4")
        room = 8 * found.itemsize
        for start in range(0, count, _AT_ONCE):
            number = min(_AT_ONCE, count - start)
            wide = np.zeros((number, room), np.uint8)
            wide[:, room - width :] = self.ahead(number * width).reshape(number, width)
            found[start : start + number] = np.packbits(wide).view(found.dtype)
            self.skip(number * width)
        return found

    def half(self) -> float:
        """A number in half precision."""
        return float(self.numbers(1, 16).astype(np.uint16).view(np.float16)[0])

    def rest(self) -> bytes:
        """The bytes behind the last bit taken."""
        return self._bytes[(self._at + 7) >> 3 :].tobytes()


def _deflate(facts: dict[str, Any]) -> bytes:
    if not facts:
        return b""
    # With sorted keys, so that equal facts give equal bytes.
    _require(_keyed(facts), "its facts are no JSON: a key is not a string")
    try:
        text = json.dumps(facts, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    except TypeError as error:
        raise ValueError(f"its facts are no JSON: {error}") from None
    return zlib.compress(text.encode(), 9, wbits=-zlib.MAX_WBITS)


def _keyed(value: Any) -> bool:
    """Whether all keys are strings; `json` would write numbers, truth and None as strings too."""
    if isinstance(value, dict):
        return all(isinstance(key, str) and _keyed(one) for key, one in value.items())
    return not isinstance(value, (list, tuple)) or all(map(_keyed, value))


def _inflate(data: bytes, most: int) -> Any:
    if not data:
        return {}
    inflator = zlib.decompressobj(-zlib.MAX_WBITS)
    text = inflator.decompress(data, most + 1)
    if len(text) > most or not inflator.eof or inflator.unused_data:
        raise ValueError("its facts are too long, or cut off")
    return json.loads(text.decode(), parse_int=_integer)


def _integer(digits: str) -> float:
    """What JSON's digits say: to JavaScript, -0 is the -0.0 that no number of texts is."""
    return -0.0 if digits == "-0" else int(digits)


def _width(rows: int) -> int:
    """Bits of a row less one, where row 0, of the unknown word, does not occur."""
    return max(1, (rows - 2).bit_length())


def _bits(numbers: np.ndarray, width: int) -> np.ndarray:
    """The bits of numbers from 0 on, the high ones first."""
    return (numbers[:, None] >> np.arange(width - 1, -1, -1) & 1).astype(np.uint8).reshape(-1)


def _rice(ascending: np.ndarray) -> tuple[int, np.ndarray]:
    """The shortest Rice code of ascending numbers: how many bits the remainders have, and the code."""
    gaps = np.diff(ascending, prepend=-1) - 1
    rice = min(range(32), key=lambda r: int((gaps >> r).sum()) + r * len(gaps))
    pieces = [np.append(np.ones(gap >> rice, np.uint8), np.uint8(0)) for gap in gaps.tolist()]
    remainders = _bits(gaps & ((1 << rice) - 1), rice).reshape(len(gaps), rice)
    code = [part for piece, remainder in zip(pieces, remainders, strict=True) for part in (piece, remainder)]
    return rice, np.concatenate(code) if code else np.zeros(0, np.uint8)


def _unrice(stream: _Stream, count: int, rice: int) -> list[int]:
    """Take `count` ascending numbers.

    The shortest code has at most two ones for each: with r bits of remainders more than that, the next r is shorter.
    So what may be a number's end is known, and nobody reads a file of ones to its end.
    """
    ahead = stream.ahead(count * (3 + rice))
    bits, zeros, at = ahead.tobytes(), array("q"), 0
    for _ in range(count):
        zero = bits.find(b"\0", at)
        _require(zero >= 0, "it ends too early")
        zeros.append(zero)
        at = zero + 1 + rice
    _require(at <= len(bits), "it ends too early")
    stream.skip(at)
    ends = np.array(zeros, np.int64)
    gaps = np.diff(ends, prepend=-1 - rice) - 1 - rice
    for i in range(rice):
        gaps = gaps << 1 | ahead[ends + 1 + i]
    return (np.cumsum(gaps + 1) - 1).tolist()
