"""Read the lines of a text file, a pipe or standard input in blocks, compressed or not."""

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

from potstill.core.errors import PotstillError
from potstill.readers.formats import STANDARD, parse, pyarrow

BLOCK = 1 << 20  # bytes read at a time
LONGEST = 1 << 24  # bytes of the longest line, characters of the longest field

GZIP, ZSTANDARD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
SKIPPABLE = re.compile(rb"[P-_]\x2a\x4d\x18")  # a Zstandard frame without content, with which pzstd begins
POINTER = b"version https://git-lfs.github.com/spec/v1"
IS_POINTER = "it is a Git LFS pointer, not the file itself. Fetch it with `git lfs pull`"
# The first bytes, once unpacked, of files that are not text, and the error for each.
FOREIGN = {
    rb"PK\x03\x04": "it is a ZIP archive, as spreadsheets are. Save it as CSV, or unpack it",
    rb"\x1f\x8b|\x28\xb5\x2f\xfd": "it is compressed twice. Unpack it once",
    rb"BZh[1-9]1AY&SY": "it is compressed by bzip2. Unpack it, or compress it by gzip or zstd",
    rb"\xfd7zXZ\0": "it is compressed by xz. Unpack it, or compress it by gzip or zstd",
    rb"\x04\x22\x4d\x18": "it is compressed by lz4. Unpack it, or compress it by gzip or zstd",
    rb"7z\xbc\xaf\x27\x1c": "it is a 7z archive. Unpack it",
    re.escape(POINTER): IS_POINTER,
}
CONTROL = set(range(32)) - set(b"\t\n\v\f\r\x1a\x1b")  # bytes that do not occur in texts
# UTF-32 first: its little-endian mark begins with that of UTF-16.
BYTE_ORDER_MARKS = {b"\xff\xfe\0\0": "utf-32", b"\0\0\xfe\xff": "utf-32", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}


class Block(NamedTuple):
    """Complete lines of a file.

    Attributes:
        text: the lines. Bytes that are not UTF-8 are surrogates, as from the error handler `surrogateescape`.
        line: the number of the first line, from 1.
        foreign: the end of the message about bytes that are not UTF-8; None if there are none.
    """

    text: str
    line: int
    foreign: str | None


def display_name(path: str) -> str:
    """Return the name of a file in messages."""
    return "standard input" if path == STANDARD else path


@contextmanager
def binary(path: str) -> Iterator[IO[bytes]]:
    """Open a file, a pipe, or `-` for standard input.

    Raises:
        PotstillError: it is missing or a folder, or standard input is closed.
    """
    if path == STANDARD:
        if sys.stdin is None:
            raise PotstillError("standard input: it is closed. Name a file.")
        yield sys.stdin.buffer
        return
    if os.path.isdir(path):
        raise PotstillError(f"{path}: it is a folder. Name a file in it.")
    if not os.path.exists(path):
        raise PotstillError(f"{path}: no such file. Name a file that exists.")
    with open(path, "rb") as stream:
        yield stream


def read_blocks(path: str) -> Iterator[Block]:
    """Read the lines of a file; unpack it if its content is compressed, whatever its name.

    A line ends with a line feed; or with a carriage return, if the first block has no line feed. Memory is bounded by
    `BLOCK` and one line of at most `LONGEST` bytes.

    Raises:
        PotstillError: the file is missing, damaged, not text, in UTF-16 or UTF-32, or has a line that is too long.
    """
    name = display_name(path)
    line, rest, first, old_mac, foreign = 1, b"", True, False, None
    with _unpacked(path) as (stream, unpack):
        while True:
            try:
                chunk = stream.read(BLOCK)
            except (EOFError, OSError, zlib.error) as error:
                if getattr(error, "errno", None) is not None:  # not of the data
                    raise
                kind = unpack.partition(" ")[0]
                raise PotstillError(
                    f"{name}: its {kind} data are damaged ({error}). Download or create the file again."
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
                    f"{name}: line {line} is longer than {LONGEST >> 20} MB. Check that the file has line breaks."
                )
            if data:
                try:
                    yield Block(data.decode(), line, None)
                except UnicodeDecodeError as error:
                    near = data[max(0, error.start - 2000) : error.start + 2000]
                    foreign = foreign or _describe_foreign(near, b"\0" in data, path, unpack)
                    yield Block(data.decode(errors="surrogateescape"), line, foreign)
                line += data.count(b"\n")
            if not chunk:
                return


@contextmanager
def _unpacked(path: str) -> Iterator[tuple[IO[bytes], str]]:
    """Open a file; give its unpacked content, and the command that unpacks it, empty if it is not compressed."""
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
    """Return the command that converts a file to UTF-8."""
    old, convert = "OLD" if path == STANDARD else path, f"iconv -f {encoding} -t utf-8"
    return f"`{unpack} {old} | {convert} > NEW`" if unpack else f"`{convert} {old} > NEW`"


def _refuse_foreign(data: bytes, path: str, unpack: str) -> None:
    """Raise an error if the first bytes are those of a file that is not UTF-8 text."""
    for begin, fault in FOREIGN.items():
        if re.match(begin, data):
            raise PotstillError(f"{display_name(path)}: {fault}.")
    if data.startswith(b"PAR1"):
        name = parse(path)
        advice = "Rename it to .parquet" if name and name.format != "parquet" else "Set --input-format parquet"
        raise PotstillError(f"{display_name(path)}: it is a Parquet file. {advice}.")
    encoding = next((name for mark, name in BYTE_ORDER_MARKS.items() if data.startswith(mark)), None)
    if encoding := encoding or _without_mark(data[:4096]):
        raise PotstillError(
            f"{display_name(path)}: it is in {encoding[:6].upper()}, not in UTF-8. Convert it with "
            f"{_convert(encoding, path, unpack)}."
        )


def _without_mark(data: bytes) -> str | None:
    """Detect UTF-32 or UTF-16 without a byte order mark by the places of its zero bytes; None if it is neither."""
    for encoding, width, zeros in (
        ("utf-32le", 4, (1, 2, 3)), ("utf-32be", 4, (0, 1, 2)), ("utf-16le", 2, (1,)), ("utf-16be", 2, (0,)),
    ):  # fmt: skip
        units = len(data) // width
        lanes = [data[i : units * width : width].count(0) / units if units > 1 else 0 for i in range(width)]
        if all(lanes[i] > 0.7 for i in zeros) and all(lanes[i] < 0.1 for i in set(range(width)) - set(zeros)):
            return encoding
    return next((encoding for encoding in ("utf-16le", "utf-16be") if _is_text(data, encoding)), None)


def _is_text(data: bytes, encoding: str) -> bool:
    """Return whether bytes decode to lines of printable characters, such as a non-Latin script, with few zero bytes."""
    text, plain = _decode_start(data, encoding), _decode_start(data, "utf-8")
    if text is None or (plain is not None and not set(data) & (CONTROL - {0})):  # UTF-8 with zeros
        return False
    known = all(c.isprintable() or c.isspace() or unicodedata.category(c) == "Cf" for c in text)
    return known and ("\n" in text or (len(text) > 100 and _control_share(data) > 0.2))


def _decode_start(data: bytes, encoding: str) -> str | None:
    """Decode bytes, the last of which may be an incomplete character; None if they are not of the encoding."""
    try:
        return codecs.getincrementaldecoder(encoding)().decode(data)
    except UnicodeDecodeError:
        return None


def _control_share(data: bytes) -> float:
    """Return the share of bytes that do not occur in texts."""
    return sum(byte in CONTROL for byte in data) / len(data)


def _describe_foreign(data: bytes, zeros: bool, path: str, unpack: str) -> str:
    """Return the end of the message that a byte is not UTF-8; name an encoding only if little else is likely."""
    high = [byte >= 0x80 for byte in data]
    alone = sum(high) - sum(a and b for a, b in pairwise(high))
    mixed = any(char > "\x7f" and not "\udc80" <= char <= "\udcff" for char in data.decode(errors="surrogateescape"))
    undefined = set(data) & {0x81, 0x8D, 0x8F, 0x90, 0x9D}
    if mixed and _control_share(data) < 0.02:
        return ", though other characters of the file are"
    if zeros or _control_share(data):
        return ". Convert the file from its encoding, which may be UTF-16, with `iconv`."
    if undefined or alone < 0.7 * sum(high):
        return ". Convert the file from its encoding with `iconv`."
    if any(0x80 <= byte < 0xA0 for byte in data):
        return f", but looks like Windows-1252. Convert the file with {_convert('cp1252', path, unpack)}."
    return f", but looks like Latin-1. Convert the file with {_convert('latin1', path, unpack)}."
