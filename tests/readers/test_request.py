import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.tables import refused, write_file


@pytest.mark.parametrize("ending", ["csv", "tsv", "jsonl", "parquet"])
def test_two_columns_of_one_name_are_refused(tmp_path, ending):
    path = tmp_path / f"a.{ending}"
    if ending == "parquet":
        pq.write_table(pa.Table.from_arrays([pa.array(["a"])] * 3, names=["text", "text", "x"]), path)
    elif ending == "jsonl":
        write_file(path, '{"text": "a", "text": "b"}\n')
    else:
        write_file(path, "text,text,x\na,b,c\n".replace(",", "\t" if ending == "tsv" else ","))
    refused(path, "'text'", "Rename")


@pytest.mark.parametrize(
    ("name", "header", "says"),
    [
        ("a.csv", "text|label", "The columns are separated by vertical bars, not by commas"),
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
        ("a.csv", '"text"|"label"', "The columns are separated by vertical bars, not by commas"),
        ("a.csv", "body;label", "no column 'text' (found: 'body', 'label'). Name one with --text"),
        ("a.csv", "what a lovely day,joy", "If that row is a text, add one above it with the names of the columns"),
        ("a.csv", "Text,label", "'Text' differs from it only in case"),
        ("a.csv", " text,label", "' text' differs from it only in white space"),
        ("a.csv", "text\u200b,label", "differs from it only in invisible characters"),
        ("a.csv", "body,label", "no column 'text' (found: 'body', 'label'). Name one with --text"),
    ],
)
def test_a_missing_column_has_its_cause_named(tmp_path, name, header, says):
    refused(write_file(tmp_path / name, f"{header}\n{header}\n"), says)
