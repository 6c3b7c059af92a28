"""Labels as the readers of tables understand them."""

from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from potstill.readers.tables import class_name
from tests.prepare_project import Project, rows, three_splits
from tests.tables import write_file, write_frame


@pytest.mark.parametrize("ending", ["csv", "tsv", "jsonl", "parquet", "txt"])
def test_numbers_and_booleans_are_the_same_labels_from_every_format(project: Project, ending: str, capsys) -> None:
    for values, names in (([0.5, 1.0, 1.5, 2.0], ["0.5", "1", "1.5", "2"]), ([True, False], ["false", "true"])):
        table = [(f"text {i}", values[i % len(values)]) for i in range(60)]
        write_frame(pd.DataFrame(table, columns=["text", "label"]), project.data / f"train.{ending}")
        assert project.prepare()[0].labels == names
    assert "'false'" not in capsys.readouterr().err


def test_labels_are_the_same_however_a_format_writes_them(project: Project) -> None:
    written = {
        "csv": [["0.10", "1e+20", "true"], "text,label\n", "{text},{label}\n"],
        "jsonl": [["0.10", "1e20", "true"], "", '{{"text": "{text}", "label": {label}}}\n'],
    }
    for name, (labels, head, line) in written.items():
        content = head + "".join(line.format(text=f"t {i}", label=labels[i % 3]) for i in range(60))
        write_file(project.data / f"train.{name}", content)
        assert project.prepare(train=f"train.{name}")[0].labels == ["0.1", "1e+20", "true"]
    for kind, labels in ((float, [0.1, 1e20]), (bool, [False, True])):
        values = pa.array([kind(labels[i % 2]) for i in range(60)])
        pq.write_table(pa.table({"text": [f"t {i}" for i in range(60)], "label": values}), project.data / "a.parquet")
        names = ["0.1", "1e+20"] if kind is float else ["false", "true"]
        assert project.prepare(train="a.parquet")[0].labels == names


def test_labels_that_are_one_number_are_printed(project: Project, capsys) -> None:
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


def test_numbers_that_tables_write_differently_are_one_class(project: Project, capsys) -> None:
    project.table("train.csv", rows(40, labels=("4.50", "3.00")))
    project.table("test.csv", rows(4, labels=("4.5", "3"), word="t"))
    assert project.prepare()[0].labels == ["3", "4.5"]
    says = "mine/train.csv: labels that are numbers are read as numbers: '3.00' is the class '3', '4.50' is"
    [line] = [line for line in capsys.readouterr().err.splitlines() if "class" in line]
    assert line == f"{says} the class '4.5'. If they are names, put a letter before them (as in v3.10)"
    write_file(project.data / "test.jsonl", '{"text": "t", "label": 4.5}\n{"text": "u", "label": 3.0}\n')
    decimals = pa.array([Decimal("4.500"), Decimal("3.000")])
    pq.write_table(pa.table({"text": ["t", "u"], "label": decimals}), project.data / "test.parquet")
    for test in ("test.jsonl", "test.parquet"):
        assert project.prepare(test=test)[0].labels == ["3", "4.5"]
        assert says in capsys.readouterr().err


def test_labels_that_may_be_versions_are_refused_in_all_of_a_table(project: Project) -> None:
    says = "the labels '1.1' and '1.10' are the same number. Write them in the same way if they are"
    project.table("train-00000-of-00002.csv", rows(40, labels=("1.1", "1.2")))
    project.table("train-00001-of-00002.csv", rows(4, labels=("1.10", "1.20"), word="t"))
    project.fails(f"mine/train-00000-of-00002.csv and mine/train-00001-of-00002.csv: {says}")
    for labels in (['"1.1"', '"1.10"'], ['["1.1"]', '["1.10"]']):
        found = [*labels, "2"]
        content = "".join(f'{{"text": "t {i}", "label": {found[i % 3]}}}\n' for i in range(60))
        write_file(project.data / "a.jsonl", content)
        project.fails(f"mine/a.jsonl: {says}", train="a.jsonl", multi_label=labels[0][0] == "[")
    write_file(project.data / "a.jsonl", content.replace('["1.1"]', "1.1").replace('["1.10"]', '"1.10"'))
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
            "the labels 'e\\u0301' and 'é' look the same, and differ in invisible characters or",
        ),
        (["\u200b", "pos"], "the label '\\u200b' is invisible. Rename it"),
        (["a|b", "c"], ": 'a|b' contains |, which separates labels. Rename it"),
    ],
)
def test_names_of_ids_are_checked_as_labels_are(project: Project, names, says) -> None:
    project.table("train.csv", rows(40, labels=(0, 1)))
    project.fails("`prepare.label_names`", says, label_names=names, multi_label=True)


def test_names_of_ids_that_differ_in_case_are_printed(project: Project, capsys) -> None:
    project.table("train.csv", rows(40, labels=(0, 1)))
    assert project.prepare(label_names=["Pos", "pos"])[0].labels == ["Pos", "pos"]
    says = "`prepare.label_names`: the labels 'Pos' and 'pos' differ in case only; they count as two classes"
    assert says in capsys.readouterr().err


def test_an_id_of_thousands_of_digits_is_out_of_range(project: Project) -> None:
    project.table("train.csv", rows(60, labels=(0, 1, "9" * 5000)))
    project.fails(
        "mine/train.csv: row 3 (also 6, 9, 12 and 16 more) has",
        "but `prepare.label_names` has names for the ids 0 to 1",
        label_names=["a", "b"],
    )


@pytest.mark.parametrize(("label", "name", "read"), [("1e5", 1e5, "100000"), ("01", 1, "1")])
def test_a_name_that_yaml_reads_as_a_number_is_to_be_quoted(project: Project, label, name, read) -> None:
    project.table("train.csv", rows(40, labels=(label, "b")))
    project.fails(
        f"(also 3, 5, 7 and 16 more) has the label '{label}', which is '{read}' in `prepare.label_names`. Write it ",
        label_names=[name, "b"],
    )


def test_large_decimals_are_classes_of_their_own(project: Project) -> None:
    names = ["12345678901234567890", "12345678901234567891"]
    texts = [f"t {i}" for i in range(40)]
    label = pa.array([Decimal(names[i % 2]) for i in range(40)], pa.decimal128(20, 0))
    pq.write_table(pa.table({"text": texts, "label": label}), project.data / "a.parquet")
    assert project.prepare(train="a.parquet")[0].labels == names


def test_labels_that_are_one_id_are_printed(project: Project, capsys) -> None:
    project.table("train.csv", rows(60, labels=("0", "1", "01")))
    assert project.prepare(label_names=["neg", "pos"])[0].labels == ["neg", "pos"]
    assert "'01' (20 rows) and '1' (20 rows) are the same number; they count as one class" in capsys.readouterr().err


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
    project: Project,
    label: str,
    name: str,
    says: str,
) -> None:
    project.table("train.csv", rows(40, labels=(label, "b")))
    project.fails(
        "mine/train.csv: row 1 (also 3, 5, 7 and 16 more) has",
        f"the label {says.format('`prepare.label_names`')}",
        label_names=[name, "b"],
    )


def test_a_label_that_train_has_in_another_case_is_an_error(project: Project) -> None:
    project.table("train.csv", rows(40, labels=("joy", "b")))
    project.table("test.csv", [("t", "Joy")])
    project.fails("mine/test.csv: row 1 has the label 'Joy', which differs from 'joy' in mine/train.csv only in case")


def test_a_label_that_is_too_large_a_number_is_an_error(project: Project) -> None:
    for label in ("9" * 5000, "1e999", "Infinity", "12345678901234567890.0"):
        write_file(project.data / "train.jsonl", f'{{"text": "a", "label": 1}}\n{{"text": "b", "label": {label}}}\n')
        project.fails("line 2 has a label that is an infinite or too large number. Store labels as")
    given = "".join(
        f'{{"text": "t {i}", "label": {10**20 + i % 2}, "id": {"9" * 5000 if i else 1}}}\n' for i in range(40)
    )
    write_file(project.data / "train.jsonl", given)
    assert project.prepare()[0].labels == [str(10**20), str(10**20 + 1)]


def test_labels_that_tie_as_numbers_have_one_order(project: Project) -> None:
    project.table("train.csv", rows(60, labels=("1", "01", "2", "001")))
    assert project.prepare()[0].labels == ["001", "01", "1", "2"]


def test_labels_that_look_the_same_are_refused_or_printed(project: Project, capsys) -> None:
    pairs = (
        ("café", "cafe\u0301"),
        ("good", "go\u200bod"),
        ("so so", "so\xa0so"),
        ("❤", "❤\ufe0f"),
        ("a b", "a  b"),
    )
    for one, other in pairs:
        project.table("train.csv", rows(40, labels=(one, other)))
        project.fails(f"'{one}' (20 rows)", f"{other!a} (20 rows)", "look the same")
    project.table("train.csv", rows(40, labels=("a b", "a  b")))
    project.fails(
        "'a  b' (20 rows) and 'a b' (20 rows) look the same, and differ in white space. Write them in the same way"
    )
    for empty in ("\u200b", "\u3164", "\u2800"):
        project.table("train.csv", rows(40, labels=("good", empty)))
        project.fails(f"the label {empty!a} (20 rows) is invisible")
    project.table("train.csv", rows(40, labels=("café", "bad")))
    project.table("test.csv", [("v", "cafe\u0301")])
    project.fails("'cafe\\u0301' (1 rows) and 'café' (20 rows) look the same")
    (project.data / "test.csv").unlink()
    project.table("train.csv", rows(40, labels=("Über", "über", "bad")))
    assert project.prepare()[0].labels == ["bad", "Über", "über"]
    assert "the labels 'Über' (14 rows) and 'über' (13 rows) differ in case only" in capsys.readouterr().err
    for one, other in (("fin", "ﬁn"), ("strasse", "straße")):
        project.table("train.csv", rows(40, labels=(one, other)))
        project.prepare()
        assert "(20 rows) differ in the form of its characters only" in capsys.readouterr().err


def test_names_that_are_equal_without_white_space_are_refused(project: Project) -> None:
    project.table("train.csv", rows(40, labels=(0, 1)))
    project.fails("the class 'a' is listed twice", label_names=["a", "a "])
    project.fails("`prepare.label_names`: the label '' is invisible. Rename it", label_names=["a", " "])


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ("1.0", "1"), (1.0, "1"), (np.float32(1), "1"), (1, "1"), ("-3.0", "-3"), (2.5, "2.5"), ("2.5", "2.5"),
        ("01", "01"), ("1.10", "1.1"), (True, "true"), (np.True_, "true"), (" x ", "x"), (10**20, "1" + "0" * 20),
        ("1e3", "1e3"), ("True", "true"), ("0.10", "0.1"), (0.1, "0.1"), (np.float32(0.1), "0.1"), (1e20, "1e+20"),
        ("1e+20", "1e+20"), ("-0.00", "0"), (-0.0, "0"), ("0.00001", "1e-05"), (0.00001, "1e-05"), ("1.2.0", "1.2.0"),
        ("0.1234567890123456789", "0.1234567890123456789"), ("1.", "1."), (".5", ".5"), ("00.5", "00.5"),
        ("1234567890123456.0", "1234567890123456"), (1234567890123456.0, "1234567890123456"), ("-0", "0"),
        ("0.100000000000000000", "0.1"), ("1E-5", "1e-05"), ("1e+5", "100000"), ("1.5e3", "1500"), ("1e5", "1e5"),
        ("1.5e999", "1.5e999"), ("1.5e-999", "1.5e-999"), ("12345678901234567890.0", "12345678901234567890.0"),
        (12345678901234567890.0, None), (9007199254740992.0, None), (9007199254740991.0, "9007199254740991"),
        (10 / 3, "3.3333333333333335"), (np.float16(0.1), "0.1"),
        (float("inf"), None), (b"a", None), (["a"], None), ("FALSE", "false"), ("tRue", "tRue"),
    ],
)  # fmt: skip
def test_the_class_name_a_class(value, name):
    assert class_name(value) == name


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet", "txt"])
def test_ids_are_labels_and_take_the_names_given(project: Project, ending: str) -> None:
    frame = pd.DataFrame(rows(40, labels=(0, 1)), columns=["text", "label"])
    write_frame(frame, project.data / f"train.{ending}")
    named, facts = project.prepare(label_names=["no", "yes"])
    assert named.labels == ["no", "yes"]
    assert set(facts["labels"]["train"]) == {"no", "yes"}
    unnamed, _ = project.prepare()
    assert unnamed.labels == ["0", "1"]
    pd.testing.assert_frame_equal(named.train, unnamed.train)


def test_ids_are_ordered_as_numbers(project: Project) -> None:
    project.table("train.csv", rows(48, labels=(10, 9, 2)))
    assert project.prepare()[0].labels == ["2", "9", "10"]


def test_names_take_the_order_given(project: Project) -> None:
    three_splits(project)
    assert project.prepare()[0].labels == ["bad", "good"]
    data, facts = project.prepare(label_names=["good", "bad"])
    assert data.labels == ["good", "bad"]
    assert data.train["label"].tolist()[:2] == [1, 0]
    assert facts["labels"]["train"] == {"good": 10, "bad": 10}


def test_a_class_may_be_called_none_or_na(project: Project) -> None:
    project.table("train.csv", rows(40, labels=("None", "NA")))
    assert project.prepare()[0].labels == ["NA", "None"]


def test_label_in_test_that_train_lacks(project: Project) -> None:
    three_splits(project)
    project.table("test.csv", [("fine", "good"), ("so so", "neutral")])
    project.fails("mine/test.csv: row 2", "'neutral'", "mine/train.csv")


def test_one_class_only(project: Project) -> None:
    project.table("train.csv", rows(20, labels=("good",)))
    project.fails("mine/train.csv: only the label 'good'")


def test_labels_that_do_not_fit_the_data(project: Project) -> None:
    three_splits(project)
    project.fails("mine/train.csv: row 1", "'bad'", "`prepare.label_names`", label_names=["good", "worse"])
    project.fails("has 'fair'", "Remove it", label_names=["good", "bad", "fair"])
    project.table("train.csv", rows(20, labels=(0, 1, 2)))
    project.table("val.csv", rows(20, labels=(0, 1), word="v"))
    project.table("test.csv", rows(20, labels=(0, 1), word="t"))
    project.fails(
        "mine/train.csv: row 3 (also 6, 9, 12 and 2 more) has the label '2'", "ids 0 to 1", label_names=["no", "yes"]
    )
    project.table("val.csv", rows(20, labels=(-1,), word="v"))
    project.table("train.csv", rows(20, labels=(-1, 0, 1)))
    project.fails(
        "mine/train.csv: row 1 (also 4, 7, 10 and 3 more) has the label '-1'",
        "mine/val.csv: row 1",
        label_names=["no", "yes"],
    )
