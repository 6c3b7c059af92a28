"""The lines of a file of text: from disk, a pipe or standard input, compressed or not, some thousands at a time."""

import codecs
import gzip
import io
import os
import re
import sys
import unicodedata
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from typing import IO, Any, NamedTuple

from potstill.bulk.formats import STANDARD, parse, pyarrow
from potstill.errors import PotstillError

BLOCK = 1 << 20  # bytes read at a time
LONGEST = 1 << 24  # bytes of a line, characters of a field

GZIP, ZSTANDARD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
SKIPPABLE = re.compile(rb"[P-_]\x2a\x4d\x18")  # a frame of Zstandard without content, with which pzstd begins
POINTER = b"version https://git-lfs.github.com/spec/v1"
POINTS = "is a pointer of Git LFS, not the file itself. Fetch it with `git lfs pull`"
# How files begin, once unpacked, that are no text, and what to do with them.
FOREIGN = {
    rb"PK\x03\x04": "is a ZIP archive, as spreadsheets are. Save it as CSV, or unpack it",
    rb"\x1f\x8b|\x28\xb5\x2f\xfd": "is compressed twice. Unpack it once",
    rb"BZh[1-9]1AY&SY": "is compressed by bzip2. Unpack it, or compress it by gzip or zstd",
    rb"\xfd7zXZ\0": "is compressed by xz. Unpack it, or compress it by gzip or zstd",
    rb"\x04\x22\x4d\x18": "is compressed by lz4. Unpack it, or compress it by gzip or zstd",
    rb"7z\xbc\xaf\x27\x1c": "is a 7z archive. Unpack it",
    re.escape(POINTER): POINTS,
}
CONTROL = set(range(32)) - set(b"\t\n\v\f\r\x1a\x1b")  # characters that a text has none of
# UTF-32 first: in little-endian order it begins as UTF-16 does.
BYTE_ORDER_MARKS = {
    b"\xff\xfe\0\0": "utf-32",
    b"\0\0\xfe\xff": "utf-32",
    b"\xff\xfe": "utf-16",
    b"\xfe\xff": "utf-16",
}


class Block(NamedTuple):
    """Some whole lines of a file.

    Attributes:
        text: the lines. What is not UTF-8 has become surrogates, as by Python's `surrogateescape`.
        line: the number of the first, from 1.
        foreign: what to say of bytes that are not UTF-8; None if there are none.
    """

    text: str
    line: int
    foreign: str | None


def display_name(path: str) -> str:
    """What messages call a file."""
    return "standard input" if path == STANDARD else path


@contextmanager
def binary(path: str) -> Iterator[IO[bytes]]:
    """Open a file, a pipe, or `-` for standard input.

    Raises:
        PotstillError: it is missing, or a folder.
    """
    if path == STANDARD:
        if sys.stdin is None:
            raise PotstillError("standard input is closed: name a file")
        yield sys.stdin.buffer
        return
    if os.path.isdir(path):
        raise PotstillError(f"{path} is a folder: name a file in it")
    if not os.path.exists(path):
        raise PotstillError(f"{path} is missing: name a file that exists")
    with open(path, "rb") as stream:
        yield stream


def blocks(path: str) -> Iterator[Block]:
    """Read the lines of a file; what is compressed, by whatever name, is unpacked.

    A line ends with a line feed; or with a carriage return, where there is no line feed in the first block. Memory is
    bounded: by `BLOCK` and one line, which may have `LONGEST` bytes.

    Raises:
        PotstillError: the file is missing, damaged or no text, in UTF-16 or UTF-32, or a line is too long.
    """
    name = display_name(path)
    line, rest, first, old_mac, advice = 1, b"", True, False, None
    with _unpacked(path) as (stream, unpack):
        while True:
            try:
                chunk = stream.read(BLOCK)
            except (EOFError, gzip.BadGzipFile, zlib.error) as error:
                raise PotstillError(
                    f"{name}: its gzip data are damaged ({error}). Fetch or make the file again"
                ) from None
            except OSError as error:
                if error.errno is not None:
                    raise
                raise PotstillError(
                    f"{name}: its zstd data are damaged ({error}). Fetch or make the file again"
                ) from None
            data = rest + chunk
            if first and data:
                _refuse_foreign(data, path, unpack)
                old_mac = b"\r" in data and b"\n" not in data
                data, first = data.removeprefix(b"\xef\xbb\xbf"), False
            if old_mac:
                data = data.replace(b"\r", b"\n")
            end = data.rfind(b"\n") + 1 if chunk else len(data)
            data, rest = data[:end], data[end:]
            if len(rest) > LONGEST:
                line += data.count(b"\n")
                raise PotstillError(
                    f"{name}: line {line} is longer than {LONGEST >> 20} MB. Check that it is a file of lines"
                )
            if data:
                try:
                    yield Block(data.decode(), line, None)
                except UnicodeDecodeError as error:
                    near = data[max(0, error.start - 2000) : error.start + 2000]
                    advice = advice or _advice(near, b"\0" in data, path, unpack)
                    yield Block(data.decode(errors="surrogateescape"), line, advice)
                line += data.count(b"\n")
            if not chunk:
                return


@contextmanager
def _unpacked(path: str) -> Iterator[tuple[IO[bytes], str]]:
    """What a file holds, and the command that unpacks it, if it is compressed."""
    with ExitStack() as stack:
        stream = stack.enter_context(binary(path))
        raw: Any = stream if hasattr(stream, "peek") else io.BufferedReader(stream)
        begin, unpack = raw.peek(4)[:4], ""
        if begin[:2] == GZIP:
            raw, unpack = stack.enter_context(gzip.GzipFile(fileobj=raw)), "gzip -dc"
        elif begin == ZSTANDARD or SKIPPABLE.match(begin):
            raw = stack.enter_context(pyarrow("Zstandard files").input_stream(raw, compression="zstd"))
            unpack = "zstd -dc"
        yield raw, unpack


def _convert(encoding: str, path: str, unpack: str) -> str:
    old = "OLD" if path == STANDARD else path
    if unpack:
        return f"`{unpack} {old} | iconv -f {encoding} -t utf-8 > NEW`"
    return f"`iconv -f {encoding} -t utf-8 {old} > NEW`"


def _refuse_foreign(data: bytes, path: str, unpack: str) -> None:
    """Refuse what begins as another kind of file does."""
    for begin, what in FOREIGN.items():
        if re.match(begin, data):
            raise PotstillError(f"{display_name(path)} {what}")
    if data.startswith(b"PAR1"):
        name = parse(path)
        mend = "--input-format parquet" if not name or name.format == "parquet" else "it the ending .parquet"
        raise PotstillError(f"{display_name(path)} is a Parquet file. Give {mend}")
    encoding = next((name for mark, name in BYTE_ORDER_MARKS.items() if data.startswith(mark)), None)
    encoding = encoding or _without_mark(data[:4096])
    if encoding:
        raise PotstillError(
            f"{display_name(path)} is in {encoding[:6].upper()}, not in UTF-8. Convert it with "
            f"{_convert(encoding, path, unpack)}"
        )


def _without_mark(data: bytes) -> str | None:
    """UTF-32 or UTF-16 without a byte order mark, by where its zeros are; None if it is neither."""
    for encoding, width, zeros in (
        ("utf-32le", 4, (1, 2, 3)), ("utf-32be", 4, (0, 1, 2)), ("utf-16le", 2, (1,)), ("utf-16be", 2, (0,)),
    ):  # fmt: skip
        units = len(data) // width
        lanes = [data[i : units * width : width].count(0) / units if units > 1 else 0 for i in range(width)]
        if all(lanes[i] > 0.7 for i in zeros) and all(lanes[i] < 0.1 for i in set(range(width)) - set(zeros)):
            return encoding
    return next((encoding for encoding in ("utf-16le", "utf-16be") if _is_text(data, encoding)), None)


def _is_text(data: bytes, encoding: str) -> bool:
    """Whether bytes decode to lines of known characters, as of a script other than Latin, whose zeros are few."""
    text, plain = _begin(data, encoding), _begin(data, "utf-8")
    if text is None or (plain is not None and not set(data) & (CONTROL - {0})):  # UTF-8 with zeros
        return False
    known = all(c.isprintable() or c.isspace() or unicodedata.category(c) == "Cf" for c in text)
    return known and ("\n" in text or (len(text) > 100 and _control(data) > 0.2))


def _begin(data: bytes, encoding: str) -> str | None:
    """Bytes decoded, the last of which may be part of a character; None if they are not of the encoding."""
    try:
        return codecs.getincrementaldecoder(encoding)().decode(data)
    except UnicodeDecodeError:
        return None


def _control(data: bytes) -> float:
    """The share of bytes that no text has."""
    return sum(byte in CONTROL for byte in data) / len(data)


def _advice(data: bytes, zeros: bool, path: str, unpack: str) -> str:
    """What follows the complaint that a byte is not UTF-8; names an encoding only where little else is likely."""
    high = [byte >= 0x80 for byte in data]
    alone = sum(high) - sum(a and b for a, b in pairwise(high))
    mixed = any(char > "\x7f" and not "\udc80" <= char <= "\udcff" for char in data.decode(errors="surrogateescape"))
    undefined = set(data) & {0x81, 0x8D, 0x8F, 0x90, 0x9D}
    if mixed and _control(data) < 0.02:
        return ", though other characters of the file are"
    if zeros or _control(data):
        return ". Convert the file from the encoding that it is in, which may be UTF-16, with `iconv`"
    if undefined or alone < 0.7 * sum(high):
        return ". Convert the file from the encoding that it is in, with `iconv`"
    if any(0x80 <= byte < 0xA0 for byte in data):
        return f", but looks like Windows-1252. Convert the file with {_convert('cp1252', path, unpack)}"
    return f", but looks like Latin-1. Convert the file with {_convert('latin1', path, unpack)}"
