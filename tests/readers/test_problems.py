"""All problems of a file in one message."""

import json

import pandas as pd

from tests.prepare_project import Project, rows, three_splits
from tests.tables import write_file


def test_all_problems_of_a_file_are_named_in_the_order_of_its_rows(project: Project, capsys) -> None:
    lines = [f"text {i},{('bad', 'good')[i % 2]}" for i in range(20)]
    lines[2] = lines[8] = lines[11] = lines[12] = lines[13] = lines[14] = "a text,"
    lines[5] = "a, b,good"
    lines[6] = ",good"
    write_file(project.data / "train.csv", "text,label\n" + "\n".join(lines) + "\n")
    said = project.fails("mine/train.csv")
    assert said == (
        "error: mine/train.csv: row 3 (also 9, 12, 13 and 2 more) has no label. Fill it in or remove the row. "
        "Row 6 has 3 fields, but the header has 2. Put texts that hold a comma in quotes."
    )
    assert "mine/train.csv: row 7 has no text and is left out\n" in capsys.readouterr().err


def test_a_message_is_short_however_many_problems_there_are(project: Project) -> None:
    content = [json.dumps({"text": f"text {i}", "label": [f"label {i}"]}) for i in range(1000)]
    write_file(project.data / "train.jsonl", "\n".join(content))
    said = project.fails("line 1 has the label ['label 0']", "Line 5 has", "There are 995 more such rows.")
    assert len(said) < 1000
    assert "ine 6" not in said


def test_problems_before_the_one_that_ends_the_reading_are_named_too(project: Project) -> None:
    write_file(project.data / "train.csv", 'text,label\na,b,c\nd,e\n"open,f\ng,h\n')
    project.fails(
        "mine/train.csv: row 1 has 3 fields, but the header has 2. Put texts that hold a comma in quotes. "
        "Row 3 (line 4) opens a quote"
    )


def test_labels_that_train_lacks_are_named_in_all_files(project: Project) -> None:
    three_splits(project)
    project.table("val.csv", [*rows(4, word="v"), ("x", "odd"), ("y", "even"), ("z", "odd")])
    project.table("test.csv", [*rows(4, word="t"), ("x", "odd")])
    said = project.fails("mine/test.csv: row 5 has the label 'odd', which no row of mine/train.csv has. Add")
    lacks = "which no row of mine/train.csv has. Add examples of it there, or remove it here."
    assert said.endswith(
        f"mine/val.csv: row 5 (also 7) has the label 'odd', {lacks} Row 6 has the label 'even', {lacks}"
    )


def test_all_classes_with_too_few_examples_are_named(project: Project) -> None:
    project.table("train.csv", [*rows(20), ("x", "odd"), ("y", "even")])
    project.fails("mine/train.csv: class 'even' has 1 example, 'odd' has 1 example (copies of", "but 2 are required")


def test_lines_without_a_semicolon_are_named_with_other_problems(project: Project) -> None:
    write_file(project.data / "train.txt", "".join(f"text {i};good\n" for i in range(5)) + "none\n\nx;\nnone either\n")
    project.fails("mine/train.txt: line 6 (also 9) has no semicolon. Write every line", "Line 8 has no label. Fill")


def test_values_of_parquet_are_checked_as_those_of_text_formats(project: Project) -> None:
    frame = pd.DataFrame(rows(20), columns=["text", "label"], dtype=object)
    frame.loc[3, "label"] = frame.loc[4, "label"] = frame.loc[7, "text"] = None
    frame.to_parquet(project.data / "train.parquet")
    project.fails("mine/train.parquet: row 4 (also 5) has no label. Fill it in or remove the row.")
