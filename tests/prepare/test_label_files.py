"""Labels that were given later, in files like those of a report."""

import pandas as pd

from potstill.report.downloads import csv
from tests.prepare_project import Project, rows, three_splits

COLUMNS = ["text", "label", "proposed"]


def fill_in(project: Project, name: str, *given: tuple[str, str | None]) -> None:
    frame = pd.DataFrame([(*row, "bad") for row in given], columns=COLUMNS)
    frame.to_csv(project.data / name, index=False, encoding="utf-8-sig")


def labels(frame: pd.DataFrame) -> dict[str, object]:
    return dict(zip(frame["text"], frame["label"], strict=True))


def test_new_texts_are_added_to_train_and_those_without_a_label_are_not(project: Project) -> None:
    three_splits(project)
    (project.data / "more.txt").write_text("new one\nnew two\nnew three\n")
    fill_in(project, "to_label.csv", ("new one", "good"), ("new two", None), ("New  three", " "))
    data, facts = project.prepare(unlabelled=["more.txt"])
    assert data.train["text"].tolist() == [*(text for text, _ in rows(20)), "new one"]
    assert labels(data.train)["new one"] == 1
    assert data.unlabelled["text"].tolist() == ["new two", "new three"]
    assert facts["given"] == {"train": 0, "validation": 0, "test": 0, "added": 1}
    assert facts["labels"]["train"] == {"bad": 10, "good": 11}


def test_a_label_replaces_that_of_all_copies_in_every_split(project: Project) -> None:
    three_splits(project)
    project.table("train.csv", [*rows(20), ("TEXT  0", "good")])
    fill_in(project, "suspects.csv", ("text 0", "good"), ("validation 1", "bad"), ("test 0", "bad"))
    data, facts = project.prepare()
    assert labels(data.train)["text 0"] == labels(data.train)["TEXT  0"] == 1
    assert labels(data.validation)["validation 1"] == 0
    assert facts["given"] == {"train": 1, "validation": 1, "test": 0, "added": 0}
    assert facts["rows"] == {"train": 21, "validation": 4, "test": 4, "unlabelled": 0}


def test_of_a_text_that_was_labelled_twice_the_last_row_of_the_last_file_counts(project: Project) -> None:
    three_splits(project)
    fill_in(project, "to_label-1.csv", ("new", "good"), ("NEW", "bad"), ("newer", "bad"))
    fill_in(project, "to_label-2.csv", ("Newer", "good"))
    data, _ = project.prepare()
    assert list(labels(data.train).items())[20:] == [("NEW", 0), ("Newer", 1)]


def test_no_text_moves_between_splits_that_are_drawn_from_train(project: Project) -> None:
    project.table("train.csv", rows(60))
    before, _ = project.prepare()
    fill_in(project, "to_label.csv", *((f"new {i}", "good") for i in range(30)))
    fill_in(project, "suspects.csv", *((f"text {i}", "good") for i in range(0, 20, 2)))
    after, facts = project.prepare()
    for split in ("train", "validation", "test"):
        assert after.split(split)["text"].tolist()[: len(before.split(split))] == before.split(split)["text"].tolist()
    assert len(after.train) == len(before.train) + 30
    assert sum(facts["given"][split] for split in ("train", "validation", "test")) == 10


def test_text_columns_and_ids_of_the_data_do_not_matter(project: Project) -> None:
    frame = pd.DataFrame({"subject": [f"a {i}" for i in range(20)], "body": "b", "class": [0, 1] * 10})
    for split in ("train", "validation", "test"):
        frame.assign(body=split).to_csv(project.data / f"{split}.csv", index=False)
    fill_in(project, "to_label.csv", ("c d", "good"), ("a 0 train", "good"))
    keys = {"text": ["subject", "body"], "label": "class", "label_names": ["bad", "good"]}
    data, facts = project.prepare(**keys)
    assert labels(data.train)["c d"] == labels(data.train)["a 0 train"] == 1
    assert facts["given"]["train"] == facts["given"]["added"] == 1


def test_a_text_that_the_report_wrote_for_a_spreadsheet_is_known_again(project: Project) -> None:
    project.table("train.csv", [("=1+1", "good"), ("'tis", "good"), *rows(20)])
    for split in ("validation", "test"):
        project.table(f"{split}.csv", rows(4, word=split))
    written = csv(pd.DataFrame({"text": ["=1+1", "'tis", "-new"], "label": ["bad"] * 3}))
    (project.data / "suspects.csv").write_bytes(written)
    data, facts = project.prepare()
    assert b"'=1+1" in written
    assert facts["given"] == {"train": 2, "validation": 0, "test": 0, "added": 1}
    assert [labels(data.train)[text] for text in ("=1+1", "'tis", "-new")] == [0, 0, 0]


def test_names_of_classes_that_look_like_formulas_may_be_copied(project: Project) -> None:
    project.table("train.csv", [(text, "-1" if label == "bad" else "+1") for text, label in rows(20)])
    written = csv(pd.DataFrame({"text": ["new"], "label": ["-1"]}))
    assert b"'-1" in written
    (project.data / "to_label.csv").write_bytes(written)
    assert project.prepare(test_share=0.2, validation_share=0.2)[1]["given"]["added"] == 1


def test_several_labels_or_none(project: Project) -> None:
    project.table("train.csv", [("a", "x|y"), ("b", "x"), ("c", "y"), ("d", "")])
    for split in ("validation", "test"):
        project.table(f"{split}.csv", [(f"{split} 1", "x"), (f"{split} 2", "y")])
    fill_in(project, "to_label.csv", ("new", "y|x"), ("none", "|"), ("later", None))
    fill_in(project, "suspects.csv", ("a", "x"))
    data, facts = project.prepare(multi_label=True)
    found = {text: list(ids) for text, ids in labels(data.train).items()}
    assert found == {"a": [0], "b": [0], "c": [1], "d": [], "new": [0, 1], "none": []}
    assert facts["given"] == {"train": 1, "validation": 0, "test": 0, "added": 2}


def test_a_file_without_labels_changes_nothing(project: Project) -> None:
    three_splits(project)
    before, _ = project.prepare()
    fill_in(project, "to_label.csv", ("text 0", None), ("new", None))
    after, facts = project.prepare()
    pd.testing.assert_frame_equal(after.train, before.train)
    assert "given" not in facts


def test_errors_name_the_file_and_the_row(project: Project) -> None:
    three_splits(project)
    fill_in(project, "to_label.csv", ("new", None), ("newer", "odd"))
    project.fails("mine/to_label.csv: row 2 has the label 'odd', which no row of train has (found: bad, good)")
    project.table("to_label.csv", [(" ", "good")])
    project.fails("mine/to_label.csv: no row has a text. Add one.")
    (project.data / "to_label.csv").write_text("text,proposed\nnew,good\n")
    project.fails("mine/to_label.csv: no column 'label' (found: 'text', 'proposed'). Add it, or rename the file.")
    (project.data / "to_label.csv").rename(project.data / "to_label.txt")
    project.fails("mine/to_label.txt: must be a table with the columns text and label")


def test_labels_are_refused_where_train_has_none(project: Project) -> None:
    three_splits(project)
    fill_in(project, "to_label.csv", ("new", "good"))
    project.fails(
        "mine/to_label.csv: it has labels, but `prepare.label` is null", label=None, label_names=["bad", "good"]
    )


def test_a_spreadsheet_is_refused_instead_of_ignored(project: Project) -> None:
    three_splits(project)
    (project.data / "to_label-1.xlsx").touch()
    assert "to_label-1.xlsx: a spreadsheet, which cannot be read. Save it as CSV" in project.fails()
