"""The readers of tables for `prepare`, `predict` and teachers: valid and invalid input in every format."""

import bz2
import contextlib
import csv
import gzip
import io
import json
import lzma
import os
import subprocess
import sys
import threading
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from potstill.bulk.predict import predict
from potstill.core import naming
from potstill.core.errors import PotstillError
from potstill.readers import formats, open, parquet, read, request
from potstill.readers.tables import class_name
from potstill.runtime import file
from potstill.teacher import table as teacher_table
from tests.prepare.test_prepare import Project, project, rows  # noqa: F401
from tests.runtime.test_fast import student

ROWS = [(f"text {i} words", ("bad", "good")[i % 2]) for i in range(40)]


def texts(path, column="text", kind=None, **skipped):
    """Return the numbers and the texts that the reader yields, in one list each."""
    kind = formats.format_of(str(path), kind, "txt")
    batches = list(read.read(str(path), kind, [column], request.BadRows(**skipped)))
    given = [text for batch in batches for text in read_list(batch.texts)]
    return [number for batch in batches for number in batch.numbers], given


def read_list(values):
    return values if isinstance(values, list) else values.to_pylist()


def refused(path, *words, column="text", kind=None):
    with pytest.raises(PotstillError) as caught:
        texts(path, column, kind)
    for word in words:
        assert word in str(caught.value)
    return str(caught.value)


def make(path: Path, content: str | bytes, encoding: str = "utf-8") -> Path:
    path.write_bytes(content.encode(encoding) if isinstance(content, str) else content)
    return path


def zstd(content: bytes) -> bytes:
    return pa.compress(content, codec="zstd", asbytes=True)


CONTENT = {
    "txt": "one\ntwo, 2\nthree\n",
    "csv": 'id,text\n1,one\n2,"two, 2"\n3,three\n',
    "tsv": "id\ttext\n1\tone\n2\ttwo, 2\n3\tthree\n",
    "jsonl": '{"text": "one"}\n{"id": [1], "text": "two, 2"}\n{"text": "three"}\n',
}


class TestContainers:
    @pytest.mark.parametrize("name", ["a.txt", "a.csv", "a.tsv", "a.jsonl", "a.ndjson", "A.CSV", "b.TXT"])
    @pytest.mark.parametrize("packed", ["", ".gz", ".zst", ".GZ"])
    def test_each_format_is_read_compressed_or_not(self, tmp_path, name, packed):
        kind = formats.parse(name).format
        content = CONTENT[kind].encode()
        if packed:
            content = zstd(content) if packed == ".zst" else gzip.compress(content)
        assert texts(make(tmp_path / (name + packed), content))[1] == ["one", "two, 2", "three"]

    @pytest.mark.parametrize("name", ["a.parquet", "a.pq", "A.PARQUET"])
    def test_parquet_by_each_of_its_names(self, tmp_path, name):
        pq.write_table(pa.table({"text": ["one", "two"]}), tmp_path / name)
        assert texts(tmp_path / name) == ([1, 2], ["one", "two"])

    @pytest.mark.parametrize("ending", CONTENT)
    def test_a_byte_order_mark_and_carriage_returns_are_no_part_of_a_text(self, tmp_path, ending):
        path = make(tmp_path / f"a.{ending}", CONTENT[ending].replace("\n", "\r\n"), "utf-8-sig")
        assert texts(path)[1] == ["one", "two, 2", "three"]

    @pytest.mark.parametrize("ending", CONTENT)
    def test_lines_may_end_with_carriage_returns_and_tables_begin_with_blank_lines(self, tmp_path, ending):
        content = CONTENT[ending] if ending == "txt" else "\n\n" + CONTENT[ending]
        assert texts(make(tmp_path / f"a.{ending}", content.replace("\n", "\r")))[1] == ["one", "two, 2", "three"]

    @pytest.mark.parametrize("ending", CONTENT)
    @pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"])
    def test_utf16_and_utf32_are_named(self, tmp_path, ending, encoding):
        path = make(tmp_path / f"a.{ending}", CONTENT[ending], encoding)
        name = encoding.replace("-le", "le").replace("-be", "be")
        refused(path, f"in {encoding[:6].upper()}, not in UTF-8", f"`iconv -f {name} -t utf-8 {path} > NEW`")

    @pytest.mark.parametrize(("pack", "unpack"), [(gzip.compress, "gzip -dc"), (zstd, "zstd -dc")])
    @pytest.mark.parametrize(("encoding", "name"), [("utf-16", "utf-16"), ("latin1", "latin1")])
    def test_what_is_compressed_is_unpacked_before_it_is_converted(self, tmp_path, pack, unpack, encoding, name):
        path = make(tmp_path / "a.csv.gz", pack("text\ncafé au lait\n".encode(encoding)))
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
    def test_a_header_that_is_not_utf8_is_an_error(self, tmp_path, ending, header, body):
        path = make(tmp_path / f"a.{ending}", f"{header}\n{body}\n", "latin1")
        where = "line 1" if ending == "jsonl" else "the header"
        says = f"a.{ending}: {where} has a byte that is not UTF-8 (0xf6), but looks like Latin-1. Convert the file with"
        refused(path, says, column="schön")
        make(path, f"{header}\n{body}\n".replace("schön", "text\u00f6"), "latin1")
        refused(path, says)
        if ending != "jsonl":
            content = "lösung,text\n1,x\n".replace(",", "\t" if ending == "tsv" else ",")
            assert texts(make(path, content, "latin1"))[1] == ["x"]  # nobody asked for the other column

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
    def test_other_encodings_are_named_where_they_are_likely(self, tmp_path, content, says):
        assert "iconv -f latin1" not in refused(make(tmp_path / "a.csv", content), says) or "Latin-1" in says

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
    def test_utf16_of_any_script_is_named(self, tmp_path, encoding, line):
        path = make(tmp_path / "a.txt", f"{line}\n" * 300, encoding)
        refused(path, "in UTF-16, not in UTF-8", f"`iconv -f {encoding.replace('-le', 'le').replace('-be', 'be')} -t")
        path = make(tmp_path / "b.txt", f"{line * 3000}\n{line}\n", encoding)
        assert "looks like" not in refused(path, "iconv")

    @pytest.mark.parametrize("content", ["a\0b\nc\0\n", "\0\n\n\0", "这部\0电影\n", "a\0b\n\0\n"])
    def test_zeros_make_no_utf16(self, tmp_path, content):
        assert texts(make(tmp_path / "a.txt", content))[1] == content.removesuffix("\n").split("\n")

    def test_a_column_that_is_not_requested_may_be_in_any_encoding(self, tmp_path):
        assert texts(make(tmp_path / "a.csv", b"text,x\none,caf\xe9\n"))[1] == ["one"]

    @pytest.mark.parametrize("name", ["a.csv.gz", "a.txt.zst"])
    def test_what_is_cut_off_or_damaged_is_one_line(self, tmp_path, name):
        content = (CONTENT["csv"] * 1000).encode()
        content = gzip.compress(content) if name.endswith(".gz") else zstd(content)
        refused(make(tmp_path / name, content[:-9]), "data are damaged")
        if name.endswith(".gz"):  # has a checksum
            refused(make(tmp_path / name, content[:20] + b"\xff" * 4 + content[24:]), "data are damaged")

    def test_a_frame_without_content_may_begin_a_zstandard_file(self, tmp_path):
        frame = b"\x5f\x2a\x4d\x18\x04\0\0\0abcd"
        for begin in (frame, b"\x50" + frame[1:] + frame):
            path = make(tmp_path / "a.csv.zst", begin + zstd(CONTENT["csv"].encode()) + frame + zstd(b"4,four\n"))
            assert texts(path)[1] == ["one", "two, 2", "three", "four"]

    def test_files_of_other_kinds_are_named(self, tmp_path):
        pq.write_table(pa.table({"text": ["one"]}), tmp_path / "a.csv")
        refused(tmp_path / "a.csv", "is a Parquet file")
        refused(tmp_path / "a.csv", "Rename it to .parquet")
        (tmp_path / "a.csv").rename(tmp_path / "a.parquet")
        refused(tmp_path / "a.parquet", "is a Parquet file. Set --input-format parquet", kind="csv")
        with (tmp_path / "a.parquet").open() as given:
            refused(f"/dev/fd/{given.fileno()}", "is a Parquet file. Set --input-format parquet")
        refused(make(tmp_path / "b.csv", b"PK\x03\x04..."), "is a ZIP archive, as spreadsheets are")
        for pack, name in ((bz2.compress, "bzip2"), (lzma.compress, "xz")):
            refused(
                make(tmp_path / "c.csv", pack(CONTENT["csv"].encode())), f"c.csv: it is compressed by {name}. Unpack"
            )
        for inner in (gzip.compress, zstd):
            for outer in (gzip.compress, zstd):
                refused(make(tmp_path / "d.csv.gz", outer(inner(CONTENT["csv"].encode()))), "is compressed twice")
        refused(tmp_path / "none.csv", "none.csv: no such file")
        (tmp_path / "folder.csv").mkdir()
        refused(tmp_path / "folder.csv", "is a folder")

    @pytest.mark.parametrize("ending", ["txt", "csv", "tsv", "jsonl"])
    def test_a_line_without_an_end_is_refused_within_bounds(self, tmp_path, ending, monkeypatch):
        monkeypatch.setattr(open, "LONGEST", 1 << 20)
        path = make(tmp_path / f"a.{ending}.gz", gzip.compress(CONTENT[ending].encode() + b"a" * (1 << 23)))
        refused(path, "is longer than 1 MB")

    def test_pipes_and_devices_are_read(self, tmp_path):
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


class TestRows:
    def test_a_quote_that_is_not_closed_never_merges_rows(self, tmp_path):
        given = 'text,label\n"Rules of the game,good\nnice film,bad\n"Closer,good\nlast,bad\n'
        refused(make(tmp_path / "a.csv", given), "row 1 (line 2) opens a quote", "line 4")
        refused(make(tmp_path / "b.csv", 'id,text\n0,fine\n1,"great phone\n2,bad\n'), "row 2 (line 3) opens a quote")
        with pytest.raises(PotstillError, match="opens a quote"):  # nobody knows how many rows are bad
            texts(tmp_path / "a.csv", count=0)

    def test_quotes_of_csv_are_those_of_rfc_4180(self, tmp_path, capsys):
        table = [["text", "x"], ["a, b", "1"], ['say "no"', "2"], ["two\nlines", "3"], ["", "4"], ['"', "5"]]
        target = io.StringIO()
        csv.writer(target).writerows(table)
        path = make(tmp_path / "a.csv", target.getvalue() + 'mid "quote",6\n')
        assert texts(path) == ([1, 2, 3, 4, 5, 6], [row[0] for row in table[1:]] + ['mid "quote"'])
        assert (
            "1 row spans several lines because of line breaks within quotes; the first is row 3 (lines 4 to 5)"
            in capsys.readouterr().err
        )

    def test_a_stray_quote_within_a_line_is_a_bad_row(self, tmp_path):
        path = make(tmp_path / "a.csv", 'text,x\none,1\n"two" and more,2\nthree,3\n')
        refused(path, "row 2 is not valid CSV")
        assert texts(path, count=0) == ([1, 3], ["one", "three"])

    def test_a_line_of_tsv_is_a_row_whatever_its_quotes(self, tmp_path):
        given = 'text\tlabel\n"Rules of the game\tgood\n"all ""quoted"""\tbad\n"what" is it\tbad\nsay "a\tbad\n'
        expected = ['"Rules of the game', 'all "quoted"', '"what" is it', 'say "a']
        assert texts(make(tmp_path / "a.tsv", given)) == ([1, 2, 3, 4], expected)
        refused(
            make(tmp_path / "b.tsv", 'text\tlabel\n"two\nlines"\tgood\n'), "row 1 has 1 field", "every line is a row"
        )

    def test_a_quote_that_a_later_line_of_tsv_closes_is_refused(self, tmp_path):
        for given, closed in (
            ('"a\nb"\nc\n', 2), ('"a\n\nb\n"\n', 3), ('"a\nsay ""b"""\n', 2), ('"1"\n"a\nb"\n', 3)
        ):  # fmt: skip
            with pytest.raises(PotstillError, match=rf"opens a quote that row {closed} closes.*as \.csv, \.jsonl"):
                texts(make(tmp_path / "a.tsv", "text\n" + given), count=0)
        for given, closed in (
            ('text\tid\n"a\nb"\t1\n"c"\t2\n', 2),
            ('id\ttext\n1\t"first\nsecond"\n', 2),
            ('id\ttext\tx\n1\t"first\n\nand\nlast"\t2\n', 3),
        ):
            with pytest.raises(PotstillError, match=rf"row 1 opens a quote that row {closed} closes"):
                texts(make(tmp_path / "a.tsv", given), count=0)
        rows_ = ['"Hello" she said\t1', '"Rules\t2', '5" pipe\t3', 'pipe 5"\t4', 'a\t"b', 'say"\t5', '"c\td"\t6']
        expected = [row.rsplit("\t", 1)[0] for row in rows_[:-1]]
        assert texts(make(tmp_path / "b.tsv", "\n".join(["text\tid", *rows_])), count=0)[1] == [*expected, "c\td"]
        given = ['"Rules of the game', 'the "so-called" closer', 'say "a', '5"', "end"]
        assert texts(make(tmp_path / "b.tsv", "\n".join(["text", *given]))) == ([1, 2, 3, 4, 5], given)

    @pytest.mark.parametrize(
        ("name", "content", "says"),
        [
            ("a.jsonl", '[\n{"text": "a"},\n{"text": "b"}\n]\n', "is a JSON array, but .jsonl has one object per line"),
            ("a.jsonl", '[{"text": "a"},\n{"text": "b"}]\n', "`jq -c '.[]' OLD > NEW`"),
            ("a.jsonl", open.POINTER + b"\noid sha256:0\n", "Fetch it with `git lfs pull`"),
            ("a.csv", open.POINTER + b"\noid sha256:0\n", "Fetch it with `git lfs pull`"),
            ("a.parquet", open.POINTER + b"\noid sha256:0\n", "Fetch it with `git lfs pull`"),
            ("a.csv", "sep=,\ntext,x\na,1\n", "The first line is for Excel only: remove it"),
            ("a.csv", "sep=;\ntext;x\na;1\n", "The first line is for Excel only: remove it"),
            ("a.tsv", "sep=\t\ntext\tx\na\t1\n", "The first line is for Excel only: remove it"),
        ],
    )
    def test_a_file_of_another_format_than_its_ending_is_named(self, tmp_path, name, content, says):
        with pytest.raises(PotstillError) as caught:
            texts(make(tmp_path / name, content), count=0)
        assert says in str(caught.value)

    def test_only_a_line_feed_ends_a_row_of_csv(self, tmp_path):
        refused(make(tmp_path / "a.csv", "text\na\rb\nc\n"), "row 1 (line 2) has a carriage return within a field")
        refused(make(tmp_path / "b.csv", "text,x\n0,1\na,b\rc,d\n"), "row 2 (line 3) has a carriage return")
        assert texts(make(tmp_path / "c.csv", 'text\r\r\na\r\r\n"b\rc"\r\n'))[1] == ["a", "b\rc"]
        assert texts(make(tmp_path / "a.txt", "a\rb\nc\n"))[1] == ["a\rb", "c"]

    def test_blank_lines_are_texts_in_txt_and_passed_over_elsewhere(self, tmp_path):
        assert texts(make(tmp_path / "a.txt", "one\n\n two \n")) == ([1, 2, 3], ["one", "", " two "])
        assert texts(make(tmp_path / "a.jsonl", '{"text": "one"}\n\n \n{"text": ""}\n\n')) == ([1, 4], ["one", ""])
        assert texts(make(tmp_path / "a.csv", "text,x\none,1\n\n  \n,2\n\n")) == ([1, 2], ["one", ""])
        assert texts(make(tmp_path / "a.tsv", "text\tx\none\t1\n\n\ttwo\n")) == ([1, 2], ["one", ""])
        for name in ("b.csv", "b.tsv"):
            assert texts(make(tmp_path / name, 'text\none\n\n""\ntwo')) == ([1, 2, 3], ["one", "", "two"])
            refused(make(tmp_path / name, 'text,x\n""\n'.replace(",", "," if name == "b.csv" else "\t")), "has 1 field")

    @pytest.mark.parametrize("ending", ["txt", "csv", "tsv", "jsonl", "parquet"])
    def test_words_for_nothing_numbers_and_nul_are_texts(self, tmp_path, ending):
        given = ["None", "NA", "N/A", "null", "nan", "NaN", "1234", "1.0", "true", "a\0b", "\N{LINE SEPARATOR}", "\x85"]
        path = tmp_path / f"a.{ending}"
        if ending == "parquet":
            pq.write_table(pa.table({"text": given}), path)
        elif ending == "jsonl":
            make(path, "".join(json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in given))
        else:
            make(path, "".join(f"{text}\n" for text in [*["text"][ending == "txt" :], *given]))
        assert texts(path)[1] == given

    @pytest.mark.parametrize(
        ("line", "says"),
        [
            ("null", "line 2 holds null, which is not an object"),
            ('["one"]', 'line 2 holds ["one"], which is not an object'),
            ('{"text": null}', "line 2 has no text"),
            ('{"text": NaN}', "line 2 has no text"),
            ('{"text": 1234}', "line 2 holds 1234, which is not a string. Put texts in quotes"),
            ('{"text": ["a"]}', 'line 2 holds ["a"], which is not a string'),
            (
                '{"Text": "a", "id": 1}',
                "line 2 has no key 'text' (found: 'Text', 'id'). 'Text' differs from it only in case",
            ),
            ('{"text": "go', "line 2 is not valid JSON (Unterminated string starting at, column 10)"),
            ('{"text": "\\ud83d"}', "line 2 has a lone surrogate (\\ud83d)"),
        ],
    )
    def test_bad_lines_of_jsonl_are_numbered(self, tmp_path, line, says):
        path = make(tmp_path / "a.jsonl", f'{{"text": "one"}}\n{line}\n{{"text": "two"}}\n')
        refused(path, says)
        assert texts(path, count=0) == ([1, 3], ["one", "two"])

    def test_keys_that_are_not_requested_may_hold_anything(self, tmp_path):
        given = [10**25, "9" * 5000, 1e999, {"text": "no"}, ["x" * 1000]]
        lines = [f'{{"text": "t", "id": {value if i == 1 else json.dumps(value)}}}' for i, value in enumerate(given)]
        assert texts(make(tmp_path / "a.jsonl", "\n".join(lines)))[1] == ["t"] * 5

    @pytest.mark.parametrize("ending", ["csv", "tsv", "jsonl", "parquet"])
    def test_two_columns_of_one_name_are_refused(self, tmp_path, ending):
        path = tmp_path / f"a.{ending}"
        if ending == "parquet":
            pq.write_table(pa.Table.from_arrays([pa.array(["a"])] * 3, names=["text", "text", "x"]), path)
        elif ending == "jsonl":
            make(path, '{"text": "a", "text": "b"}\n')
        else:
            make(path, "text,text,x\na,b,c\n".replace(",", "\t" if ending == "tsv" else ","))
        refused(path, "'text'", "Rename")

    @pytest.mark.parametrize(
        ("line", "column"),
        [
            ('{"gr\\u00f6\\u00dfe": "a", "gr\\u00f6\\u00dfe": "b"}', "größe"),
            ('{"text": "a", "te\\u0078t": "b"}', "text"),
            ('{"a\\/b": "a", "a/b": "b"}', "a/b"),
            ('{"text": "a", "n": ' + "9" * 5000 + ', "te\\u0078t": "b"}', "text"),
        ],
    )
    def test_a_key_that_is_there_twice_is_found_however_it_is_written(self, tmp_path, line, column):
        refused(make(tmp_path / "a.jsonl", line), f"line 1 has the key {column!r} twice", column=column)

    def test_keys_that_are_not_requested_may_be_repeated(self, tmp_path):
        line = '{"text": "a", "x": 1, "x": {"text": 2, "text": "b"}}'
        assert texts(make(tmp_path / "a.jsonl", line)) == ([1], ["a"])

    @pytest.mark.parametrize(
        ("name", "header", "says"),
        [
            ("a.csv", "text;label", "The columns are separated by semicolons, not by commas"),
            (
                "a.csv",
                "text\tlabel",
                "separated by tabs, not by commas: save the file with commas, or rename it to .tsv",
            ),
            (
                "a.tsv",
                "text,label",
                "separated by commas, not by tabs: save the file with tabs, or rename it to .csv",
            ),
            ("a.csv", '"text";"label"', "The columns are separated by semicolons, not by commas"),
            ("a.csv", "Text,label", "'Text' differs from it only in case"),
            ("a.csv", " text,label", "' text' differs from it only in white space"),
            ("a.csv", "text\u200b,label", "differs from it only in invisible characters"),
            ("a.csv", "body,label", "no column 'text' (found: 'body', 'label'). Name one with --column"),
        ],
    )
    def test_a_missing_column_has_its_cause_named(self, tmp_path, name, header, says):
        refused(make(tmp_path / name, f"{header}\n{header}\n"), says)


class TestParquet:
    @pytest.mark.parametrize(
        "kind",
        [
            pa.large_string(), pa.string_view(), pa.dictionary(pa.int8(), pa.string()),
            pa.dictionary(pa.int32(), pa.large_string()),
        ],
    )  # fmt: skip
    def test_all_kinds_of_strings_are_read(self, tmp_path, kind):
        pq.write_table(pa.table({"text": pa.array(["a", None, "b", "a"]).cast(kind)}), tmp_path / "a.parquet")
        refused(tmp_path / "a.parquet", "row 2 has no text")
        assert texts(tmp_path / "a.parquet", count=0) == ([1, 3, 4], ["a", "b", "a"])

    def test_what_polars_and_pandas_write_is_read(self, tmp_path):
        given = ["a", "b", "a"]
        for kind in (pl.Categorical, pl.Enum(["a", "b"]), pl.String):
            pl.DataFrame({"text": pl.Series(given, dtype=kind)}).write_parquet(tmp_path / "a.parquet")
            assert texts(tmp_path / "a.parquet")[1] == given
        for dtype in ("string", "category", "str", object):
            pd.DataFrame({"text": pd.Series(given, dtype=dtype)}).to_parquet(tmp_path / "b.parquet")
            assert texts(tmp_path / "b.parquet")[1] == given

    @pytest.mark.parametrize("values", [[1, 2], [1.5], [b"a"], [["a"]], [True]])
    def test_a_column_of_something_else_is_refused(self, tmp_path, values):
        pq.write_table(pa.table({"text": values}), tmp_path / "a.parquet")
        refused(tmp_path / "a.parquet", "the column 'text' holds", "not strings")

    @pytest.mark.parametrize(
        "values",
        [
            pa.array([2**31 - 1], pa.date32()), pa.array([2**62], pa.timestamp("us")), pa.array([b"a"]),
            pa.array([2**62], pa.duration("s")), pa.array([0], pa.timestamp("us", "Nowhere/Land")),
            pa.array([{"a": 1}]), pa.array([[2**62]], pa.list_(pa.timestamp("us"))),
        ],
    )  # fmt: skip
    def test_a_label_of_something_else_is_refused(self, tmp_path, values):
        path = str(tmp_path / "a.parquet")
        pq.write_table(pa.table({"text": ["a"], "label": values}), path)
        with pytest.raises(PotstillError) as caught:
            list(read.read(path, "parquet", ["text", "label"], request.BadRows()))
        assert f"the column 'label' holds {pq.read_schema(path).field(1).type}, neither strings nor numb" in str(
            caught.value
        )

    def test_the_index_of_pandas_is_a_column_like_any_other(self, tmp_path):
        frame = pd.DataFrame({"text": ["a", "b", "c", None]}).iloc[1:]
        frame.to_parquet(tmp_path / "a.parquet")
        refused(tmp_path / "a.parquet", "row 3 has no text")
        frame.iloc[:2].set_index("text").to_parquet(tmp_path / "b.parquet")
        assert texts(tmp_path / "b.parquet") == ([1, 2], ["b", "c"])

    @pytest.mark.parametrize("codec", ["none", "zstd"])
    def test_damaged_pages_are_one_line_that_names_the_row_group(self, tmp_path, codec):
        path = tmp_path / "a.parquet"
        given = pa.table({"text": [f"text {i * 7919 % 10007}" for i in range(9000)]})
        pq.write_table(
            given, path, row_group_size=3000, compression=codec, use_dictionary=False, write_page_checksum=True
        )
        chunk = pq.read_metadata(path).row_group(1).column(0)
        at = chunk.data_page_offset + chunk.total_compressed_size // 4
        content = bytearray(path.read_bytes())
        content[at : at + 40] = bytes(40)
        path.write_bytes(content)
        refused(path, "row group 1 is damaged")
        content[-200:-8] = bytes(192)
        refused(make(path, bytes(content)), "is not a valid Parquet file")

    def test_bytes_that_are_not_utf8_are_a_bad_row(self, tmp_path):
        bad = pa.Array.from_buffers(pa.string(), 2, pa.array([b"one", b"\xff\xfe"]).buffers())
        pq.write_table(pa.table({"text": bad}), tmp_path / "a.parquet")
        refused(tmp_path / "a.parquet", "row 2 is not UTF-8")
        assert texts(tmp_path / "a.parquet", count=0) == ([1], ["one"])
        listed = pa.ListArray.from_arrays(pa.array([0, 1, 2], pa.int32()), bad)
        for label in (bad, bad.dictionary_encode(), listed):
            pq.write_table(pa.table({"text": ["a", "b"], "label": label}), tmp_path / "b.parquet")
            wanted = (str(tmp_path / "b.parquet"), "parquet", ["text", "label"])
            with pytest.raises(PotstillError, match="row 2 is not UTF-8 in the column 'label'"):
                list(read.read(*wanted, request.BadRows()))
            [batch] = read.read(*wanted, request.BadRows(count=0))
            assert (read_list(batch.texts), batch.numbers) == (["a"], [1])
            assert batch.others == [[["one"] if label is listed else "one"]]

    def test_memory_that_is_short_is_no_damage(self, tmp_path, monkeypatch):
        def short(*_, **__):
            raise pa.ArrowMemoryError("malloc of size 17179869184 failed")

        pq.write_table(pa.table({"text": ["a"]}), tmp_path / "a.parquet")
        monkeypatch.setattr(pq.ParquetFile, "iter_batches", lambda *_, **__: map(short, [0]))
        refused(tmp_path / "a.parquet", "row group 0 cannot be read: out of memory")
        monkeypatch.setattr(pq, "ParquetFile", short)
        refused(tmp_path / "a.parquet", "a.parquet: out of memory")

    def test_one_long_value_in_many_rows_is_not_expanded_at_once(self, tmp_path, monkeypatch):
        monkeypatch.setattr(parquet, "SIZE", 1 << 20)
        indices = pa.array(np.zeros(1000, np.int32))
        given = pa.DictionaryArray.from_arrays(indices, pa.array(["a " * 50_000]))
        short = pa.array(["a"] * 1000)
        lists = pa.array([[]] + [["a " * 50_000]] * 999)
        for text, label in (
            (given, short),
            (given.cast(pa.string()), short),
            (given.cast(pa.string()).cast(pa.string_view()), short),
            (short, given),
            (short, lists),
        ):
            pq.write_table(pa.table({"my.text": text, "label": label, "my": short}), tmp_path / "a.parquet")
            wanted = (str(tmp_path / "a.parquet"), "parquet", ["my.text", "label"])
            found = [len(batch.texts) for batch in read.read(*wanted, request.BadRows())]
            assert (sum(found), max(found)) == (1000, 10)

    def test_lists_of_words_of_a_dictionary_are_read(self, tmp_path, monkeypatch):
        monkeypatch.setattr(parquet, "SIZE", 1 << 10)
        labels = [[f"a{i % 7}", f"b{i % 5}"] for i in range(100)]
        pq.write_table(pa.table({"text": ["a"] * 100, "label": labels}), tmp_path / "a.parquet")
        found = read.read(str(tmp_path / "a.parquet"), "parquet", ["text", "label"], request.BadRows())
        assert [label for batch in found for label in batch.others[0]] == labels

    def test_a_row_group_that_unpacks_to_far_too_much_is_refused(self, tmp_path, monkeypatch):
        monkeypatch.setattr(parquet, "LARGE", 1 << 20)
        given = pa.table({"text": pa.array(["a" * 10_000] * 1000)})
        pq.write_table(given, tmp_path / "a.parquet", compression="zstd", use_dictionary=False)
        refused(tmp_path / "a.parquet", "row group 0 unpacks", "bytes to 10,0")


class TestPredict:
    @pytest.mark.parametrize("source", ["/dev/fd/{}", "/dev/../dev/fd/{}", "/proc/self/fd/{}"])
    def test_a_file_behind_a_descriptor_takes_the_default_as_pipes_do(self, tmp_path, source):
        made = student("mlp")
        given, target = make(tmp_path / "given", "the\na\n"), tmp_path / "made"
        with given.open() as reads, target.open("w") as writes:
            predict(made, source.format(reads.fileno()), source.format(writes.fileno()))
        assert [len(json.loads(line)) for line in target.read_text().splitlines()] == [2, 2]
        with pytest.raises(PotstillError, match="given: unknown ending"):
            predict(made, str(given), "-")
        with pytest.raises(PotstillError, match="unknown ending"):
            formats.format_of("/dev/shm/given", None, "txt")
        with pytest.raises(PotstillError, match=r"it is a folder\. Name a file in it"):
            predict(made, source.format(0), str(tmp_path))

    def test_names_that_are_none_say_which(self, tmp_path):
        path = make(tmp_path / "a.txt", "the\n")
        for kind in ("csv", None):
            with pytest.raises(PotstillError, match=r"output: empty name\. Name a file, or - for standard output"):
                predict(student("mlp"), str(path), "", target_format=kind)
            with pytest.raises(PotstillError, match=r"input: empty name\. Name a file, or - for standard input"):
                predict(student("mlp"), "", "-", source_format=kind)

    def test_a_file_is_no_folder(self, tmp_path):
        path = make(tmp_path / "a.csv", "text\nthe\n")
        for target in (path / "x.csv", path / "y" / "x.csv"):
            with pytest.raises(
                PotstillError, match=r"x\.csv: .*a\.csv is a file, not a folder\. Name a file in a folder"
            ):
                predict(student("mlp"), str(path), str(target))
        refused(path / "x.csv", "x.csv: no such file")

    def test_answers_line_up_and_rows_keep_their_numbers(self, tmp_path):
        made = student("mlp")
        path = make(tmp_path / "a.jsonl", '{"text": "the"}\n\n{"text": 3}\n{"text": ""}\n')
        done = predict(made, str(path), str(tmp_path / "b.jsonl"), skip_bad=True)
        assert (done.rows, done.skipped) == (2, 1)
        assert [json.loads(line)["row"] for line in (tmp_path / "b.jsonl").read_text().splitlines()] == [1, 4]

    def test_no_compressed_file_is_written(self, tmp_path):
        path = make(tmp_path / "a.txt", "the\n")
        with pytest.raises(PotstillError, match="potstill writes no compressed files"):
            predict(student("mlp"), str(path), str(tmp_path / "b.csv.gz"))

    def test_a_link_to_the_input_is_no_output(self, tmp_path):
        path = make(tmp_path / "a.txt", "the\n")
        (tmp_path / "b.txt").symlink_to(path)
        with pytest.raises(PotstillError, match="is both input and output"):
            predict(student("mlp"), str(path), str(tmp_path / "b.txt"))

    def test_only_parquet_and_zstd_require_more_than_numpy(self, tmp_path):
        student("mlp").save(tmp_path / "s.pot")
        for ending, content in CONTENT.items():
            make(tmp_path / f"a.{ending}", content)
        make(tmp_path / "b.csv", zstd(CONTENT["csv"].encode()))
        code = (
            "import sys\n"
            "for name in ('pandas', 'pyarrow', 'torch', 'scipy'): sys.modules[name] = None\n"
            "from potstill.cli import main\n"
            "main()"
        )

        def run(name):
            given = [sys.executable, "-c", code, "predict", tmp_path / "s.pot", tmp_path / name]
            return subprocess.run(given, capture_output=True, text=True)

        assert run("a.csv").stdout.count("\n") == 3
        stderr = run("b.csv").stderr
        assert stderr.startswith("error: pyarrow, which Zstandard files require, is not installed. Run `pip install -e")
        assert stderr.count("\n") == 1


class TestPrepare:
    def test_every_ending_gives_the_same_data(self, project: Project) -> None:  # noqa: F811
        lines = "".join(json.dumps({"text": text, "label": label}) + "\n" for text, label in ROWS)
        make(project.data / "a.jsonl", lines)
        make(project.data / "b.ndjson.gz", gzip.compress(lines.encode()))
        make(project.data / "c.JSONL.zst", zstd(lines.encode()))
        make(project.data / "d.txt.gz", gzip.compress("".join(f"{text};{label}\n\n" for text, label in ROWS).encode()))
        pd.DataFrame(ROWS, columns=["text", "label"]).to_parquet(project.data / "e.pq")
        frames = [
            project.prepare(train=name)[0].train
            for name in ("a.jsonl", "b.ndjson.gz", "c.JSONL.zst", "d.txt.gz", "e.pq")
        ]
        for frame in frames:
            pd.testing.assert_frame_equal(frame, frames[0])

    def test_all_parts_of_a_split_are_read_in_their_order(self, project: Project) -> None:  # noqa: F811
        frame = pd.DataFrame(ROWS, columns=["text", "label"])
        for i, part in enumerate((frame[:7], frame[7:20], frame[20:])):
            part.to_parquet(project.data / f"train-0000{i}-of-00003.parquet")
        for split in ("validation", "test"):
            project.table(f"{split}-00000-of-00001-abcdef01.csv", rows(4, word=split))
        data, _ = project.prepare()
        assert data.train["text"].tolist() == frame["text"].tolist()
        part = pd.DataFrame({"text": ["x", None], "label": ["good", "bad"]})
        part.to_parquet(project.data / "train-00002-of-00003.parquet")
        project.fails("mine/train-00002-of-00003.parquet: row 2 has no text")
        (project.data / "train-00001-of-00003.parquet").unlink()
        project.fails("no train-00001-of-00003 (found: 2 of 3 shards)", "`prepare.train`")

    def test_folders_pipes_and_broken_links_are_named(self, project: Project) -> None:  # noqa: F811
        train = project.data / "train.csv"
        train.symlink_to("nowhere.csv")
        project.fails(
            "mine/train.csv: it is a link to nowhere.csv, which does not exist. Set `prepare.train` to a file in"
        )
        project.fails("mine/train.csv: it is a link to nowhere.csv", path="mine/train.csv")
        train.unlink()
        os.mkfifo(train)
        project.fails("mine/train.csv: it is a pipe or a device. Set `prepare.train` to a file in mine")
        project.fails("mine/train.csv: it is a pipe or a device", path="mine/train.csv")
        train.unlink()
        train.mkdir()
        for given in (None, "train.csv"):
            project.fails("mine/train.csv: it is a folder. Set `prepare.train` to a file in mine", train=given)
        make(project.data / "train.jsonl", "".join(json.dumps({"text": t, "label": n}) + "\n" for t, n in ROWS))
        assert project.prepare()[0].labels == ["bad", "good"]
        (project.data / "val.csv").mkdir()
        project.fails("mine/val.csv: it is a folder. Set `prepare.validation`")

    def test_a_label_of_a_part_is_named_by_its_row(self, project: Project) -> None:  # noqa: F811
        project.table("train.csv", rows(20))
        project.table("test-00000-of-00002.csv", rows(4, word="t"))
        project.table("test-00001-of-00002.csv", [("u", "good"), ("v", "odd")])
        project.fails("mine/test-00001-of-00002.csv: row 2 has the label 'odd'")

    def test_quotes_that_swallow_rows_are_given_away_by_their_labels(self, project: Project) -> None:  # noqa: F811
        three = 'text,label\n"Rules of the game,good\nnice film,bad\ndull",bad\n'
        more = "".join(f"{text},{label}\n" for text, label in ROWS)
        make(project.data / "train.csv", three + more)
        project.fails("mine/train.csv: row 1 (lines 2 to 4) opens a quote", "'Rules of the game,good'")
        make(project.data / "train.csv", 'text,label\n"Dear Sir,\nall good, thanks",bad\n' + more)
        assert project.prepare(test_share=0.05)[1]["rows"]["train"] > 30

    def test_rows_of_several_lines_are_no_merged_ones(self, project: Project) -> None:  # noqa: F811
        more = "".join(f"{text},{(i % 5) + 1}\n" for i, (text, _) in enumerate(ROWS))
        given = '"Tolles Hotel.\nNote: 4,5\nGern wieder",5\n"Zimmer: 4,5\nEssen, 3,1\nGut",5\n'
        make(project.data / "train.csv", "text,label\n" + given + more)
        project.prepare(test_share=0.2, validation_share=0.2)
        more = "".join(f"{text},{label}\n" for text, label in ROWS)
        make(project.data / "train.csv", 'text,label\n"Verdict\nplot,good\nacting,bad",good\n' + more)
        project.prepare(test_share=0.2, validation_share=0.2)
        more = "".join(f"{label},{i},{text}\n" for i, (text, label) in enumerate(ROWS))
        make(project.data / "train.csv", 'label,id,text\ngood,0,"Nice\nbad,1\nday"\n' + more)
        project.prepare(test_share=0.2, validation_share=0.2)

    @pytest.mark.parametrize(
        "table",
        [
            '"A film,good\nB film",bad\n"C film,bad\nD film",good\n',  # all rows are merged
            '"A film,neutral\nB film",good\n"C film,good\nD film",neutral\nE film,good\n',  # all neutral ones are
            'A film,"good\nB film,bad\nC film,bad"\nD,bad\nE,good\n',
            'A film,good\nD,bad\n"B film,good\r\nC film",bad\r\n',
        ],
    )
    def test_merged_rows_are_found_whatever_the_others_are(self, project: Project, table: str) -> None:  # noqa: F811
        make(project.data / "train.csv", "text,label\n" + table)
        project.fails("opens a quote that a later line closes", "save the table as .jsonl or .parquet")

    @pytest.mark.parametrize(
        "row",
        [
            '"hello there,joy\n\nnice day,sad\nbad day",joy',
            '"hello there,joy\n  \r\nnice day,sad\nbad day",joy',
            '"hello there,joy\nnice, day,sad\nbad day",joy',
            '"hello there,joy\nnice day,sad\nbad, bad day",joy',
            '"hello there,joy\n3,000 nice days,sad\nbad day",joy',
            '"hello there,joy\nnice,day,sad\ngood day,sad\nbad day",joy',
            '"hello there,joy|sad\nnice day,sad\nbad day",joy',
            '"hello there,joy\nnice day,sad\nbad day",joy|sad',
            '"hello there,\nnice day,sad\nbad day",joy',
            '"hello there,joy\nbad day",',
            '"hello there,joy\nnice day",sad',
        ],
    )
    def test_merged_rows_are_found_if_most_lines_are_rows(self, project: Project, row: str) -> None:  # noqa: F811
        more = "".join(f"{text},{('joy', 'sad')[i % 2]}\n" for i, (text, _) in enumerate(ROWS))
        make(project.data / "train.csv", f"text,label\n{row}\n{more}")
        project.fails("row 1 (lines 2 to", "opens a quote that a later line closes", multi_label=True)

    @pytest.mark.parametrize(
        "row",
        [
            '"Dear Sir,\n\nit is good, thanks",sad',
            '"Dear Sir,\nthank you,\nyours,",sad',
            '"Plot,joy\nis what it has\nand nothing else",sad',
            '"so much, joy, really\nand fun",joy',
            '"Fast, cheap, joy\nI like it",joy',
            '"Today I felt joy, joy\nthen fear, sad\nand nothing",sad',
            '"I said, joy\nShe said, sad\nok",joy',
            '"Dear Sir, \nthank you, \nit was, joy",sad',
        ],
    )
    def test_texts_of_several_lines_are_read(self, project: Project, row: str) -> None:  # noqa: F811
        more = "".join(f"{text},{('joy', 'sad', '')[i % 3]}\n" for i, (text, _) in enumerate(ROWS))
        make(project.data / "train.csv", f"text,label\n{row}\n{more}")
        assert project.prepare(multi_label=True, test_share=0.2, validation_share=0.2)[1]

    def test_merged_rows_are_found_where_the_label_comes_first(self, project: Project) -> None:  # noqa: F811
        make(project.data / "train.csv", 'label,text\ngood,"A film\nbad,B film\nbad,C film"\ngood,D\nbad,E\n')
        project.fails("row 1 (lines 2 to 4) opens a quote that a later line closes", "'good,A film'")

    @pytest.mark.parametrize("multi_label", [False, True])
    def test_a_line_without_the_key_of_the_label_is_named(self, project: Project, multi_label: bool) -> None:  # noqa: F811
        lines = [json.dumps({"text": text, "label": label}) for text, label in ROWS]
        lines[6] = '{"text": "x", "lable": "good"}'
        make(project.data / "train.jsonl", "\n".join(lines))
        project.fails("line 7 has no key 'label' (found: 'text', 'lable')", multi_label=multi_label)
        lines[6:7] = ['{"text": "x", "label": null}', '{"text": "y", "label": []}']
        make(project.data / "train.jsonl", "\n".join(lines))
        if multi_label:
            assert sum(project.prepare(multi_label=True)[1]["without_label"].values()) == 2

    @pytest.mark.parametrize(
        ("name", "content"), [("a.csv", "text,label\n,good\n"), ("a.jsonl", '{"text": " ", "label": 1}')]
    )
    def test_an_empty_text_teaches_nothing(self, project: Project, name: str, content: str) -> None:  # noqa: F811
        make(project.data / name, content)
        project.fails(f"mine/{name}: ", " 1 has no text", train=name)
        project.table("train.csv", rows(20))
        project.fails(f"mine/{name}: ", " 1 has no text", unlabelled=[name])

    def test_pandas_index_is_no_row_number(self, project: Project) -> None:  # noqa: F811
        frame = pd.DataFrame(ROWS, columns=["text", "label"])
        pd.concat([frame[:20], frame[20:].reset_index(drop=True)]).to_parquet(project.data / "train.parquet")
        assert project.prepare(max_labelled=10)[1]["rows"]["train"] == 10
        for index in (frame.index.astype(str), pd.MultiIndex.from_product([range(8), range(5)]), frame["text"]):
            frame.set_index(index).drop(columns="text" if index is frame["text"] else []).to_parquet(
                project.data / "train.parquet"
            )
            assert project.prepare()[0].labels == ["bad", "good"]

    @pytest.mark.parametrize("ending", ["csv", "tsv", "jsonl", "parquet", "txt"])
    def test_numbers_are_the_same_labels_from_every_format(self, project: Project, ending: str) -> None:  # noqa: F811
        frame = pd.DataFrame([(f"text {i}", (i % 4 + 1) / 2) for i in range(60)], columns=["text", "label"])
        path = project.data / f"train.{ending}"
        if ending == "jsonl":
            frame.to_json(path, orient="records", lines=True)
        elif ending == "parquet":
            frame.to_parquet(path)
        elif ending == "txt":
            make(path, "".join(f"{text};{label}\n" for text, label in frame.itertuples(index=False)))
        else:
            frame.to_csv(path, index=False, sep="\t" if ending == "tsv" else ",")
        assert project.prepare()[0].labels == ["0.5", "1", "1.5", "2"]

    def test_labels_are_the_same_however_a_format_writes_them(self, project: Project) -> None:  # noqa: F811
        written = {
            "csv": [["0.10", "1e+20", "true"], "text,label\n", "{text},{label}\n"],
            "jsonl": [["0.10", "1e20", "true"], "", '{{"text": "{text}", "label": {label}}}\n'],
        }
        for name, (labels, head, line) in written.items():
            content = head + "".join(line.format(text=f"t {i}", label=labels[i % 3]) for i in range(60))
            make(project.data / f"train.{name}", content)
            assert project.prepare(train=f"train.{name}")[0].labels == ["0.1", "1e+20", "true"]
        for kind, labels in ((float, [0.1, 1e20]), (bool, [False, True])):
            values = pa.array([kind(labels[i % 2]) for i in range(60)])
            pq.write_table(
                pa.table({"text": [f"t {i}" for i in range(60)], "label": values}), project.data / "a.parquet"
            )
            names = ["0.1", "1e+20"] if kind is float else ["false", "true"]
            assert project.prepare(train="a.parquet")[0].labels == names

    def test_labels_that_are_one_number_are_printed(self, project: Project, capsys) -> None:  # noqa: F811
        project.table("train.csv", rows(60, labels=("1.1", "1.10", "2")))
        project.fails(
            "mine/train.csv: the labels '1.1' and '1.10' are the same number. Write them in the same way if they are"
        )
        project.table("train.csv", rows(60, labels=("1.50", "1", "1.00")))
        assert project.prepare()[0].labels == ["1", "1.5"]
        says = "labels that are numbers are read as numbers: '1.00' is the class '1', '1.50' is"
        assert says in capsys.readouterr().err
        project.table("train.csv", rows(60, labels=("01", "1", "1e0")))
        assert project.prepare()[0].labels == ["01", "1", "1e0"]
        assert "'01' (20 rows) and '1' (20 rows) are the same number; they count as two" in capsys.readouterr().err
        project.table("train.csv", rows(60, labels=("1|x", "1.0")))
        assert project.prepare(multi_label=True)[0].labels == ["1", "x"]
        assert (
            "labels that are numbers are read as numbers: '1.0' is the class '1'. If they are names"
            in capsys.readouterr().err
        )
        project.table("train.csv", rows(60, labels=("2.0", "2.00", "3")))
        project.fails("mine/train.csv: the labels '2.0' and '2.00' are the same number. Write them in the same way")

    def test_numbers_that_tables_write_differently_are_one_class(self, project: Project, capsys) -> None:  # noqa: F811
        project.table("train.csv", rows(40, labels=("4.50", "3.00")))
        project.table("test.csv", rows(4, labels=("4.5", "3"), word="t"))
        assert project.prepare()[0].labels == ["3", "4.5"]
        says = "mine/train.csv: labels that are numbers are read as numbers: '3.00' is the class '3', '4.50' is"
        [line] = [line for line in capsys.readouterr().err.splitlines() if "class" in line]
        assert line == f"{says} the class '4.5'. If they are names, put a letter before them (as in v3.10)"
        make(project.data / "test.jsonl", '{"text": "t", "label": 4.5}\n{"text": "u", "label": 3.0}\n')
        decimals = pa.array([Decimal("4.500"), Decimal("3.000")])
        pq.write_table(pa.table({"text": ["t", "u"], "label": decimals}), project.data / "test.parquet")
        for test in ("test.jsonl", "test.parquet"):
            assert project.prepare(test=test)[0].labels == ["3", "4.5"]
            assert says in capsys.readouterr().err

    def test_labels_that_may_be_versions_are_refused_in_all_of_a_table(self, project: Project) -> None:  # noqa: F811
        says = "the labels '1.1' and '1.10' are the same number. Write them in the same way if they are"
        project.table("train-00000-of-00002.csv", rows(40, labels=("1.1", "1.2")))
        project.table("train-00001-of-00002.csv", rows(4, labels=("1.10", "1.20"), word="t"))
        project.fails(f"mine/train-00000-of-00002.csv and mine/train-00001-of-00002.csv: {says}")
        for labels in (['"1.1"', '"1.10"'], ['["1.1"]', '["1.10"]']):
            found = [*labels, "2"]
            content = "".join(f'{{"text": "t {i}", "label": {found[i % 3]}}}\n' for i in range(60))
            make(project.data / "a.jsonl", content)
            project.fails(f"mine/a.jsonl: {says}", train="a.jsonl", multi_label=labels[0][0] == "[")
        make(project.data / "a.jsonl", content.replace('["1.1"]', "1.1").replace('["1.10"]', '"1.10"'))
        assert project.prepare(train="a.jsonl", multi_label=True)[0].labels == ["1.1", "2"]
        label = pa.array([Decimal("1.10"), Decimal("1.20")] * 20)
        pq.write_table(pa.table({"text": [f"t {i}" for i in range(40)], "label": label}), project.data / "a.parquet")
        assert project.prepare(train="a.parquet")[0].labels == ["1.1", "1.2"]
        project.table("b.csv", rows(4, labels=("1.10", "1.20"), word="u"))
        assert project.prepare(train="a.parquet", test="b.csv")[0].labels == ["1.1", "1.2"]

    @pytest.mark.parametrize(
        ("names", "says"),
        [
            (
                ["pos", "pos\u200b"],
                "the labels 'pos' and 'pos\\u200b' look the same, and differ in invisible characters or",
            ),
            (
                ["\u00e9", "e\u0301"],
                "the labels 'e\\u0301' and '\\xe9' look the same, and differ in invisible characters or",
            ),
            (["\u200b", "pos"], "the label '\\u200b' is invisible. Rename it"),
            (["a|b", "c"], ": 'a|b' contains |, which separates labels. Rename it"),
        ],
    )
    def test_names_of_ids_are_checked_as_labels_are(self, project: Project, names, says) -> None:  # noqa: F811
        project.table("train.csv", rows(40, labels=(0, 1)))
        project.fails("`prepare.label_names`", says, label_names=names, multi_label=True)

    def test_names_of_ids_that_differ_in_case_are_printed(self, project: Project, capsys) -> None:  # noqa: F811
        project.table("train.csv", rows(40, labels=(0, 1)))
        assert project.prepare(label_names=["Pos", "pos"])[0].labels == ["Pos", "pos"]
        says = "`prepare.label_names`: the labels 'Pos' and 'pos' differ in case only; they count as two classes"
        assert says in capsys.readouterr().err

    def test_an_id_of_thousands_of_digits_is_out_of_range(self, project: Project) -> None:  # noqa: F811
        project.table("train.csv", rows(60, labels=(0, 1, "9" * 5000)))
        project.fails(
            "mine/train.csv: row 3 has",
            "but `prepare.label_names` has names for the ids 0 to 1",
            label_names=["a", "b"],
        )

    @pytest.mark.parametrize(("label", "name", "read"), [("1e5", 1e5, "100000"), ("01", 1, "1")])
    def test_a_name_that_yaml_reads_as_a_number_is_to_be_quoted(self, project: Project, label, name, read) -> None:  # noqa: F811
        project.table("train.csv", rows(40, labels=(label, "b")))
        project.fails(
            f"row 1 has the label '{label}', which is '{read}' in `prepare.label_names`. Write it there in the same",
            label_names=[name, "b"],
        )

    def test_large_decimals_are_classes_of_their_own(self, project: Project) -> None:  # noqa: F811
        names = ["12345678901234567890", "12345678901234567891"]
        texts = [f"t {i}" for i in range(40)]
        label = pa.array([Decimal(names[i % 2]) for i in range(40)], pa.decimal128(20, 0))
        pq.write_table(pa.table({"text": texts, "label": label}), project.data / "a.parquet")
        assert project.prepare(train="a.parquet")[0].labels == names

    def test_labels_that_are_one_id_are_printed(self, project: Project, capsys) -> None:  # noqa: F811
        project.table("train.csv", rows(60, labels=("0", "1", "01")))
        assert project.prepare(label_names=["neg", "pos"])[0].labels == ["neg", "pos"]
        assert (
            "'01' (20 rows) and '1' (20 rows) are the same number; they count as one class" in capsys.readouterr().err
        )

    @pytest.mark.parametrize(
        ("label", "name", "says"),
        [
            (
                "é",
                "e\u0301",
                "'é', which differs from 'e\\u0301' in {} only in invisible characters or the Unicode form",
            ),
            ("joy", "joy\u200b", "'joy', which differs from 'joy\\u200b' in {} only in invisible characters or the Un"),
            ("Joy", "joy", "'Joy', which differs from 'joy' in {} only in case. Write them in the same way"),
            ("joy", "bliss", "'joy', which `prepare.label_names` does not list. Add it there"),
        ],
    )
    def test_an_invisible_difference_of_a_label_from_its_name_is_described(
        self,
        project: Project,  # noqa: F811
        label: str,
        name: str,
        says: str,
    ) -> None:
        project.table("train.csv", rows(40, labels=(label, "b")))
        project.fails(
            f"mine/train.csv: row 1 has the label {says.format('`prepare.label_names`')}", label_names=[name, "b"]
        )

    def test_a_label_that_train_has_in_another_case_is_an_error(self, project: Project) -> None:  # noqa: F811
        project.table("train.csv", rows(40, labels=("joy", "b")))
        project.table("test.csv", [("t", "Joy")])
        project.fails(
            "mine/test.csv: row 1 has the label 'Joy', which differs from 'joy' in mine/train.csv only in case"
        )

    def test_a_label_that_is_too_large_a_number_is_an_error(self, project: Project) -> None:  # noqa: F811
        for label in ("9" * 5000, "1e999", "Infinity", "12345678901234567890.0"):
            make(project.data / "train.jsonl", f'{{"text": "a", "label": 1}}\n{{"text": "b", "label": {label}}}\n')
            project.fails("line 2 has a label that is an infinite or too large number. Store labels as")
        given = "".join(
            f'{{"text": "t {i}", "label": {10**20 + i % 2}, "id": {"9" * 5000 if i else 1}}}\n' for i in range(40)
        )
        make(project.data / "train.jsonl", given)
        assert project.prepare()[0].labels == [str(10**20), str(10**20 + 1)]

    def test_labels_that_tie_as_numbers_have_one_order(self, project: Project) -> None:  # noqa: F811
        project.table("train.csv", rows(60, labels=("1", "01", "2", "001")))
        assert project.prepare()[0].labels == ["001", "01", "1", "2"]

    def test_labels_that_look_the_same_are_refused_or_printed(self, project: Project, capsys) -> None:  # noqa: F811
        pairs = (
            ("café", "cafe\u0301"),
            ("good", "go\u200bod"),
            ("so so", "so\xa0so"),
            ("❤", "❤\ufe0f"),
            ("a b", "a  b"),
        )
        for one, other in pairs:
            project.table("train.csv", rows(40, labels=(one, other)))
            project.fails(f"{one!a} (20 rows)", f"{other!a} (20 rows)", "look the same")
        project.table("train.csv", rows(40, labels=("a b", "a  b")))
        project.fails(
            "'a  b' (20 rows) and 'a b' (20 rows) look the same, and differ in white space. Write them in the same way"
        )
        for empty in ("\u200b", "\u3164", "\u2800"):
            project.table("train.csv", rows(40, labels=("good", empty)))
            project.fails(f"the label {empty!a} (20 rows) is invisible")
        project.table("train.csv", rows(40, labels=("café", "bad")))
        project.table("test.csv", [("v", "cafe\u0301")])
        project.fails("'cafe\\u0301' (1 rows) and 'caf\\xe9' (20 rows) look the same")
        (project.data / "test.csv").unlink()
        project.table("train.csv", rows(40, labels=("Good", "good", "bad")))
        assert project.prepare()[0].labels == ["Good", "bad", "good"]
        assert "the labels 'Good' (14 rows) and 'good' (13 rows) differ in case only" in capsys.readouterr().err
        for one, other in (("fin", "ﬁn"), ("strasse", "straße")):
            project.table("train.csv", rows(40, labels=(one, other)))
            project.prepare()
            assert "(20 rows) differ in the form of its characters only" in capsys.readouterr().err

    @pytest.mark.parametrize(
        ("labels", "says"),
        [
            (("very\nbad", "good"), r"the class 'very\nbad' has a line break or another control character"),
            (("tab\tbed", "good"), r"the class 'tab\tbed' has a line break or another control character"),
            (("a" * 40_000, "b" * 40_000), "the names of the 2 classes have 80,001 bytes together"),
        ],
    )
    def test_names_that_a_model_file_cannot_hold_are_refused(
        self,
        project: Project,  # noqa: F811
        labels: tuple[str, str],
        says: str,
    ) -> None:
        project.table("train.csv", rows(40, labels=labels))
        project.fails(says)
        named = rows(40, labels=(0, 1))
        project.table("train.csv", named)
        project.fails(says, label_names=list(labels))

    def test_names_that_are_equal_without_white_space_are_refused(self, project: Project) -> None:  # noqa: F811
        project.table("train.csv", rows(40, labels=(0, 1)))
        project.fails("the class 'a' is listed twice", label_names=["a", "a "])
        project.fails("`prepare.label_names`: the label '' is invisible. Rename it", label_names=["a", " "])

    def test_a_bomb_ends_in_one_line(self, project: Project, monkeypatch) -> None:  # noqa: F811
        from potstill.prepare import from_files

        monkeypatch.setattr(from_files, "LARGE", 1 << 20)
        indices = pa.array(np.zeros(5000, np.int32))
        column = pa.DictionaryArray.from_arrays(indices, pa.array(["a " * 5000]))
        pq.write_table(pa.table({"text": column, "label": ["a", "b"] * 2500}), project.data / "train.parquet")
        project.fails("unpacks to more than 300 times its")
        make(project.data / "train.csv.gz", gzip.compress(b"text,label\n" + b"a,b\n" * 100_000))
        project.fails("unpacks to more than 300 times its", train="train.csv.gz")


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ("1.0", "1"), (1.0, "1"), (np.float32(1), "1"), (1, "1"), ("-3.0", "-3"), (2.5, "2.5"), ("2.5", "2.5"),
        ("01", "01"), ("1.10", "1.1"), (True, "true"), (np.True_, "true"), (" x ", "x"), (10**20, "1" + "0" * 20),
        ("1e3", "1e3"), ("True", "True"), ("0.10", "0.1"), (0.1, "0.1"), (np.float32(0.1), "0.1"), (1e20, "1e+20"),
        ("1e+20", "1e+20"), ("-0.00", "0"), (-0.0, "0"), ("0.00001", "1e-05"), (0.00001, "1e-05"), ("1.2.0", "1.2.0"),
        ("0.1234567890123456789", "0.1234567890123456789"), ("1.", "1."), (".5", ".5"), ("00.5", "00.5"),
        ("1234567890123456.0", "1234567890123456"), (1234567890123456.0, "1234567890123456"), ("-0", "0"),
        ("0.100000000000000000", "0.1"), ("1E-5", "1e-05"), ("1e+5", "100000"), ("1.5e3", "1500"), ("1e5", "1e5"),
        ("1.5e999", "1.5e999"), ("1.5e-999", "1.5e-999"), ("12345678901234567890.0", "12345678901234567890.0"),
        (12345678901234567890.0, None), (9007199254740992.0, None), (9007199254740991.0, "9007199254740991"),
        (10 / 3, "3.3333333333333335"), (np.float16(0.1), "0.1"),
        (float("inf"), None), (b"a", None), (["a"], None),
    ],
)  # fmt: skip
def test_the_class_name_a_class(value, name):
    assert class_name(value) == name


def test_single_precision_and_decimals_are_numbers_as_written(tmp_path):
    exact = [Decimal("2.70"), Decimal("1.00"), None]
    columns = [pa.array([2.7, 1, None], kind) for kind in (pa.float16(), pa.float32(), pa.float64())]
    columns.append(pa.array(exact))
    lists = [pa.array([[2.7, 1], None, []], pa.list_(kind)) for kind in (pa.float16(), pa.float32())]
    lists += [pa.array([exact[:2], None, []]), pa.array([exact[:2], None, []], pa.large_list(pa.decimal128(9, 7)))]
    labels = {str(i): column for i, column in enumerate(columns + lists)}
    pq.write_table(pa.table({"text": ["a", "b", "c"], **labels}), tmp_path / "a.parquet")
    [batch] = read.read(str(tmp_path / "a.parquet"), "parquet", ["text", *labels], request.BadRows())
    names = [[class_name(value) for value in values] for values in batch.others[: len(columns)]]
    assert names == [["2.7", "1", None]] * len(columns)
    named = [[values and [class_name(value) for value in values] for values in column] for column in batch.others[4:]]
    assert named == [[["2.7", "1"], None, []]] * len(lists)


def test_the_bytes_of_names_are_what_the_header_holds():
    assert naming.fault(["a" * naming.LARGEST]) is None
    assert naming.fault(["a" * (naming.LARGEST + 1)])
    file._Header.layout(0)[1].pack(*[0] * 11, naming.LARGEST)
    with contextlib.suppress(file.struct.error):
        file._Header.layout(0)[1].pack(*[0] * 11, naming.LARGEST + 1)
        pytest.fail("the header holds more")


@pytest.mark.parametrize("ending", ["csv", "tsv", "jsonl", "ndjson", "parquet", "csv.gz"])
def test_a_teachers_table_has_any_format(tmp_path, ending):
    path = tmp_path / f"t.{ending}"
    frame = pd.DataFrame({"1.0": [0.25, 1.0], "text": ["None", "1234"], "b": [0.75, 0.0]})
    if ending == "parquet":
        frame.to_parquet(path)
    elif "json" in ending:
        frame.to_json(path, orient="records", lines=True)
    else:
        frame.to_csv(path, index=False, sep="\t" if ending == "tsv" else ",")
    assert teacher_table.is_table(str(path))
    known = teacher_table.read(path, ["b", "1"])
    assert known.to_dict("list") == {"text": ["None", "1234"], "b": [0.75, 0.0], "1": [0.25, 1.0]}


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("t.jsonl", 'null\n{"text": "a", "b": 1, "1": 0}\n', "line 1 holds null, which is not an object"),
        ("t.jsonl", "5\n", "line 1 holds 5, which is not an object"),
        ("t.jsonl", "[1]\n", "line 1 holds [1], which is not an object"),
        ("t.jsonl", '"text"\n', 'line 1 holds "text", which is not an object'),
        ("t.jsonl", '\n{"text": "a\n', "line 2 is not valid JSON"),
        ("t.csv", "te\rxt,b,1\na,1,0\n", "line 1 has a carriage return within a field"),
        ("t.csv", "text,schön,1\na,1,0\n", "the header has a byte that is not UTF-8 (0xf6), but looks like Latin-1"),
        ("t.csv", "", "no column 'text' (found: none). A table of probabilities has the column `text`"),
    ],
)
def test_a_teachers_table_that_cannot_be_read_says_why(tmp_path, name, content, says):
    with pytest.raises(PotstillError) as caught:
        teacher_table.read(make(tmp_path / name, content, "latin1"), ["schön", "1"])
    assert says in str(caught.value)
