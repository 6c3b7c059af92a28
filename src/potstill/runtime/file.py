"""Read and write model files (.pot). Nothing in a file is executed, and all of it is checked.

A file consists of, in this order:

    magic       4 bytes, `MAGIC`
    checksum    4 bytes, the CRC-32 of all that follows, little-endian
    header      the fields of `_Header`, little-endian
    labels      UTF-8, one a line, `labels_size` bytes
    salts       one byte per bucket; not with `STRINGS`
    bits        numbers of any width, most significant bit first, padded with zeros to a whole byte:
      thresholds    with `MULTI_LABEL`: one half-precision float per label
      fingerprints  without `STRINGS`: ascending; the gaps between them less one (the first: from -1), Rice-coded (Rice
                    1979): the quotient by 2^r in ones and a zero, then r bits of remainder, r being `rice_bits`
      rows          with `SHARED`: the row of each entry less one, in as many bits as the last row less one takes
      weights       tensor by tensor in the order of `Shape.weights`, the last index varying fastest: a half-precision
                    step, then integers of `table_bits` or `other_bits` bits, offset by 2^(bits - 1), which times the
                    step are the weights; or without a step, floats of 32 bits
    facts       the rest, possibly empty: a JSON object, deflated (RFC 1951), see `facts`. With `STRINGS`, its `words`
                are the entries of the vocabulary, in the order of their rows.

What `unpack` returns can be used without further checks, whoever wrote the file. Reading takes time in proportion to
the size of the file, and at most ten times its memory, apart from `MAX_WORDS` words and `MAX_FACTS_BYTES`.
"""

import json
import math
import struct
import zlib
from array import array
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from functools import cache
from itertools import pairwise
from typing import Any, Self, TypeVar

import numpy as np

from potstill.core import errors, naming
from potstill.core.errors import PotstillError
from potstill.core.naming import SEPARATOR
from potstill.runtime import facts as fact_checks
from potstill.runtime.networks import LARGE, QuantizedTable, Shape, Weights
from potstill.runtime.tokenizer import Fingerprints, Vocabulary, Words

Read = TypeVar("Read")

MAGIC = b"pot1"
TABLE = "embedding.weight"
FLOAT = 32  # bits of a weight that is not quantized

# Limits of a file, and of the parameters.
MAX_BYTES = 1 << 28  # of a file
MAX_FACTS_BYTES = 1 << 23  # of the facts, inflated, and at most
MAX_INFLATION = 8  # times the bytes of the file, plus a mebibyte
MAX_WORDS = 1 << 18  # including the unknown word
MAX_WIDTH = 1024  # embedding and hidden
MAX_NGRAM = 5  # of mlp; the other architectures see the order of words
MAX_LENGTH = (1 << 16) - 1  # words of a text
# No network's sums overflow up to this weight. Quantized weights are always smaller, as their step is a half float.
MAX_WEIGHT = 1 << 23
MIN_TEMPERATURE, MAX_TEMPERATURE = 1e-3, 1e3

# The code of a file: the position of its architecture in the low three bits, and flags. Entries share rows; entries are
# strings; logits are divided by a temperature; the task is multi-label; words are split into pieces.
SHARED, STRINGS, CALIBRATED, MULTI_LABEL, SUBWORDS = 128, 64, 32, 16, 8
_ARCHITECTURES = ("mlp", "attention", "cnn", "bigru")
_BILSTM = 4  # removed; the number stays reserved

INVALID = (struct.error, ValueError, OverflowError, RecursionError, zlib.error)  # raised on reading or writing
_CHUNK = 1 << 15  # numbers unpacked at once: their bits take eight times the memory


class FormatError(PotstillError):
    """The content of a model file is damaged, forged, or not supported.

    Attributes:
        advice: a sentence that says what to do.
    """

    def __init__(self, problem: str, advice: str = "Fetch or make the file again.") -> None:
        super().__init__(problem)
        self.advice = advice


@dataclass(frozen=True, eq=False)
class Contents:
    """What a model file holds.

    Attributes:
        labels: the names of the classes.
        vocabulary: the words, n-grams and pieces of words, and their rows in the embedding table.
        shape: architecture and widths of the network.
        weights: float32 arrays, see `networks`.
        bits: bits per number in the file, of the embedding table and of the other weights: 2 to 8, or 32 for floats.
        steps: quantization step of each weight array; empty for floats.
        temperature: what logits are divided by to calibrate probabilities.
        thresholds: in a multi-label task, the least probability with which a text has each label; None otherwise.
        facts: metadata: `version`, `params`, `rows`, `sha256`, `metrics`, `teachers` and, with fingerprints, `words`;
            see the module `facts`.
    """

    labels: list[str]
    vocabulary: Vocabulary
    shape: Shape
    weights: Weights
    bits: tuple[int, int]
    steps: dict[str, float]
    temperature: float = 1.0
    thresholds: list[float] | None = None
    facts: dict[str, Any] = field(default_factory=dict)


def _stored(form: str, flag: int = 0) -> Any:
    """Declare a field of the header by its struct format; with a flag, it is only stored if that is set."""
    return field(metadata={"form": form, "flag": flag})


@dataclass
class _Header:
    """The header of a file: its fields in the order of their bytes, little-endian."""

    code: int = _stored("B")  # architecture and flags; potstill before `SUBWORDS` refuses a file with it
    table_bits: int = _stored("B")  # of a number of the embedding table
    other_bits: int = _stored("B")  # of a number of the other weights
    fingerprint_bits: int = _stored("B")
    rice_bits: int = _stored("B")
    max_ngram: int = _stored("B")
    buckets_log2: int = _stored("B")
    embedding: int = _stored("H")
    hidden: int = _stored("H")
    max_length: int = _stored("H")  # words per text
    words: int = _stored("I")  # entries and the unknown word
    labels_size: int = _stored("H")
    rows: int = _stored("I", SHARED)  # of the embedding table
    temperature: float = _stored("f", CALIBRATED)

    @staticmethod
    @cache
    def layout(code: int) -> tuple[list[str], struct.Struct]:
        """Return the names and the layout of the fields that are stored with a code."""
        stored = [item for item in fields(_Header) if not item.metadata["flag"] or item.metadata["flag"] & code]
        return [item.name for item in stored], struct.Struct("<" + "".join(item.metadata["form"] for item in stored))

    def pack(self) -> bytes:
        names, layout = self.layout(self.code)
        return layout.pack(*(getattr(self, name) for name in names))

    @classmethod
    def read(cls, body: memoryview) -> Self:
        [code] = struct.unpack_from("B", body)
        names, layout = cls.layout(code)
        values: dict[str, Any] = dict(zip(names, layout.unpack_from(body), strict=True))
        header = cls(**{"rows": values["words"], "temperature": 1.0, **values})
        header.check()
        return header

    @property
    def architecture(self) -> int:
        return self.code & (SUBWORDS - 1)

    @property
    def _has_ngrams(self) -> bool:
        """Whether a student of this code may have n-grams."""
        return _ARCHITECTURES[self.architecture] == "mlp" and not self.code & SUBWORDS

    def check(self) -> None:
        """Check that all fields are in range.

        Raises:
            FormatError: the architecture is no longer supported.
            ValueError: a field is out of range.
        """
        if self.architecture == _BILSTM:
            raise FormatError(
                "potstill no longer supports its architecture, bilstm", "Train a student of another one, such as bigru."
            )
        require(
            self.architecture < len(_ARCHITECTURES)
            and all(2 <= bits <= 8 or bits == FLOAT for bits in (self.table_bits, self.other_bits))
            and (
                self.fingerprint_bits == self.rice_bits == self.buckets_log2 == 0
                if self.code & STRINGS
                else self.buckets_log2 <= self.fingerprint_bits <= 32 and self.rice_bits <= 31
            )
            and min(self.embedding, self.hidden, self.max_length, self.words, self.rows, self.max_ngram) >= 1
            and max(self.embedding, self.hidden) <= MAX_WIDTH
            and self.max_ngram <= (MAX_NGRAM if self._has_ngrams else 1)
            and self.rows <= self.words <= MAX_WORDS
            and MIN_TEMPERATURE <= self.temperature <= MAX_TEMPERATURE
        )


def check(labels: list[str], shape: Shape, rows: int, bits: tuple[int, int]) -> None:
    """Check, before a student is trained, that a file can hold it; see `Contents`.

    Raises:
        PotstillError: a file cannot hold it.
    """
    if fault := naming.find_fault(labels):
        raise PotstillError(fault)
    size = sum(bits[name != TABLE] * math.prod(size) for name, size in shape.weights(rows, len(labels)).items())
    most = MAX_BYTES - 2 * MAX_FACTS_BYTES  # the rest is for labels, fingerprints and facts
    if size // 8 > most:
        raise PotstillError(
            f"the network takes {size // 8:,} bytes, and a model file holds {most:,}: "
            "lower `vocab_size`, `embedding_rows`, `embedding_dim`, `hidden` or `weight_bits`"
        )


def pack(contents: Contents) -> bytes:
    """Return the bytes of a model file.

    Raises:
        PotstillError: a file cannot hold these contents.
    """
    return pack_checked(contents, _pack, _unpack)


def pack_checked(contents: Any, make: Callable[[Any], bytes], read: Callable[[memoryview], Any]) -> bytes:
    """Return the bytes of a model file of any kind, after it has been read again.

    Args:
        contents: what it shall hold, with `labels`.
        make: returns the bytes of its file, see `seal`.
        read: returns the contents that the body of a file holds.

    Raises:
        PotstillError: a file cannot hold these contents.
    """
    labels = contents.labels
    try:
        packed = make(contents)
        require(len(packed) <= MAX_BYTES, "it would be too large")
        require(read(memoryview(packed)[8:]).labels == labels, "its labels are cut")
    except INVALID as error:
        raise PotstillError(f"a model file cannot hold this student: {naming.find_fault(labels) or error}") from None
    except (AttributeError, LookupError, TypeError) as error:  # an attribute is of another type, or incomplete
        raise PotstillError(f"a model file cannot hold this student: {errors.first_line(error)}") from None
    return packed


def seal(magic: bytes, body: bytes) -> bytes:
    """Return a model file: the magic, the checksum and the body."""
    return magic + zlib.crc32(body).to_bytes(4, "little") + body


def unseal(data: bytes, read: Callable[[memoryview], Read]) -> Read:
    """Return what `read` makes of the body of a model file of any kind.

    Raises:
        FormatError: its checksum does not match, or it is forged.
    """
    body = memoryview(data)[8:]  # without a copy
    if zlib.crc32(body).to_bytes(4, "little") != data[4:8]:
        raise FormatError("damaged")
    try:
        return read(body)
    except INVALID as error:  # forged, since the checksum matches
        raise FormatError(f"not a potstill model file ({error})") from None


def _pack(contents: Contents) -> bytes:
    """Return the bytes of a model file, without checks."""
    vocabulary, entries = contents.vocabulary, contents.vocabulary.entries
    rows, facts = len(contents.weights[TABLE]), contents.facts
    labels = SEPARATOR.join(contents.labels).encode()
    salts, fingerprint_bits, rice_bits, bits = b"", 0, 0, []
    if contents.thresholds is not None:
        bits.append(_float_bits(contents.thresholds, ">f2"))
    if isinstance(entries, Fingerprints):
        salts, fingerprint_bits = bytes(entries.salts), entries.bits
        rice_bits, code = _rice_encode(np.array(entries.values, np.int64))
        bits.append(code)
    else:
        facts = {**facts, "words": "\n".join(entries.strings)}
    if vocabulary.rows is not None:
        bits.append(_integer_bits(np.array(vocabulary.rows, np.int64) - 1, _row_bits(rows)))
    for name in contents.shape.weights(rows, len(contents.labels)):
        width = contents.bits[name != TABLE]
        if width == FLOAT:
            bits.append(_float_bits(contents.weights[name], ">f4"))
            continue
        require(name in contents.steps, f"`steps` has no {name!r}")
        step = contents.steps[name]
        bits.append(_float_bits([step], ">f2"))
        integers = np.rint(np.asarray(contents.weights[name]).reshape(-1) / np.float32(step)).astype(np.int64)
        bits.append(_integer_bits(integers + (1 << (width - 1)), width))
    header = _Header(
        code=_ARCHITECTURES.index(contents.shape.architecture)
        | SHARED * (vocabulary.rows is not None)
        | STRINGS * (not isinstance(entries, Fingerprints))
        | CALIBRATED * (contents.temperature != 1)
        | MULTI_LABEL * (contents.thresholds is not None)
        | SUBWORDS * vocabulary.subwords,
        table_bits=contents.bits[0],
        other_bits=contents.bits[1],
        fingerprint_bits=fingerprint_bits,
        rice_bits=rice_bits,
        max_ngram=vocabulary.max_ngram,
        buckets_log2=max(0, len(salts).bit_length() - 1),
        embedding=contents.shape.embedding,
        hidden=contents.shape.hidden,
        max_length=vocabulary.max_length,
        words=1 + len(entries),
        labels_size=len(labels),
        rows=rows,
        temperature=contents.temperature,
    )
    body = header.pack() + labels + salts + np.packbits(np.concatenate(bits)).tobytes() + deflate(facts)
    return seal(MAGIC, body)


def unpack(data: bytes) -> Contents:
    """Read and check the bytes of a model file.

    Raises:
        FormatError: they are not those of a model file, are damaged, or of another version.
    """
    if data[:3] != MAGIC[:3]:
        raise FormatError("not a potstill model file")
    if data[:4] != MAGIC:
        raise FormatError(f"its format is {data[:4]!r}, and this version of potstill reads {MAGIC!r}")
    return unseal(data, _unpack)


def _unpack(body: memoryview) -> Contents:
    header = _Header.read(body)
    reader = _Reader(body[header.layout(header.code)[1].size :])
    labels = reader.take(header.labels_size).decode().split(SEPARATOR)
    require(all(labels) and len(set(labels)) == len(labels), "its labels are empty, or not distinct")
    salts = [] if header.code & STRINGS else list(reader.take(1 << header.buckets_log2))
    thresholds, row_of, fingerprints = None, None, []
    if header.code & MULTI_LABEL:
        thresholds = reader.halves(len(labels))
        require(all(0 <= threshold <= 1 for threshold in thresholds))
    if not header.code & STRINGS:
        fingerprints = _rice_decode(reader, header.words - 1, header.rice_bits)
        require(not fingerprints or fingerprints[-1] < 1 << header.fingerprint_bits)
    if header.code & SHARED:
        row_of = (1 + reader.integers(header.words - 1, _row_bits(header.rows)).astype(np.int64)).tolist()
        require(1 + max(row_of, default=0) == header.rows)
    shape = Shape(_ARCHITECTURES[header.architecture], header.embedding, header.hidden)
    bits = header.table_bits, header.other_bits
    weights, steps = _read_weights(reader, shape, header.rows, len(labels), bits)
    facts = inflate(reader.rest(), min(MAX_FACTS_BYTES, MAX_INFLATION * len(body) + (1 << 20)))
    fact_checks.check(facts, header.words - 1, header.rows, 0 if thresholds else len(labels))
    entries: Words | Fingerprints
    if header.code & STRINGS:
        require("words" in facts, "its words are missing")
        entries = Words(fact_checks.split_words(facts.pop("words")))
        require(all(a < b for a, b in pairwise(entries.strings)), "its words are not in order")
    else:
        entries = Fingerprints(fingerprints, salts, header.fingerprint_bits)
    subwords = bool(header.code & SUBWORDS)
    vocabulary = Vocabulary(entries, row_of, header.max_ngram, header.max_length, subwords)
    return Contents(labels, vocabulary, shape, weights, bits, steps, header.temperature, thresholds, facts)


def _read_weights(
    reader: "_Reader", shape: Shape, rows: int, classes: int, bits: tuple[int, int]
) -> tuple[Weights, dict[str, float]]:
    weights: Weights = {}
    steps = {}
    for name, size in shape.weights(rows, classes).items():
        width, count = bits[name != TABLE], math.prod(size)
        if width == FLOAT:
            weights[name] = reader.integers(count, FLOAT).view(">f4").astype(np.float32).reshape(size)
            require(bool((np.abs(weights[name]) <= MAX_WEIGHT).all()))
            continue
        [steps[name]] = reader.halves(1)
        require(0 < steps[name] < math.inf)
        # To subtract the offset in place, flip the sign bit and extend it to the left.
        integers = reader.integers(count, width)
        integers ^= np.uint8(1 << (width - 1))
        integers <<= np.uint8(8 - width)
        signed = integers.view(np.int8)
        table = QuantizedTable(np.right_shift(signed, 8 - width, out=signed).reshape(size), np.float32(steps[name]))
        weights[name] = table if name == TABLE and count > LARGE else table[:]
    return weights, steps


def require(valid: bool, problem: str = "numbers out of range") -> None:
    """Check something of a file.

    Raises:
        ValueError: it is not valid.
    """
    if not valid:
        raise ValueError(problem)


class _Reader:
    """Reads bytes, and then numbers of any width, from the body of a file."""

    def __init__(self, data: memoryview) -> None:
        self._bytes = np.frombuffer(data, np.uint8)
        self._position = 0  # in bits

    def take(self, size: int) -> bytes:
        """Read bytes; the position is at the start of one."""
        start = self._position >> 3
        require(start + size <= len(self._bytes), "it ends too early")
        self.skip(8 * size)
        return self._bytes[start : start + size].tobytes()

    def peek(self, count: int) -> np.ndarray:
        """Return the next `count` bits, or those that are left, uint8, and stay where they start."""
        end = min(self._position + count, 8 * len(self._bytes))
        covering = np.unpackbits(self._bytes[self._position >> 3 : (end + 7) >> 3])
        return covering[self._position & 7 :][: end - self._position]

    def skip(self, count: int) -> None:
        """Move on by `count` bits."""
        self._position += count

    def integers(self, count: int, width: int) -> np.ndarray:
        """Read unsigned integers of `width` bits: uint8 or, if wider than 8 bits, big-endian uint32."""
        require(self._position + count * width <= 8 * len(self._bytes), "it ends too early")
        integers = np.empty(count, np.uint8 if width <= 8 else ">u4")
        room = 8 * integers.itemsize
        for start in range(0, count, _CHUNK):
            number = min(_CHUNK, count - start)
            padded = np.zeros((number, room), np.uint8)
            padded[:, room - width :] = self.peek(number * width).reshape(number, width)
            integers[start : start + number] = np.packbits(padded).view(integers.dtype)
            self.skip(number * width)
        return integers

    def halves(self, count: int) -> list[float]:
        """Read half-precision floats."""
        return self.integers(count, 16).astype(">u2").view(">f2").tolist()

    def rest(self) -> bytes:
        """Return the bytes after the one that was read last."""
        return self._bytes[(self._position + 7) >> 3 :].tobytes()


def deflate(facts: dict[str, Any]) -> bytes:
    """Return facts as deflated JSON; equal facts give equal bytes.

    Raises:
        ValueError: they are not JSON.
    """
    if not facts:
        return b""
    require(_has_string_keys(facts), "its facts are not JSON: a key is not a string")
    try:
        text = json.dumps(facts, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    except TypeError as error:
        raise ValueError(f"its facts are not JSON: {error}") from None
    return zlib.compress(text.encode(), 9, wbits=-zlib.MAX_WBITS)


def _has_string_keys(value: Any) -> bool:
    """Return whether all keys are strings; `json.dumps` would turn other keys into strings."""
    if isinstance(value, dict):
        return all(isinstance(key, str) and _has_string_keys(item) for key, item in value.items())
    return not isinstance(value, (list, tuple)) or all(map(_has_string_keys, value))


def inflate(data: bytes, max_size: int) -> Any:
    """Return the JSON of which `deflate` made bytes, if it is at most `max_size` bytes long.

    Raises:
        ValueError: it is longer, damaged or cut off.
    """
    if not data:
        return {}
    inflator = zlib.decompressobj(-zlib.MAX_WBITS)
    text = inflator.decompress(data, max_size + 1)
    if len(text) > max_size or not inflator.eof or inflator.unused_data:
        raise ValueError("its facts are too long, or cut off")
    return json.loads(text.decode(), parse_int=_parse_int)


def _parse_int(digits: str) -> float:
    """Parse an integer as JavaScript does, where -0 is -0.0, which no count may be."""
    return -0.0 if digits == "-0" else int(digits)


def _row_bits(rows: int) -> int:
    """Return the bits of a row less one; row 0, of the unknown word, does not occur."""
    return max(1, (rows - 2).bit_length())


def _float_bits(values: Any, dtype: str) -> np.ndarray:
    return np.unpackbits(np.asarray(values, dtype).view(np.uint8).reshape(-1))


def _integer_bits(integers: np.ndarray, width: int) -> np.ndarray:
    """Return the bits of unsigned integers, most significant first."""
    return (integers[:, None] >> np.arange(width - 1, -1, -1) & 1).astype(np.uint8).reshape(-1)


def _rice_encode(ascending: np.ndarray) -> tuple[int, np.ndarray]:
    """Return the number of remainder bits that gives the shortest Rice code of ascending integers, and that code."""
    gaps = np.diff(ascending, prepend=-1) - 1
    rice_bits = min(range(32), key=lambda r: int((gaps >> r).sum()) + r * len(gaps))
    quotients = [np.append(np.ones(gap >> rice_bits, np.uint8), np.uint8(0)) for gap in gaps.tolist()]
    remainders = _integer_bits(gaps & ((1 << rice_bits) - 1), rice_bits).reshape(len(gaps), rice_bits)
    code = [part for pair in zip(quotients, remainders, strict=True) for part in pair]
    return rice_bits, np.concatenate(code) if code else np.zeros(0, np.uint8)


def _rice_decode(reader: _Reader, count: int, rice_bits: int) -> list[int]:
    """Read `count` ascending integers.

    The shortest code has at most two ones per integer: with more, one more bit of remainder would be shorter. So the
    length of the code is bounded, and a forged file of ones is not read to its end.
    """
    ahead = reader.peek(count * (3 + rice_bits))
    bits, zeros, at = ahead.tobytes(), array("q"), 0
    for _ in range(count):
        zero = bits.find(b"\0", at)
        require(zero >= 0, "it ends too early")
        zeros.append(zero)
        at = zero + 1 + rice_bits
    require(at <= len(bits), "it ends too early")
    reader.skip(at)
    ends = np.array(zeros, np.int64)
    gaps = np.diff(ends, prepend=-1 - rice_bits) - 1 - rice_bits
    for i in range(rice_bits):
        gaps = gaps << 1 | ahead[ends + 1 + i]
    return (np.cumsum(gaps + 1) - 1).tolist()
