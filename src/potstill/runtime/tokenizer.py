"""From texts to row ids of the embedding table; used in training and inference alike.

The vocabulary stores its entries as strings or, to save bytes, as fingerprints of a few bits. A fingerprint is computed
from the CRC-32 of the entry's UTF-8 bytes: the CRC selects a bucket, and is mixed with that bucket's salt before it is
truncated. Words with equal fingerprints share a row; with k bits more than the rows need, about one in 2^k of the
words outside the vocabulary collides with an entry. Training sees the same collisions, and the salts are chosen so that
they cost little (`student.vocabulary`).

With subwords, a word that is not in the vocabulary is split into pieces that are, each with a row of its own. As in
WordPiece (Wu et al. 2016, arXiv 1609.08144), entries that begin with `CONTINUATION` are pieces that continue a word.
"""

import re
import unicodedata
import zlib
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import chain
from typing import Any, TypeVar

import numpy as np

UNKNOWN = 0  # the row of every word outside the vocabulary
CONTINUATION = "##"  # before a piece that continues a word; no word begins with it, as "#" is a word by itself
# These bound the time that a word takes. The kernel and `student.js` have the same limits.
MAX_PIECE = 32  # characters of a piece, without `CONTINUATION`
MAX_SPLIT = 100  # characters of a word; longer ones are not split, as they are hardly words
# Scripts without spaces between words: Thai and Lao; Myanmar; Khmer; Han, kana and bopomofo. The gaps between these
# ranges hold symbols that may be emoji.
SPACELESS = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3041-\u312f\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff"
    "\ua9e0-\ua9ff\uaa60-\uaa7f\uf900-\ufaff\uff66-\uff9f\U0001aff0-\U0001b16f\U00020000-\U0003fffd"
)
JOINERS = "\u200c\u200d"  # join letters in Persian or Sinhala, and emoji
_SPACELESS = re.compile(f"[{SPACELESS}]")
_ASCII = re.compile(r"\w+|[^\w\s]")
_WORD = re.compile("w[wm]*|am*|s")  # over the kinds of characters, see `kind`
_PIECE = re.compile("am*|[^ a]+")
_TIGHT = re.compile(f"(?<=[{SPACELESS}]) | (?=[{SPACELESS}])")
_CACHED = 1 << 17  # entries whose row is cached
_UINT32 = 0xFFFFFFFF

Hash = TypeVar("Hash", int, np.ndarray)


def lower(text: str) -> str:
    """Lower-case a text character by character, as the C and JavaScript runtimes do.

    Unlike `str.lower`, a Σ at the end of a word becomes σ, and İ becomes i. Lone surrogates become question marks.
    """
    if text.isascii():
        return text.lower()
    return text.encode("utf-8", "replace").decode().replace("İ", "i").replace("Σ", "σ").lower()


def kind(character: str) -> str:
    """Return the kind of a character: space, `m` mark, `a` word by itself, `w` part of a word, or `s` symbol.

    Marks are joiners, and vowel signs and accents that combine with the letter before them.
    """
    if character.isspace():
        return " "
    if unicodedata.category(character)[0] == "M" or character in JOINERS:
        return "m"
    if _SPACELESS.match(character):
        return "a"
    return "w" if character.isalnum() or character == "_" else "s"


class _Kinds(dict[int, str]):
    """Kinds by code point, computed on first use."""

    def __missing__(self, point: int) -> str:
        found = self[point] = kind(chr(point))
        return found


_kinds = _Kinds()


def words(text: str) -> list[str]:
    """Lower-case a text and split it into words.

    A word is a sequence of letters, digits and underscores with their marks; in scripts without spaces, one character
    with its marks (as BERT splits Chinese); or one symbol. Marks that follow no letter, such as those that colour or
    join emoji, are dropped, as spaces are.
    """
    lowered = lower(text)
    return _ASCII.findall(lowered) if lowered.isascii() else _cut(lowered, _WORD)


def pieces(text: str) -> list[str]:
    """Split a text at spaces, and around each character of scripts without spaces."""
    return text.split() if text.isascii() else _cut(text, _PIECE)


def join(pieces: Iterable[str]) -> str:
    """Join the pieces of a text, with spaces where its scripts have them."""
    return _TIGHT.sub("", " ".join(pieces))


def _cut(text: str, pattern: re.Pattern[str]) -> list[str]:
    """Return the substrings of a text whose kinds match a pattern."""
    return [text[slice(*match.span())] for match in pattern.finditer(text.translate(_kinds))]


def ngrams(words: list[str], max_ngram: int) -> list[str]:
    """Return all n-grams of 2 to `max_ngram` words, joined by spaces, which no word contains."""
    return [" ".join(words[i : i + n]) for n in range(2, max_ngram + 1) for i in range(len(words) - n + 1)]


def checksum(entry: str) -> int:
    """Return the CRC-32 of a word or n-gram."""
    return zlib.crc32(entry.encode())


def mix32(checksum: Hash, salt: Any) -> Hash:
    """Hash 32-bit checksums with a salt, by a finalizer like that of MurmurHash3 (Appleby 2011).

    Args:
        checksum: an int, or a uint64 array.
        salt: an int from 0 to 255, or a uint64 array that broadcasts with `checksum`.
    """
    mixed = ((checksum ^ ((salt + 1) * 0x9E3779B1 & _UINT32)) * 0x85EBCA6B) & _UINT32
    mixed = ((mixed ^ (mixed >> 13)) * 0xC2B2AE35) & _UINT32
    return mixed ^ (mixed >> 16)


def bucket(checksum: Hash, buckets: int) -> Hash:
    """Return the bucket of a checksum; `buckets` is a power of two."""
    return (checksum * 0x9E3779B1 & _UINT32) * buckets >> 32


def fingerprint(checksum: int, salts: Sequence[int], bits: int) -> int:
    """Return the bucket of a checksum, followed by the high bits of the mixed checksum, `bits` bits in all."""
    bucket_number = bucket(checksum, len(salts))
    width = bits - (len(salts).bit_length() - 1)
    return bucket_number << width | mix32(checksum, salts[bucket_number]) >> (32 - width)


@dataclass(frozen=True)
class Encoded:
    """Texts as row ids: for each text those of its words or their pieces, then those of its n-grams in the vocabulary.

    Attributes:
        ids: unsigned integers, all texts concatenated; every text has at least one id.
        starts: int64 of shape (texts + 1,); text i is `ids[starts[i]:starts[i + 1]]`.
    """

    ids: np.ndarray
    starts: np.ndarray

    def __len__(self) -> int:
        return len(self.starts) - 1

    @property
    def lengths(self) -> np.ndarray:
        """Ids per text, int64 of shape (texts,)."""
        return np.diff(self.starts)


def _find(ascending: Sequence[Any], value: Any) -> int | None:
    position = bisect_left(ascending, value)
    return position if position < len(ascending) and ascending[position] == value else None


@dataclass(frozen=True)
class Words:
    """The entries of a vocabulary (words, and n-grams or pieces) as strings.

    Attributes:
        strings: sorted and distinct.
    """

    strings: Sequence[str]

    def __len__(self) -> int:
        return len(self.strings)

    def find(self, entry: str) -> int | None:
        """Return the position of an entry, or None."""
        return _find(self.strings, entry)


@dataclass(frozen=True)
class Fingerprints:
    """The entries of a vocabulary (words, and n-grams or pieces) as fingerprints.

    Attributes:
        values: sorted and distinct.
        salts: one per bucket, each from 0 to 255; the number of buckets is a power of two.
        bits: bits of a fingerprint, at most 32.
    """

    values: Sequence[int]
    salts: Sequence[int]
    bits: int

    def __len__(self) -> int:
        return len(self.values)

    def find(self, entry: str) -> int | None:
        """Return the position of the fingerprint of an entry, or None."""
        return _find(self.values, fingerprint(checksum(entry), self.salts, self.bits))


def _split(word: str, row: Callable[[str], int]) -> tuple[int, ...]:
    """Return the rows of the pieces of a word: greedily, the longest entry that continues it (Song et al. 2021).

    `UNKNOWN` alone if a part of the word is no entry, or if the word is longer than `MAX_SPLIT`.
    """
    rows: list[int] = []
    start, mark = 0, ""
    while start < len(word) <= MAX_SPLIT:
        for end in range(min(len(word), start + MAX_PIECE), start, -1):
            if (found := row(mark + word[start:end])) != UNKNOWN:
                rows.append(found)
                start, mark = end, CONTINUATION
                break
        else:
            return (UNKNOWN,)
    return tuple(rows) or (UNKNOWN,)


@dataclass(frozen=True)
class Vocabulary:
    """The words, n-grams and pieces of words of a student, and their rows in the embedding table.

    Attributes:
        entries: the words and n-grams; with `subwords`, words and pieces.
        rows: the row of each entry, from 1 on; None if entry i has row 1 + i.
        max_ngram: words of the longest n-grams; 1 for single words only.
        max_length: words per text; the rest of a text is truncated.
        subwords: whether to split words that are not among the entries into pieces. A text then has up to `MAX_SPLIT`
            ids per word. It excludes n-grams.
        row: return the row of an entry; `UNKNOWN` if there is no such entry.
        word_rows: return the rows of a word, one or more: its own, else those of its pieces, else `UNKNOWN`.

    Raises:
        ValueError: `subwords` with n-grams.
    """

    entries: Words | Fingerprints
    rows: Sequence[int] | None
    max_ngram: int
    max_length: int
    subwords: bool = False

    row: Callable[[str], int] = field(init=False, repr=False, compare=False)
    word_rows: Callable[[str], tuple[int, ...]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.subwords and self.max_ngram > 1:
            raise ValueError("a vocabulary has subwords or n-grams, not both")
        find, rows, subwords = self.entries.find, self.rows, self.subwords

        def row(entry: str) -> int:
            position = find(entry)
            return UNKNOWN if position is None else 1 + position if rows is None else rows[position]

        @lru_cache(_CACHED)
        def word_rows(word: str) -> tuple[int, ...]:
            whole = row(word)
            return (whole,) if whole != UNKNOWN or not subwords else _split(word, row)

        object.__setattr__(self, "row", lru_cache(_CACHED)(row))
        object.__setattr__(self, "word_rows", word_rows)

    def __repr__(self) -> str:
        entries = f"{len(self.entries):,} {'words' if isinstance(self.entries, Words) else 'fingerprints'}"
        limit = "subwords" if self.subwords else f"max_ngram={self.max_ngram}"
        return f"Vocabulary({entries}, {limit}, max_length={self.max_length})"

    @property
    def size(self) -> int:
        """Rows of the embedding table, including that of the unknown word."""
        return 1 + (len(self.entries) if self.rows is None else max(self.rows, default=0))

    def encode(self, texts: Iterable[str]) -> Encoded:
        """Encode texts as row ids."""
        row, word_rows = self.row, self.word_rows
        # A bytearray of the narrowest type, since a transfer set may hold ten million texts.
        ids, dtype = bytearray(), np.min_scalar_type(self.size)
        starts = array("q", [0])
        for text in texts:
            tokens = words(text)[: self.max_length]
            rows = list(chain.from_iterable(map(word_rows, tokens))) or [UNKNOWN]
            if self.max_ngram > 1:
                rows.extend(id_ for id_ in map(row, ngrams(tokens, self.max_ngram)) if id_ != UNKNOWN)
            ids += array(dtype.char, rows).tobytes()
            starts.append(starts[-1] + len(rows))
        return Encoded(np.frombuffer(ids, dtype), np.frombuffer(starts, np.int64))
