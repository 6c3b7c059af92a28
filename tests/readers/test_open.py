"""Compression, encodings, and files that are not what their names say."""

import bz2
import gzip
import lzma
import os
import threading

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from potstill.readers import open
from tests.tables import CONTENT, refused, texts, write_file, zstd


@pytest.mark.parametrize("ending", CONTENT)
def test_a_byte_order_mark_and_carriage_returns_are_no_part_of_a_text(tmp_path, ending):
    path = write_file(tmp_path / f"a.{ending}", CONTENT[ending].replace("\n", "\r\n"), "utf-8-sig")
    assert texts(path)[1] == ["one", "two, 2", "three"]


@pytest.mark.parametrize("ending", CONTENT)
def test_lines_may_end_with_carriage_returns_and_tables_begin_with_blank_lines(tmp_path, ending):
    content = CONTENT[ending] if ending == "txt" else "\n\n" + CONTENT[ending]
    assert texts(write_file(tmp_path / f"a.{ending}", content.replace("\n", "\r")))[1] == ["one", "two, 2", "three"]


@pytest.mark.parametrize("ending", CONTENT)
@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"])
def test_utf16_and_utf32_are_named(tmp_path, ending, encoding):
    path = write_file(tmp_path / f"a.{ending}", CONTENT[ending], encoding)
    name = encoding.replace("-le", "le").replace("-be", "be")
    refused(path, f"in {encoding[:6].upper()}, not in UTF-8", f"`iconv -f {name} -t utf-8 {path} > NEW`")


@pytest.mark.parametrize(("pack", "unpack"), [(gzip.compress, "gzip -dc"), (zstd, "zstd -dc")])
@pytest.mark.parametrize(("encoding", "name"), [("utf-16", "utf-16"), ("latin1", "latin1")])
def test_what_is_compressed_is_unpacked_before_it_is_converted(tmp_path, pack, unpack, encoding, name):
    path = write_file(tmp_path / "a.csv.gz", pack("text\ncafé au lait\n".encode(encoding)))
    refused(path, f"`{unpack} {path} | iconv -f {name} -t utf-8 > NEW`")


@pytest.mark.parametrize(
    ("ending", "header", "body"),
    [
        ("csv", "schön", "x"),
        ("csv", "schön,label", "x,y"),
        ("tsv", "schön\tlabel", "x\ty"),
        ("jsonl", '{"schön": "x"}', ""),
    ],
)
def test_a_header_that_is_not_utf8_is_an_error(tmp_path, ending, header, body):
    path = write_file(tmp_path / f"a.{ending}", f"{header}\n{body}\n", "latin1")
    where = "line 1" if ending == "jsonl" else "the header"
    says = f"a.{ending}: {where} has a byte that is not UTF-8 (0xf6), but looks like Latin-1. Convert the file with"
    refused(path, says, column="schön")
    write_file(path, f"{header}\n{body}\n".replace("schön", "text\u00f6"), "latin1")
    refused(path, says)
    if ending != "jsonl":
        content = "lösung,text\n1,x\n".replace(",", "\t" if ending == "tsv" else ",")
        assert texts(write_file(path, content, "latin1"))[1] == ["x"]  # the other column is not requested


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (
            "text\ncafé au lait\n".encode("latin1"),
            "0xe9), but looks like Latin-1. Convert the file with `iconv -f la",
        ),
        (
            "text\n“quoted”\n".encode("cp1252"),
            "0x93), but looks like Windows-1252. Convert the file with `iconv -f cp",
        ),
        ("text\nпривет мир\n".encode("cp1251"), "Convert the file from its encoding"),
        ("text\n日本語\n".encode("shift-jis"), "Convert the file from its encoding"),
        ("text\nçafé ".encode() + b"caf\xe9 au lait\n", "though other characters of the file are"),
    ],
)
def test_other_encodings_are_named_where_they_are_likely(tmp_path, content, says):
    assert "iconv -f latin1" not in refused(write_file(tmp_path / "a.csv", content), says) or "Latin-1" in says


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
@pytest.mark.parametrize(
    "line",
    [
        "这部电影很好看，我喜欢。",
        "\u041e\u0447\u0435\u043d\u044c хорошо",
        "πολύ καλό",
        "とても良い　映画",
        "بسیار خوب می\u200cشود",
        "👍👎",
    ],
)
def test_utf16_of_any_script_is_named(tmp_path, encoding, line):
    path = write_file(tmp_path / "a.txt", f"{line}\n" * 300, encoding)
    refused(path, "in UTF-16, not in UTF-8", f"`iconv -f {encoding.replace('-le', 'le').replace('-be', 'be')} -t")
    path = write_file(tmp_path / "b.txt", f"{line * 3000}\n{line}\n", encoding)
    assert "looks like" not in refused(path, "iconv")


@pytest.mark.parametrize("content", ["a\0b\nc\0\n", "\0\n\n\0", "这部\0电影\n", "a\0b\n\0\n"])
def test_zeros_make_no_utf16(tmp_path, content):
    assert texts(write_file(tmp_path / "a.txt", content))[1] == content.removesuffix("\n").split("\n")


def test_a_column_that_is_not_requested_may_be_in_any_encoding(tmp_path):
    assert texts(write_file(tmp_path / "a.csv", b"text,x\none,caf\xe9\n"))[1] == ["one"]


@pytest.mark.parametrize("name", ["a.csv.gz", "a.txt.zst"])
def test_what_is_cut_off_or_damaged_is_one_line(tmp_path, name):
    content = (CONTENT["csv"] * 1000).encode()
    content = gzip.compress(content) if name.endswith(".gz") else zstd(content)
    refused(write_file(tmp_path / name, content[:-9]), "data are damaged")
    if name.endswith(".gz"):  # has a checksum
        refused(write_file(tmp_path / name, content[:20] + b"\xff" * 4 + content[24:]), "data are damaged")


def test_a_frame_without_content_may_begin_a_zstandard_file(tmp_path):
    frame = b"\x5f\x2a\x4d\x18\x04\0\0\0abcd"
    for begin in (frame, b"\x50" + frame[1:] + frame):
        path = write_file(tmp_path / "a.csv.zst", begin + zstd(CONTENT["csv"].encode()) + frame + zstd(b"4,four\n"))
        assert texts(path)[1] == ["one", "two, 2", "three", "four"]


def test_files_of_other_kinds_are_named(tmp_path):
    pq.write_table(pa.table({"text": ["one"]}), tmp_path / "a.csv")
    refused(tmp_path / "a.csv", "is a Parquet file")
    refused(tmp_path / "a.csv", "Rename it to .parquet")
    (tmp_path / "a.csv").rename(tmp_path / "a.parquet")
    refused(tmp_path / "a.parquet", "is a Parquet file. Set --input-format parquet", kind="csv")
    with (tmp_path / "a.parquet").open() as given:
        refused(f"/dev/fd/{given.fileno()}", "is a Parquet file. Set --input-format parquet")
    refused(write_file(tmp_path / "b.csv", b"PK\x03\x04..."), "is a ZIP archive, as spreadsheets are")
    for pack, name in ((bz2.compress, "bzip2"), (lzma.compress, "xz")):
        refused(
            write_file(tmp_path / "c.csv", pack(CONTENT["csv"].encode())), f"c.csv: it is compressed by {name}. Unpack"
        )
    for inner in (gzip.compress, zstd):
        for outer in (gzip.compress, zstd):
            refused(write_file(tmp_path / "d.csv.gz", outer(inner(CONTENT["csv"].encode()))), "is compressed twice")
    refused(tmp_path / "none.csv", "none.csv: no such file")
    (tmp_path / "folder.csv").mkdir()
    refused(tmp_path / "folder.csv", "is a folder")


@pytest.mark.parametrize("ending", ["txt", "csv", "tsv", "jsonl"])
def test_a_line_without_an_end_is_refused_within_bounds(tmp_path, ending, monkeypatch):
    monkeypatch.setattr(open, "LONGEST", 1 << 20)
    path = write_file(tmp_path / f"a.{ending}.gz", gzip.compress(CONTENT[ending].encode() + b"a" * (1 << 23)))
    refused(path, "is longer than 1 MB")


def test_pipes_and_devices_are_read(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for name, content in (("pipe", b"one\ntwo\n"), ("pipe", gzip.compress(b"one\ntwo\n"))):
        writer = threading.Thread(target=(tmp_path / name).write_bytes, args=(content,))
        writer.start()
        assert texts(tmp_path / name)[1] == ["one", "two"]
        writer.join()
    os.mkfifo(tmp_path / "a.parquet")
    pq.write_table(pa.table({"text": ["one"]}), tmp_path / "b.parquet")
    writer = threading.Thread(
        target=(tmp_path / "a.parquet").write_bytes, args=((tmp_path / "b.parquet").read_bytes(),)
    )
    writer.start()
    assert texts(tmp_path / "a.parquet")[1] == ["one"]
    writer.join()
