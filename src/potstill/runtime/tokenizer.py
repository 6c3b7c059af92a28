"""From text to rows of the table: the same for training and for what ships.

A student knows its words by their strings, or, where every byte counts, by short fingerprints. Then a word is its
CRC-32 (of its UTF-8 bytes); the CRC chooses a bucket, and the bucket's salt stirs it anew before it is cut to a few
bits. Another word with the same fingerprint is taken for it: with k bits more than the rows need, that befalls about
one in 2^k of the words without a row. The student is trained on rows as they are, such words included, and the salts
are chosen so that it does little harm (`student.vocabulary`).
"""

import re
import unicodedata
import zlib
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, TypeVar

import numpy as np

UNKNOWN = 0  # the row of every word that has none of its own
# Scripts without spaces between words: Thai and Lao; Myanmar; Khmer; Han, kana and bopomofo. Signs that may be emoji
# lie between these ranges.
SPACELESS = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3041-\u312f\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff"
    "\ua9e0-\ua9ff\uaa60-\uaa7f\uf900-\ufaff\uff66-\uff9f\U0001aff0-\U0001b16f\U00020000-\U0003fffd"
)
JOINERS = "\u200c\u200d"  # of letters in Persian or Sinhala, and of emoji
_SPACELESS = re.compile(f"[{SPACELESS}]")
_ASCII = re.compile(r"\w+|[^\w\s]")
_WORD = re.compile("w[wm]*|am*|s")  # by the kinds of its characters; what is left over is no word
_PIECE = re.compile("am*|[^ a]+")
_TIGHT = re.compile(f"(?<=[{SPACELESS}]) | (?=[{SPACELESS}])")
_REMEMBERED = 1 << 17  # words whose row is not looked up anew
_LOW = 0xFFFFFFFF

Hash = TypeVar("Hash", int, np.ndarray)


def lower(text: str) -> str:
    """Lower-case a text, character by character, as every other runtime of a student does.

    That differs from `str.lower` in two: a Σ at the end of a word is an σ, and İ is an i. What is no valid Unicode
    (half of a surrogate pair) becomes a question mark.
    """
    if text.isascii():
        return text.lower()
    return text.encode("utf-8", "replace").decode().replace("İ", "i").replace("Σ", "σ").lower()


def kind(character: str) -> str:
    """What a character is: a space, `m` mark, `a` letter that stands alone, `w` part of a word, or `s` sign.

    Marks are vowel signs, accents and the like that combine with the letter before, and joiners.
    """
    if character.isspace():
        return " "
    if unicodedata.category(character)[0] == "M" or character in JOINERS:
        return "m"
    if _SPACELESS.match(character):
        return "a"
    return "w" if character.isalnum() or character == "_" else "s"


class _Kinds(dict[int, str]):
    """Kinds by code point, filled in as they are met."""

    def __missing__(self, point: int) -> str:
        found = self[point] = kind(chr(point))
        return found


_kinds = _Kinds()


def words(text: str) -> list[str]:
    """Lower-case a text and split it into words.

    A word is a run of letters, numbers and underscores with their marks; in a script without spaces between words, each
    character with its marks (as BERT does it for Chinese); and any single sign. A mark that follows no letter, as that
    which asks for a coloured heart, or joins two emoji, is left out as spaces are.
    """
    lowered = lower(text)
    if lowered.isascii():
        return _ASCII.findall(lowered)
    return _cut(lowered, _WORD)


def pieces(text: str) -> list[str]:
    """Split a text where there are spaces, or could be: around the letters of scripts without."""
    return text.split() if text.isascii() else _cut(text, _PIECE)


def join(pieces: Iterable[str]) -> str:
    """Make a text of pieces, with spaces where its scripts have them."""
    return _TIGHT.sub("", " ".join(pieces))


def _cut(text: str, pattern: re.Pattern[str]) -> list[str]:
    """The parts of a text whose kinds of characters match a pattern."""
    return [text[slice(*found.span())] for found in pattern.finditer(text.translate(_kinds))]


def runs(words: list[str], longest: int) -> list[str]:
    """All runs of 2 to `longest` words, joined by a space; no word holds one."""
    return [" ".join(words[i : i + n]) for n in range(2, longest + 1) for i in range(len(words) - n + 1)]


def checksum(entry: str) -> int:
    """The CRC-32 of a word, or of a run of words."""
    return zlib.crc32(entry.encode())


def stir(checksum: Hash, salt: Any) -> Hash:
    """Make other 32 bits out of checksums and a salt, the way MurmurHash3 ends (Appleby 2011).

    Args:
        checksum: an int, or a uint64 array.
        salt: an int from 0 to 255, or a uint64 array that goes with `checksum`.
    """
    mixed = ((checksum ^ ((salt + 1) * 0x9E3779B1 & _LOW)) * 0x85EBCA6B) & _LOW
    mixed = ((mixed ^ (mixed >> 13)) * 0xC2B2AE35) & _LOW
    return mixed ^ (mixed >> 16)


def bucket(checksum: Hash, buckets: int) -> Hash:
    """Which of a power of two of buckets a checksum falls into."""
    return (checksum * 0x9E3779B1 & _LOW) * buckets >> 32


def fingerprint(checksum: int, salts: Sequence[int], bits: int) -> int:
    """The bucket of a checksum, and behind it as much of the stirred checksum as makes up `bits` bits."""
    chosen = bucket(checksum, len(salts))
    width = bits - (len(salts).bit_length() - 1)
    return chosen << width | stir(checksum, salts[chosen]) >> (32 - width)


@dataclass(frozen=True)
class Encoded:
    """Texts as rows of words and, after the words of each text, of those runs of words that have a row.

    Attributes:
        ids: whole numbers, all texts one after the other; every text has at least one.
        starts: int64 of shape (texts + 1,); text i is `ids[starts[i]:starts[i + 1]]`.
    """

    ids: np.ndarray
    starts: np.ndarray

    def __len__(self) -> int:
        return len(self.starts) - 1

    @property
    def lengths(self) -> np.ndarray:
        """Words per text."""
        return np.diff(self.starts)


def _place(ascending: Sequence[Any], sought: Any) -> int | None:
    place = bisect_left(ascending, sought)
    return place if place < len(ascending) and ascending[place] == sought else None


@dataclass(frozen=True)
class Words:
    """Entries, words and runs of words, that are known by their strings.

    Attributes:
        entries: sorted, each once.
    """

    entries: Sequence[str]

    def __len__(self) -> int:
        return len(self.entries)

    def find(self, entry: str) -> int | None:
        """The place of an entry, or None."""
        return _place(self.entries, entry)


@dataclass(frozen=True)
class Fingerprints:
    """Entries that are known by their fingerprints.

    Attributes:
        prints: ascending, each once.
        salts: one for each bucket of entries, a power of two of them, each from 0 to 255.
        bits: of a fingerprint.
    """

    prints: Sequence[int]
    salts: Sequence[int]
    bits: int

    def __len__(self) -> int:
        return len(self.prints)

    def find(self, entry: str) -> int | None:
        """The place of an entry's fingerprint, or None."""
        return _place(self.prints, fingerprint(checksum(entry), self.salts, self.bits))


@dataclass(frozen=True)
class Lookup:
    """The rows of words, and of the runs of words that have a row.

    Attributes:
        known: what has a row.
        rows: the row of each, from 1 on; None if the i-th has row 1 + i.
        longest: words in the longest run that may have a row; 1 for single words only.
        max_length: words per text; the rest is cut off.
        row: gives the row of a word, or of a run of words.
    """

    known: Words | Fingerprints
    rows: Sequence[int] | None
    longest: int
    max_length: int

    row: Callable[[str], int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        find, rows = self.known.find, self.rows

        @lru_cache(_REMEMBERED)
        def row(entry: str) -> int:
            place = find(entry)
            return UNKNOWN if place is None else 1 + place if rows is None else rows[place]

        object.__setattr__(self, "row", row)

    @property
    def size(self) -> int:
        """Rows of the table, that of the unknown word included."""
        return 1 + (len(self.known) if self.rows is None else max(self.rows, default=0))

    def encode(self, texts: Iterable[str]) -> Encoded:
        """Look up the words of texts."""
        return self.encode_words(map(words, texts))

    def encode_words(self, texts: Iterable[list[str]]) -> Encoded:
        """Look up words that are already told apart."""
        row = self.row
        # As bytes, of which ten million texts need no more than they must.
        parts, kind = bytearray(), np.min_scalar_type(self.size)
        starts = array("q", [0])
        for text in texts:
            found = text[: self.max_length]
            ids = [row(word) for word in found] or [UNKNOWN]
            if self.longest > 1:
                ids.extend(id_ for id_ in map(row, runs(found, self.longest)) if id_ != UNKNOWN)
            parts += array(kind.char, ids).tobytes()
            starts.append(starts[-1] + len(ids))
        return Encoded(np.frombuffer(parts, kind), np.frombuffer(starts, np.int64))
