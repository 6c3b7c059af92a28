"""Rows of text, CSV, TSV and JSON lines."""

import csv
import io
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from potstill.core.errors import PotstillError
from potstill.readers import open
from tests.prepare_project import Project
from tests.tables import ROWS, refused, texts, write_file


def test_a_quote_that_is_not_closed_never_merges_rows(tmp_path):
    given = 'text,label\n"Rules of the game,good\nnice film,bad\n"Closer,good\nlast,bad\n'
    refused(write_file(tmp_path / "a.csv", given), "row 1 (line 2) opens a quote", "line 4")
    refused(write_file(tmp_path / "b.csv", 'id,text\n0,fine\n1,"great phone\n2,bad\n'), "row 2 (line 3) opens a quote")
    with pytest.raises(PotstillError, match="opens a quote"):  # nobody knows how many rows are bad
        texts(tmp_path / "a.csv", count=0)


@pytest.mark.parametrize("separator", [",", ";"])
def test_quotes_of_csv_are_those_of_rfc_4180(tmp_path, capsys, separator):
    table = [["text", "x"], ["a, b; c", "1"], ['say "no"', "2"], ["two\nlines", "3"], ["", "4"], ['"', "5"]]
    target = io.StringIO()
    csv.writer(target, delimiter=separator).writerows(table)
    path = write_file(tmp_path / "a.csv", target.getvalue() + f'mid "quote"{separator}6\n')
    assert texts(path) == ([1, 2, 3, 4, 5, 6], [row[0] for row in table[1:]] + ['mid "quote"'])
    assert (
        "1 row spans several lines because of line breaks within quotes; the first is row 3 (lines 4 to 5)"
        in capsys.readouterr().err
    )


def test_commas_separate_where_both_could(tmp_path):
    assert texts(write_file(tmp_path / "a.csv", "text,a;b\nx;y,1\n")) == ([1], ["x;y"])
    assert texts(write_file(tmp_path / "b.csv", "a,b;text\nx,y;z\n")) == ([1], ["z"])
    refused(write_file(tmp_path / "c.csv", "text;x\na\n"), "has 1 field, but the header has 2", "hold a semicolon")


def test_a_stray_quote_within_a_line_is_a_bad_row(tmp_path):
    path = write_file(tmp_path / "a.csv", 'text,x\none,1\n"two" and more,2\nthree,3\n')
    refused(path, "row 2 is not valid CSV")
    assert texts(path, count=0) == ([1, 3], ["one", "three"])


def test_a_line_of_tsv_is_a_row_whatever_its_quotes(tmp_path):
    given = 'text\tlabel\n"Rules of the game\tgood\n"all ""quoted"""\tbad\n"what" is it\tbad\nsay "a\tbad\n'
    expected = ['"Rules of the game', 'all "quoted"', '"what" is it', 'say "a']
    assert texts(write_file(tmp_path / "a.tsv", given)) == ([1, 2, 3, 4], expected)
    refused(
        write_file(tmp_path / "b.tsv", 'text\tlabel\n"two\nlines"\tgood\n'), "row 1 has 1 field", "every line is a row"
    )


def test_a_quote_that_a_later_line_of_tsv_closes_is_refused(tmp_path):
    for given, closed in (
        ('"a\nb"\nc\n', 2), ('"a\n\nb\n"\n', 3), ('"a\nsay ""b"""\n', 2), ('"1"\n"a\nb"\n', 3)
    ):  # fmt: skip
        with pytest.raises(PotstillError, match=rf"opens a quote that row {closed} closes.*as \.csv, \.jsonl"):
            texts(write_file(tmp_path / "a.tsv", "text\n" + given), count=0)
    for given, closed in (
        ('text\tid\n"a\nb"\t1\n"c"\t2\n', 2),
        ('id\ttext\n1\t"first\nsecond"\n', 2),
        ('id\ttext\tx\n1\t"first\n\nand\nlast"\t2\n', 3),
    ):
        with pytest.raises(PotstillError, match=rf"row 1 opens a quote that row {closed} closes"):
            texts(write_file(tmp_path / "a.tsv", given), count=0)
    rows_ = ['"Hello" she said\t1', '"Rules\t2', '5" pipe\t3', 'pipe 5"\t4', 'a\t"b', 'say"\t5', '"c\td"\t6']
    expected = [row.rsplit("\t", 1)[0] for row in rows_[:-1]]
    assert texts(write_file(tmp_path / "b.tsv", "\n".join(["text\tid", *rows_])), count=0)[1] == [*expected, "c\td"]
    given = ['"Rules of the game', 'the "so-called" closer', 'say "a', '5"', "end"]
    assert texts(write_file(tmp_path / "b.tsv", "\n".join(["text", *given]))) == ([1, 2, 3, 4, 5], given)


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
def test_a_file_of_another_format_than_its_ending_is_named(tmp_path, name, content, says):
    with pytest.raises(PotstillError) as caught:
        texts(write_file(tmp_path / name, content), count=0)
    assert says in str(caught.value)


def test_only_a_line_feed_ends_a_row_of_csv(tmp_path):
    refused(write_file(tmp_path / "a.csv", "text\na\rb\nc\n"), "row 1 (line 2) has a carriage return within a field")
    refused(write_file(tmp_path / "b.csv", "text,x\n0,1\na,b\rc,d\n"), "row 2 (line 3) has a carriage return")
    assert texts(write_file(tmp_path / "c.csv", 'text\r\r\na\r\r\n"b\rc"\r\n'))[1] == ["a", "b\rc"]
    assert texts(write_file(tmp_path / "a.txt", "a\rb\nc\n"))[1] == ["a\rb", "c"]


def test_blank_lines_are_texts_in_txt_and_passed_over_elsewhere(tmp_path):
    assert texts(write_file(tmp_path / "a.txt", "one\n\n two \n")) == ([1, 2, 3], ["one", "", " two "])
    assert texts(write_file(tmp_path / "a.jsonl", '{"text": "one"}\n\n \n{"text": ""}\n\n')) == ([1, 4], ["one", ""])
    assert texts(write_file(tmp_path / "a.csv", "text,x\none,1\n\n  \n,2\n\n")) == ([1, 2], ["one", ""])
    assert texts(write_file(tmp_path / "a.tsv", "text\tx\none\t1\n\n\ttwo\n")) == ([1, 2], ["one", ""])
    for name in ("b.csv", "b.tsv"):
        assert texts(write_file(tmp_path / name, 'text\none\n\n""\ntwo')) == ([1, 2, 3], ["one", "", "two"])
        refused(
            write_file(tmp_path / name, 'text,x\n""\n'.replace(",", "," if name == "b.csv" else "\t")), "has 1 field"
        )


@pytest.mark.parametrize("ending", ["txt", "csv", "tsv", "jsonl", "parquet"])
def test_words_for_nothing_numbers_and_nul_are_texts(tmp_path, ending):
    given = ["None", "NA", "N/A", "null", "nan", "NaN", "1234", "1.0", "true", "a\0b", "\N{LINE SEPARATOR}", "\x85"]
    path = tmp_path / f"a.{ending}"
    if ending == "parquet":
        pq.write_table(pa.table({"text": given}), path)
    elif ending == "jsonl":
        write_file(path, "".join(json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in given))
    else:
        write_file(path, "".join(f"{text}\n" for text in [*["text"][ending == "txt" :], *given]))
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
def test_bad_lines_of_jsonl_are_numbered(tmp_path, line, says):
    path = write_file(tmp_path / "a.jsonl", f'{{"text": "one"}}\n{line}\n{{"text": "two"}}\n')
    refused(path, says)
    assert texts(path, count=0) == ([1, 3], ["one", "two"])


def test_keys_that_are_not_requested_may_hold_anything(tmp_path):
    given = [10**25, "9" * 5000, 1e999, {"text": "no"}, ["x" * 1000]]
    lines = [f'{{"text": "t", "id": {value if i == 1 else json.dumps(value)}}}' for i, value in enumerate(given)]
    assert texts(write_file(tmp_path / "a.jsonl", "\n".join(lines)))[1] == ["t"] * 5


@pytest.mark.parametrize(
    ("line", "column"),
    [
        ('{"gr\\u00f6\\u00dfe": "a", "gr\\u00f6\\u00dfe": "b"}', "größe"),
        ('{"text": "a", "te\\u0078t": "b"}', "text"),
        ('{"a\\/b": "a", "a/b": "b"}', "a/b"),
        ('{"text": "a", "n": ' + "9" * 5000 + ', "te\\u0078t": "b"}', "text"),
    ],
)
def test_a_key_that_is_there_twice_is_found_however_it_is_written(tmp_path, line, column):
    refused(write_file(tmp_path / "a.jsonl", line), f"line 1 has the key {column!r} twice", column=column)


def test_keys_that_are_not_requested_may_be_repeated(tmp_path):
    line = '{"text": "a", "x": 1, "x": {"text": 2, "text": "b"}}'
    assert texts(write_file(tmp_path / "a.jsonl", line)) == ([1], ["a"])


def test_quotes_that_swallow_rows_are_given_away_by_their_labels(project: Project) -> None:
    three = 'text,label\n"Rules of the game,good\nnice film,bad\ndull",bad\n'
    more = "".join(f"{text},{label}\n" for text, label in ROWS)
    write_file(project.data / "train.csv", three + more)
    project.fails("mine/train.csv: row 1 (lines 2 to 4) opens a quote", "'Rules of the game,good'")
    write_file(project.data / "train.csv", 'text,label\n"Dear Sir,\nall good, thanks",bad\n' + more)
    assert project.prepare(test_share=0.05)[1]["rows"]["train"] > 30


def test_rows_of_several_lines_are_no_merged_ones(project: Project) -> None:
    more = "".join(f"{text},{(i % 5) + 1}\n" for i, (text, _) in enumerate(ROWS))
    given = '"Tolles Hotel.\nNote: 4,5\nGern wieder",5\n"Zimmer: 4,5\nEssen, 3,1\nGut",5\n'
    write_file(project.data / "train.csv", "text,label\n" + given + more)
    project.prepare(test_share=0.2, validation_share=0.2)
    more = "".join(f"{text},{label}\n" for text, label in ROWS)
    write_file(project.data / "train.csv", 'text,label\n"Verdict\nplot,good\nacting,bad",good\n' + more)
    project.prepare(test_share=0.2, validation_share=0.2)
    more = "".join(f"{label},{i},{text}\n" for i, (text, label) in enumerate(ROWS))
    write_file(project.data / "train.csv", 'label,id,text\ngood,0,"Nice\nbad,1\nday"\n' + more)
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
@pytest.mark.parametrize("separator", [",", ";"])
def test_merged_rows_are_found_whatever_the_others_are(project: Project, table: str, separator: str) -> None:
    write_file(project.data / "train.csv", f"text,label\n{table}".replace(",", separator))
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
def test_merged_rows_are_found_if_most_lines_are_rows(project: Project, row: str) -> None:
    more = "".join(f"{text},{('joy', 'sad')[i % 2]}\n" for i, (text, _) in enumerate(ROWS))
    write_file(project.data / "train.csv", f"text,label\n{row}\n{more}")
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
def test_texts_of_several_lines_are_read(project: Project, row: str) -> None:
    more = "".join(f"{text},{('joy', 'sad', '')[i % 3]}\n" for i, (text, _) in enumerate(ROWS))
    write_file(project.data / "train.csv", f"text,label\n{row}\n{more}")
    assert project.prepare(multi_label=True, test_share=0.2, validation_share=0.2)[1]


def test_merged_rows_are_found_where_the_label_comes_first(project: Project) -> None:
    write_file(project.data / "train.csv", 'label,text\ngood,"A film\nbad,B film\nbad,C film"\ngood,D\nbad,E\n')
    project.fails("row 1 (lines 2 to 4) opens a quote that a later line closes", "'good,A film'")
