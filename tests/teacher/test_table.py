import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from potstill.core.errors import PotstillError
from potstill.scoring import model as teachers
from potstill.teacher import table
from potstill.teacher import table as answers
from potstill.teacher import table as teacher_table
from tests.tables import write_file, write_frame


def write(path, **columns):
    pd.DataFrame(columns).to_csv(path, index=False)
    return path


def test_parquet_works_too(tmp_path):
    pd.DataFrame({"text": ["x"], "a": [0.5], "b": [0.5]}).to_parquet(tmp_path / "t.parquet")
    assert len(table.read(tmp_path / "t.parquet", ["a", "b"])) == 1


def test_the_texts_of_a_table_are_joined_as_those_of_the_data(tmp_path):
    columns = {"body": ["y", "", "z"], "subject": ["x", "x", None], "a": [0.5, 1, 0], "b": [0.5, 0, 1]}
    path, texts = write(tmp_path / "t.csv", **columns), ["subject", "body"]
    assert table.read(path, ["a", "b"], texts=texts)["text"].tolist() == ["x y", "x", "z"]
    with pytest.raises(PotstillError, match=r"no columns 'body' and 'b' .*has the columns `subject`, `body` and one"):
        table.read(write(tmp_path / "two.csv", subject=["x"], a=[1.0]), ["a", "b"], texts=texts)
    with pytest.raises(PotstillError, match="a class is named 'body', like a column of texts"):
        table.read(path, ["a", "body"], texts=texts)


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        ({"text": ["x"], "a": [1.0]}, "one per label: a, b"),
        ({"text": ["x"], "a": [1.0], "c": [0.0]}, "no column 'b' .found: 'text', 'a', 'c'.*one per label: a, b"),
        (
            {"text": ["x", "y"], "a": [1.0, 0.9], "b": [0.0, 0.9]},
            "row 2 .*sum to 1.8, not to one. Correct it, or remove",
        ),
        ({"text": ["x"], "a": [1.5], "b": [-0.5]}, "row 1 has the probability -0.5, which is not from 0 to 1"),
        ({"text": ["x"], "a": ["much"], "b": [0.5]}, "not a number"),
        ({"text": [None, " "], "a": [1.0, 1.0], "b": [0.0, 0.0]}, "no row has a text"),
    ],
)
def test_a_wrong_table_is_refused(tmp_path, columns, says):
    path = write(tmp_path / "t.csv", **columns)
    with pytest.raises(PotstillError, match=f"t.csv.*{says}"):
        table.read(path, ["a", "b"])


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("t.csv", "text,a,b\nx,1_0e-1,0\n", "row 1 has a probability that is not a number: '1_0e-1'"),
        ("t.csv", "text,a,b\nx,\u0661,0\n", "row 1 has a probability that is not a number"),
        ("t.csv", "text,a,b\nx,,1\n", "row 1 has a probability that is not a number: ''"),
        ("t.jsonl", '{"text": "x", "a": true, "b": false}', "line 1 has a probability that is not a number: True"),
        ("t.jsonl", '{"text": "x", "a": 1%s, "b": 0}' % ("0" * 400), "line 1 has a probability that is not"),
        ("t.jsonl", '{"text": "x", "a": 1, "b": 0}\n{"text": "y", "a": 1}', "line 2 has no key 'b'"),
        ("t.csv", "text,A,b\nx,1,0\n", "no column 'a' .found: 'text', 'A', 'b'.. 'A' differs from it only in case"),
        ("t.csv", "Text,a,b\nx,1,0\n", "no column 'text' .*'Text' differs from it only in case"),
        ("t.csv", "text|a|b\nx|1|0\n", "The columns are separated by vertical bars, not by commas"),
        ("t.tsv", "text,a,b\nx,1,0\n", "separated by commas, not by tabs"),
        ("t.csv", "text,a,b\nx,1,0\ny,1,0\n X ,0.9,0.1\n", "row 3 has the text of row 1, ' X '.*Remove one"),
        ("t.csv", 'text,a,b\n"x,1,0\ny,0.2,0.8\nthe 15",.5,.5\nz,1,0\n', r"row 1 \(lines 2 to 4\) opens a quote"),
        ("t.csv", 'a,b,text\n1,0,"x\n0.2,0.8,y\n.5,.5,the 15"\n', r"row 1 \(lines 2 to 4\) opens a quote"),
        ("t.jsonl", '{"text":"x","a":1,"b":0}\n\n{"text":"x","a":0,"b":1}', "line 3 has the text of line 1"),
    ],
)
def test_a_table_that_misleads_is_refused(tmp_path, name, content, says):
    (tmp_path / name).write_text(content)
    with pytest.raises(PotstillError, match=says):
        table.read(tmp_path / name, ["a", "b"])


def test_all_bad_rows_are_in_one_message_and_rows_without_a_text_are_left_out(tmp_path, capsys):
    path = tmp_path / "t.csv"
    path.write_text("text,a,b\nx,1,0\n,1,0\ny,2,-1\nz,1,1\nw,1,1\nX,0,1\nv,much,0\n")
    with pytest.raises(PotstillError) as caught:
        table.read(path, ["a", "b"])
    assert str(caught.value) == (
        f"{path}: row 3 has the probability -1, which is not from 0 to 1. Correct it, or remove the row. "
        "Row 4 (also 5) has probabilities that sum to 2, not to one. Correct it, or remove the row. "
        "Row 6 has the text of row 1, 'X', but for case and white space, and the probabilities [0.0, 1.0] instead of "
        "[1.0, 0.0]. Remove one. Row 7 has a probability that is not a number: 'much'. Correct it, or remove the row."
    )
    assert capsys.readouterr().err == f"{path}: row 2 has no text and is left out\n"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("t.csv", ",text,id,a,b\n0,x,7,1,0\n"),
        ("t.tsv", "\ttext\tid\ta\tb\n0\tx\t7\t1\t0\n"),
        ("t.jsonl", '{"": 0, "text": "x", "id": {}, "a": 1, "b": 0}\n'),
    ],
)
def test_columns_that_nobody_asks_for_are_named_and_ignored(tmp_path, capsys, name, content):
    (tmp_path / name).write_text(content)
    assert table.read(tmp_path / name, ["a", "b"]).to_dict("list") == {"text": ["x"], "a": [1.0], "b": [0.0]}
    assert capsys.readouterr().err == f"{tmp_path / name}: columns that are not used: '', 'id'\n"


def test_two_columns_of_one_class_are_refused(tmp_path):
    (tmp_path / "t.csv").write_text("text,1,1.0,b\nx,1,0,0\n")
    with pytest.raises(PotstillError, match=r"columns '1' and '1\.0' both belong to the class '1'. Remove one"):
        table.read(tmp_path / "t.csv", ["1", "b"])


def test_a_class_called_text_has_no_column(tmp_path):
    with pytest.raises(PotstillError, match="a class is named 'text'"):
        table.read(write(tmp_path / "t.csv", text=["x"], b=[1.0]), ["text", "b"])


def test_rows_may_repeat_and_numbers_be_written_in_any_way(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text('text,a,b\nx,1e-1, .9\nX,0.10,+0.9\ny,1.,0\n"so, a, b\n3, 4, 5\n or",1,0\n')
    assert table.read(path, ["a", "b"])["a"].tolist() == [0.1, 0.1, 1, 1]


def test_the_texts_that_it_has_are_counted(tmp_path):
    known = table.read(write(tmp_path / "t.csv", text=["X", "y"], a=[1.0, 0.5], b=[0.0, 0.5]), ["a", "b"])
    texts = {"train": pd.Series(["x", "z", "Y "]), "test": pd.Series(["w"]), "unlabelled": pd.Series([], dtype=str)}
    assert table.coverage("t.csv", known, texts) == "t.csv: probabilities of 2 of 3 train texts, 0 of 1 test texts"
    with pytest.raises(PotstillError, match=r"t.csv has 2 rows, and none of them is a text of test. Its column"):
        table.coverage("t.csv", known, {"test": texts["test"]})
    path = tmp_path / "t.csv"
    path.write_text("text,a,b\n")
    with pytest.raises(PotstillError, match=r"t\.csv has 0 rows"):
        table.coverage("t.csv", table.read(path, ["a", "b"]), texts)


def test_a_missing_table_is_refused(tmp_path):
    with pytest.raises(PotstillError, match=r"none\.csv: no such file"):
        table.read(tmp_path / "none.csv", ["a", "b"])


@pytest.mark.parametrize("ending", ["csv", "tsv", "jsonl", "ndjson", "parquet", "csv.gz"])
def test_a_teachers_table_has_any_format(tmp_path, ending):
    path = tmp_path / f"t.{ending}"
    frame = pd.DataFrame({"1.0": [0.25, 1.0], "text": ["None", "1234"], "b": [0.75, 0.0]})
    write_frame(frame, path)
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
        ("t.csv", "", "t.csv: the file is empty."),
    ],
)
def test_a_teachers_table_that_cannot_be_read_says_why(tmp_path, name, content, says):
    with pytest.raises(PotstillError) as caught:
        teacher_table.read(write_file(tmp_path / name, content, "latin1"), ["schön", "1"])
    assert says in str(caught.value)


def test_probabilities_of_a_table_need_not_sum_to_one(tmp_path):
    path = tmp_path / "llm.csv"
    pd.DataFrame({"text": ["Both", "none"], "a": [0.9, 0.0], "b": [1.0, 0.2]}).to_csv(path, index=False)
    with pytest.raises(PotstillError, match=r"sum to 1\.9, not to one"):
        answers.read(path, ["a", "b"])
    answers.read(path, ["a", "b"], multi_label=True).to_parquet(tmp_path / "table.parquet")
    teachers.describe(tmp_path, "table", ["a", "b"], multi_label=True)
    found = teachers.load(tmp_path).logits(["both", "NONE", "else"])
    np.testing.assert_allclose(expit(found), [[0.9, 1], [0, 0.2], [np.nan] * 2], atol=1e-5)
    pd.DataFrame({"text": ["x"], "a": [1.1], "b": [0]}).to_csv(path, index=False)
    with pytest.raises(PotstillError, match=r"row 1 has the probability 1\.1, which is not from 0 to 1"):
        answers.read(path, ["a", "b"], multi_label=True)
