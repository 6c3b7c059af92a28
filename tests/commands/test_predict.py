"""`potstill predict`: tables in, tables out, and what happens when something is wrong."""

import csv
import dataclasses
import datetime
import io
import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from potstill import cli
from potstill.bulk import predict as bulk
from potstill.core.errors import PotstillError
from potstill.readers import read
from potstill.runtime.model import Student
from potstill.scoring import model as teachers
from tests.command import ODD_LABELS, TEXTS, answers, call, records, refused, run, write
from tests.profiles import with_profile
from tests.scopes import TEXTS as SCOPED
from tests.scopes import scoped
from tests.students import multi_label_student, promising, student
from tests.tables import write_frame
from tests.teachers import make_teacher


def test_lines_in_objects_out(model):
    given = "".join(f"{text}\n" for text in TEXTS)
    out, _ = run("predict", model, given=given.encode())
    rows = [json.loads(line) for line in out.splitlines()]
    expected = Student.load(model)
    assert [row["label"] for row in rows] == expected.predict(TEXTS).tolist()
    np.testing.assert_allclose([row["probability"] for row in rows], expected.predict_proba(TEXTS).max(1), atol=1e-6)


@pytest.mark.parametrize("source", ["a.txt", "a.csv", "a.tsv", "a.jsonl", "a.parquet"])
@pytest.mark.parametrize("target", ["b.jsonl", "b.csv", "b.tsv", "b.parquet"])
def test_any_table_in_any_table_out(model, source, target, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(read, "ROWS", 4)  # more than one batch
    texts = TEXTS * 3
    call(capsys, "predict", model, write(tmp_path / source, texts), "-o", tmp_path / target)
    labels, probabilities = answers(tmp_path / target)
    expected = Student.load(model)
    assert labels == expected.predict(texts).tolist()
    np.testing.assert_allclose(probabilities, expected.predict_proba(texts).max(1), atol=1e-6)


@pytest.mark.parametrize("multi_label", [False, True], ids=["one label", "multi-label"])
@pytest.mark.parametrize("target", ["b.jsonl", "b.csv", "b.parquet"])
def test_texts_out_of_scope_are_marked(multi_label, target, tmp_path, capsys):
    made = scoped((multi_label_student if multi_label else student)("mlp"))
    made.save(tmp_path / "a.pot")
    texts = [text for text in SCOPED if text.isprintable() and text.strip()]
    source = write(tmp_path / "a.csv", texts)
    call(capsys, "predict", tmp_path / "a.pot", source, "--scope", "-o", tmp_path / target)
    rows = records(tmp_path / target)
    found = made.in_scope(texts)
    assert [str(row["in_scope"]).lower() for row in rows] == [str(inside).lower() for inside in found.tolist()]
    assert len(set(found)) == 2
    call(capsys, "predict", tmp_path / "a.pot", source, "-o", tmp_path / target, "--overwrite")
    name = "labels" if multi_label else "label"
    assert [row[name] for row in records(tmp_path / target)] == [row[name] for row in rows]
    assert "in_scope" not in records(tmp_path / target)[0]


def test_a_column_about_the_scope_requires_a_threshold_and_a_table(model, tmp_path, capsys):
    source = write(tmp_path / "a.txt", TEXTS)
    message = refused("predict", model, source, "--scope")
    assert "no threshold for texts that are out of scope" in message
    message = refused("predict", model, source, "--scope", "-o", tmp_path / "b.txt")
    assert message == "--scope: a text file has labels only. Write jsonl, csv or parquet."
    assert not (tmp_path / "b.txt").exists()


@pytest.mark.parametrize("command", ["predict", "page", "qr", "drift"])
def test_a_file_is_replaced_only_if_asked(command, tmp_path, capsys):
    with_profile(TEXTS, student("bigru")).save(tmp_path / "a.pot")
    source = [write(tmp_path / "a.txt", TEXTS)] if command in ("predict", "drift") else []
    made = tmp_path / "made.csv"
    made.write_text("mine")
    arguments = command, tmp_path / "a.pot", *source, "-o", made
    assert refused(*arguments) == f"{made}: it exists already. Name another file, or add --overwrite."
    assert made.read_text() == "mine"
    assert len(list(tmp_path.iterdir())) == 2 + len(source)
    call(capsys, *arguments, "--overwrite")
    assert made.read_bytes() != b"mine"


def test_labels_alone(model, tmp_path, capsys):
    call(capsys, "predict", model, write(tmp_path / "a.txt", TEXTS), "-o", tmp_path / "b.txt")
    assert (tmp_path / "b.txt").read_text().splitlines() == Student.load(model).predict(TEXTS).tolist()


def test_several_classes_and_none_where_none_is_likely(model, tmp_path, capsys):
    source = write(tmp_path / "a.txt", TEXTS)
    out = call(capsys, "predict", model, source, "--top-k", 9, "--threshold", 0.8)
    scored = Student.load(model).predict_proba(TEXTS)
    sure = 0
    for line, probabilities in zip(out.splitlines(), scored, strict=True):
        row = json.loads(line)
        order = np.argsort(-probabilities)
        assert [row["label_2"], row["label_3"]] == [f"c{i}" for i in order[1:]]
        assert row["label"] == (f"c{order[0]}" if probabilities.max() >= 0.8 else None)
        sure += row["label"] is not None
    assert 0 < sure < len(TEXTS)


@pytest.fixture(scope="module")
def teacher(bert, tmp_path_factory):
    """A tiny teacher of the same classes in another order."""
    return make_teacher(bert, tmp_path_factory.mktemp("teacher"), ["c2", "c0", "c1"])


@pytest.mark.parametrize("target", ["b.jsonl", "b.csv", "b.parquet"])
def test_a_label_is_empty_where_the_guarantee_does_not_hold(target, tmp_path, capsys):
    made = promising(student("bigru"), TEXTS)
    made.save(tmp_path / "a.pot")
    source = write(tmp_path / "a.csv", TEXTS)
    call(capsys, "predict", tmp_path / "a.pot", source, "-o", tmp_path / target, "--abstain")
    labels, probabilities = answers(tmp_path / target)
    assert [label or None for label in labels] == made.predict(TEXTS, abstain=True).tolist()
    np.testing.assert_allclose(probabilities, made.predict_proba(TEXTS).max(1), atol=1e-6)


def test_a_model_that_cannot_abstain_says_so(model, tmp_path):
    promising(student("bigru"), TEXTS).save(tmp_path / "a.pot")
    source = write(tmp_path / "a.csv", TEXTS)
    assert refused("predict", model, source, "--abstain") == (
        "--abstain: the model has no guarantee. Leave it out, or set export.guarantee and export."
    )
    for other in (("--threshold", "0.5"), ("--fallback", tmp_path)):
        assert "Leave" in refused("predict", tmp_path / "a.pot", source, "--abstain", *other)


@pytest.mark.slow
def test_the_fallback_answers_where_the_guarantee_does_not_hold(teacher, tmp_path, capsys):
    made = promising(student("bigru"), TEXTS)
    made.save(tmp_path / "a.pot")
    source = write(tmp_path / "a.csv", TEXTS)
    call(capsys, "predict", tmp_path / "a.pot", source, "-o", tmp_path / "b.jsonl", "--fallback", teacher)
    passed_on = [row["passed_on"] for row in records(tmp_path / "b.jsonl")]
    assert passed_on == [label is None for label in made.predict(TEXTS, abstain=True)]
    assert set(passed_on) == {False, True}


@pytest.mark.slow
@pytest.mark.parametrize("target", ["b.jsonl", "b.csv", "b.parquet"])
def test_below_the_threshold_the_fallback_answers(model, teacher, target, tmp_path, capsys):
    texts = [f"{text} {i}" for i, text in enumerate(TEXTS * 5)]
    source = write(tmp_path / "a.txt", texts)
    made = Student.load(model)
    sure = made.predict_proba(texts).max(1)
    threshold = float(np.median(sure)) + 1e-6
    command = ("predict", model, source, "-o", tmp_path / target, "--threshold", threshold, "--fallback", teacher)
    cli.execute([str(argument) for argument in command])
    unsure = sure < threshold
    said = f"30 texts classified, {unsure.sum()} of them ({unsure.mean():.1%}) by {teacher}"
    assert said in capsys.readouterr().err
    loaded = teachers.load(teacher)
    theirs = np.array(loaded.labels)[loaded.logits(texts).argmax(1)]
    labels, _ = answers(tmp_path / target)
    assert labels == np.where(unsure, theirs, made.predict(texts)).tolist()
    if target.endswith("parquet"):
        found = pq.read_table(tmp_path / target)["passed_on"].to_pylist()
    elif target.endswith("csv"):
        with (tmp_path / target).open() as stream:
            found = [row["passed_on"] == "true" for row in csv.DictReader(stream)]
    else:
        found = [json.loads(line)["passed_on"] for line in (tmp_path / target).read_text().splitlines()]
    assert found == unsure.tolist()


def test_a_fallback_that_cannot_be_is_refused(model, bert, teacher, tmp_path, monkeypatch):
    source = write(tmp_path / "a.txt", TEXTS)
    command = ("predict", model, source, "-o", tmp_path / "b.csv", "--fallback")
    assert "--fallback requires --threshold" in refused(*command, teacher)
    assert "teacher.json: no such file" in refused(*command, tmp_path, "--threshold", "1")
    teachers.describe(tmp_path, "table", ["c0", "c1", "c2"])
    pq.write_table(pa.table({"text": ["a"], "c0": [1.0], "c1": [0.0], "c2": [0.0]}), tmp_path / "table.parquet")
    assert "without probabilities of new texts" in refused(*command, tmp_path, "--threshold", "1")
    other = make_teacher(bert, tmp_path / "other", ["x", "y", "z"])
    assert "has the labels x, y, z, the student c0, c1, c2" in refused(*command, other, "--threshold", "1")
    monkeypatch.setitem(sys.modules, "pandas", None)  # as where only the base is installed
    monkeypatch.delitem(sys.modules, "potstill.scoring.model")
    monkeypatch.delattr("potstill.scoring.model")
    assert "pandas is not installed. Run `pip install -e '.[train]'` in a clone" in refused(
        *command, teacher, "--threshold", "1"
    )
    assert not (tmp_path / "b.csv").exists()


@pytest.mark.parametrize("name", ["teacher.json", "tokenizer.json"])
def test_no_file_of_the_fallback_is_overwritten(name, model, teacher, tmp_path):
    before = (teacher / name).read_bytes()
    source = write(tmp_path / "a.txt", TEXTS)
    command = ("predict", model, source, "--output-format", "jsonl", "--threshold", "1", "--fallback", teacher)
    assert "is both input and output. Choose another output" in refused(*command, "-o", teacher / name)
    assert (teacher / name).read_bytes() == before


@pytest.mark.parametrize("target", ["b.jsonl", "b.csv", "b.parquet"])
def test_no_rows_are_no_error(model, target, tmp_path, capsys):
    call(capsys, "predict", model, write(tmp_path / "a.csv", []), "-o", tmp_path / target)
    assert answers(tmp_path / target) == ([], [])


KEPT = {
    "id": [7, 8, 9],
    "subject": ["card", "", None],
    "body": ["the ab", 'not, "good"\r\nline', "ab"],
    "tags": [["a", "b"], [], ["c"]],
}


@pytest.mark.parametrize("source", ["a.csv", "a.jsonl", "a.parquet"])
@pytest.mark.parametrize("target", ["b.jsonl", "b.csv", "b.tsv", "b.parquet"])
def test_kept_columns_stay_beside_their_answers(model, source, target, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(read, "ROWS", 2)  # more than one batch
    frame = pd.DataFrame(KEPT)
    if source == "a.parquet":
        frame = frame.assign(day=[datetime.date(2024, 1, day) for day in (1, 2, 3)])
    write_frame(frame, tmp_path / source)
    keep = "id,body,tags" + ",day" * (source == "a.parquet")
    options = ("--text", "subject,body", "--keep", keep, "-o", tmp_path / target)
    call(capsys, "predict", model, tmp_path / source, *options)
    rows = records(tmp_path / target)
    assert list(rows[0]) == [*keep.split(","), "label", "probability"]
    assert [int(row["id"]) for row in rows] == KEPT["id"]
    assert [row["body"] for row in rows] == KEPT["body"]
    texts = ["card the ab", 'not, "good"\r\nline', "ab"]
    assert [row["label"] for row in rows] == Student.load(model).predict(texts).tolist()
    if target == "b.parquet" and source == "a.parquet":
        kept = pq.read_table(tmp_path / source)["day"]
        assert pq.read_table(tmp_path / target)["day"] == kept
        assert [list(row["tags"]) for row in rows] == KEPT["tags"]
    elif source != "a.csv" and target == "b.jsonl":
        assert [row["tags"] for row in rows] == KEPT["tags"]
    elif source == "a.parquet":
        assert [row["day"] for row in rows] == ["2024-01-01", "2024-01-02", "2024-01-03"]
        assert [json.loads(row["tags"]) for row in rows] == KEPT["tags"]


def test_lines_stay_beside_their_answers(model, tmp_path):
    out, _ = run("predict", model, "--keep", "text", given=b"the ab\nnot good\n")
    assert [json.loads(line)["text"] for line in out.splitlines()] == ["the ab", "not good"]
    assert "standard input" not in out
    _, says = run("predict", model, "--keep", "id", given=b"the ab\n", expected=1)
    assert says == "error: --keep: standard input is a text file, which has only `text` (found: id).\n"


@pytest.mark.parametrize("target", ["b.jsonl", "b.csv", "b.parquet"])
def test_no_rows_have_kept_columns_too(model, target, tmp_path, capsys):
    call(capsys, "predict", model, write(tmp_path / "a.csv", []), "--keep", "id", "-o", tmp_path / target)
    assert records(tmp_path / target) == []
    header = {"b.csv": "id,label,probability\n"}.get(target)
    assert header is None or (tmp_path / target).read_text() == header


def test_columns_that_cannot_be_kept_are_named(model, tmp_path, capsys):
    (tmp_path / "a.csv").write_text("id,label,text\n1,x,the ab\n")
    command = ("predict", model, tmp_path / "a.csv", "--keep")
    assert refused(*command, "label").startswith("--keep: the predictions have a column 'label' of their own. Rename")
    assert "no column 'idd' (found: 'id', 'label', 'text'). Name columns that are there." in refused(*command, "idd")
    assert "a text file has labels only" in refused(*command, "id", "-o", tmp_path / "b.txt")
    assert not (tmp_path / "b.txt").exists()
    for names in ("", "id,id", "id,"):
        with pytest.raises(SystemExit):
            call(capsys, *command, names)
        assert "must be different names, separated by commas" in capsys.readouterr().err
    (tmp_path / "b.csv").write_text('"a, b",text\n1,the ab\n')
    out = call(capsys, "predict", model, tmp_path / "b.csv", "--keep", '"a, b"')
    assert json.loads(out)["a, b"] == "1"


def test_another_column(model, tmp_path, capsys):
    (tmp_path / "a.csv").write_text("body\nthe ab\n")
    assert "no column 'text' (found: 'body'). Set --text body" in refused("predict", model, tmp_path / "a.csv")
    assert json.loads(call(capsys, "predict", model, tmp_path / "a.csv", "--text", "body"))["label"]
    (tmp_path / "b.csv").write_text("title,body\nx,the ab is not good\n")
    assert "no column 'bodi'" in (says := refused("predict", model, tmp_path / "b.csv", "--text", "title,bodi"))
    assert says.endswith("Set --text title,body.")


BAD = {
    "a.txt": (b"the\n\xff\xfe\nab\n", "line 2 has a byte that is not UTF-8 (0xff)"),
    "a.csv": (b"text,x\nthe,1\nthe\nab,2\n", "row 2 has 1 field, but the header has 2"),
    "b.csv": (b"text,x\nthe,1\n\xff,1\nab,2\n", "row 2 has a byte that is not UTF-8 (0xff)"),
    "a.jsonl": (b'{"text": "the"}\n{"text": 3}\n{"text": "ab"}\n', "line 2 holds 3, which is not a string"),
    "b.jsonl": (b'{"text": "the"}\n{"tex\n{"text": "ab"}\n', "line 2 is not valid JSON (Unterminated string"),
    "c.jsonl": (b'{"text": "the"}\n' + b"[" * 100_000 + b'\n{"text": "ab"}\n', "line 2 is nested too deeply"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_row_ends_it_or_is_left_out_and_counted(model, name, tmp_path, capsys):
    content, message = BAD[name]
    (tmp_path / name).write_bytes(content)
    assert message in refused("predict", model, tmp_path / name, "-o", tmp_path / "out.jsonl")
    assert not (tmp_path / "out.jsonl").exists()
    cli.execute(["predict", str(model), str(tmp_path / name), "--skip-bad"])
    shown = capsys.readouterr()
    assert [json.loads(line)["row"] for line in shown.out.splitlines()] == [1, 3]
    assert shown.err == "2 texts classified, 1 bad rows skipped\n"


def test_a_missing_text_of_a_parquet_file_likewise(model, tmp_path, capsys):
    pq.write_table(pa.table({"text": ["the", None, "ab"]}), tmp_path / "a.parquet")
    assert "row 2 has no text" in refused("predict", model, tmp_path / "a.parquet")
    cli.execute(["predict", str(model), str(tmp_path / "a.parquet"), "--skip-bad", "-o", str(tmp_path / "b.parquet")])
    assert pq.read_table(tmp_path / "b.parquet")["row"].to_pylist() == [1, 3]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none.csv"], "none.csv: no such file"),
        (["a.xyz"], "unknown ending (known: .csv, .tsv"),
        (["number.parquet"], "the column 'text' holds int64, not strings"),
        (["foreign.parquet"], "is not a valid Parquet file"),
        (["a.csv", "-o", "a.csv"], "is both input and output. Choose another output"),
        (["empty.csv"], "empty.csv: the file is empty"),
    ],
)
def test_bad_files_are_named(model, arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "a.csv", TEXTS)
    (tmp_path / "empty.csv").touch()
    (tmp_path / "foreign.parquet").write_bytes(b"PAR1 nonsense")
    pq.write_table(pa.table({"text": [1, 2]}), tmp_path / "number.parquet")
    before = sorted(path.name for path in tmp_path.iterdir())
    assert message in refused("predict", model, *arguments)
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_jsonl_is_safe_for_a_terminal_and_reads_back(odd, capsys):
    out = call(capsys, "predict", odd, write(odd.with_name("a.txt"), TEXTS), "--top-k", "3")
    assert all(line.isprintable() for line in out.split("\n"))
    rows = [json.loads(line) for line in out.splitlines()]
    assert {row[key] for row in rows for key in ("label", "label_2", "label_3")} == set(ODD_LABELS)


@pytest.mark.parametrize("name", ["b.csv", "b.tsv"])
def test_tables_hold_any_label_as_it_is(name, tmp_path, capsys):
    labels = ["a\rb", "tab\there", 'quote", ']
    dataclasses.replace(student("mlp"), labels=labels).save(tmp_path / "a.pot")
    call(
        capsys,
        "predict",
        tmp_path / "a.pot",
        write(tmp_path / "a.txt", TEXTS),
        "-o",
        tmp_path / name,
        "--top-k",
        "3",
    )
    rows = records(tmp_path / name)
    assert len(rows) == len(TEXTS)
    assert {row[key] for row in rows for key in ("label", "label_2", "label_3")} == set(labels)


@pytest.mark.parametrize("label", ["tab\there", "a\rb", "a\u2028b", "\x85"])
def test_a_label_that_would_break_the_lines_of_a_text_file_is_refused(label, tmp_path):
    dataclasses.replace(student("mlp"), labels=["a", label, "c"]).save(tmp_path / "a.pot")
    source = write(tmp_path / "a.txt", TEXTS)
    assert "would break the lines" in refused("predict", tmp_path / "a.pot", source, "-o", tmp_path / "b.txt")
    assert not (tmp_path / "b.txt").exists()


def test_a_reader_who_has_seen_enough_is_no_error(model):
    command = f"yes the ab | {sys.executable} -m potstill predict {model} | head -1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert done.stdout.startswith('{"label"')
    assert done.stderr == ""


@pytest.mark.slow
def test_memory_does_not_grow_with_the_file(model, tmp_path):
    import tracemalloc

    made = Student.load(model)
    write(tmp_path / "a.csv", ["the ab not good"] * 200_000)
    tracemalloc.start()
    bulk.predict(made, str(tmp_path / "a.csv"), str(tmp_path / "b.csv"))
    assert tracemalloc.get_traced_memory()[1] < 30e6
    tracemalloc.stop()


def test_dictionaries_and_views_are_strings_too(model, tmp_path, capsys):
    for kind in (pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string())):
        pq.write_table(pa.table({"text": pa.array(["the", "ab", "the"]).cast(kind)}), tmp_path / "a.parquet")
        out = call(capsys, "predict", model, tmp_path / "a.parquet")
        assert [json.loads(line)["label"] for line in out.splitlines()] == Student.load(model).predict(
            ["the", "ab", "the"]
        ).tolist()


def test_a_name_of_a_file_may_be_any_bytes(model, tmp_path, capsys):
    source, target = tmp_path / "\udcff.txt", tmp_path / "\udcfe.csv"
    call(capsys, "predict", model, write(source, TEXTS), "-o", target)
    assert target.exists()


def test_standard_input_may_hold_any_format(model, monkeypatch, capsys):
    class Input:
        buffer = io.BytesIO(b'{"text": "the ab"}\n')

    monkeypatch.setattr(sys, "stdin", Input)
    out = call(capsys, "predict", model, "--input-format", "jsonl", "--output-format", "csv")
    assert out.startswith("label,probability\n")


MULTI_LABEL_TEXTS = ["the ab not good", "", "日本 ça", "the ☕ the", "a", "ss ss"]


def label_lists(path):
    """Labels and probabilities per text of a table of answers."""
    rows = records(path)
    if path.suffix in (".csv", ".tsv"):
        for row in rows:
            row["labels"] = [label for label in row["labels"].split("|") if label]
            row["probabilities"] = [float(share) for share in row["probabilities"].split("|") if share]
    return [row["labels"] for row in rows], [row["probabilities"] for row in rows]


@pytest.mark.parametrize("ending", ["jsonl", "parquet", "csv", "tsv"])
def test_files_get_all_labels_of_a_text_the_most_probable_first(multi_label_model, capsys, tmp_path, ending):
    (tmp_path / "a.txt").write_text("".join(f"{text}\n" for text in MULTI_LABEL_TEXTS))
    made = Student.load(multi_label_model)
    call(capsys, "predict", multi_label_model, tmp_path / "a.txt", "-o", tmp_path / f"b.{ending}")
    labels, shares = label_lists(tmp_path / f"b.{ending}")
    assert [tuple(sorted(row)) for row in labels] == made.predict(MULTI_LABEL_TEXTS).tolist()
    assert any(len(row) > 1 for row in labels)
    for row, found, all_of_them in zip(labels, shares, made.predict_proba(MULTI_LABEL_TEXTS), strict=True):
        np.testing.assert_allclose(found, [all_of_them[made.labels.index(label)] for label in row], atol=1e-6)
        assert found == sorted(found, reverse=True)


def test_a_text_file_gets_them_joined(multi_label_model, capsys, tmp_path):
    (tmp_path / "a.txt").write_text("".join(f"{text}\n" for text in MULTI_LABEL_TEXTS))
    out = call(capsys, "predict", multi_label_model, tmp_path / "a.txt", "--output-format", "txt")
    labels = [tuple(sorted(filter(None, line.split("|")))) for line in out.splitlines()]
    assert labels == Student.load(multi_label_model).predict(MULTI_LABEL_TEXTS).tolist()


@pytest.mark.parametrize("ending", ["jsonl", "parquet", "csv", "txt"])
def test_a_file_without_rows_gets_none(multi_label_model, capsys, tmp_path, ending):
    (tmp_path / "a.txt").write_text("")
    call(capsys, "predict", multi_label_model, tmp_path / "a.txt", "-o", tmp_path / f"b.{ending}", "--skip-bad")
    if ending == "parquet":
        assert pq.read_table(tmp_path / "b.parquet").column_names == ["row", "labels", "probabilities"]
    else:
        assert (tmp_path / f"b.{ending}").read_text() == ("row,labels,probabilities\n" if ending == "csv" else "")


def test_a_threshold_and_a_number_choose_otherwise(multi_label_model, capsys, tmp_path):
    (tmp_path / "a.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in [*MULTI_LABEL_TEXTS, 1]))
    source, target = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    command = ["predict", multi_label_model, source, "-o", target, "--skip-bad", "--overwrite"]
    call(capsys, *command, "--threshold", "0", "--top-k", "2")
    labels, shares = label_lists(tmp_path / "b.jsonl")
    made = Student.load(multi_label_model)
    expected = np.argsort(-made.predict_proba(MULTI_LABEL_TEXTS), axis=1, kind="stable")[:, :2]
    assert labels == [[made.labels[id_] for id_ in row] for row in expected]
    assert json.loads((tmp_path / "b.jsonl").read_text().splitlines()[1])["row"] == 2
    call(capsys, *command, "--threshold", "0.9")
    labels, shares = label_lists(tmp_path / "b.jsonl")
    assert [len(row) for row in labels] == (made.predict_proba(MULTI_LABEL_TEXTS) >= 0.9).sum(1).tolist()
    assert all(share >= 0.9 for row in shares for share in row)


def test_a_fallback_is_refused(multi_label_model, tmp_path):
    with pytest.raises(PotstillError, match="--fallback requires a single-label model"):
        cli.execute(["predict", str(multi_label_model), "-", "--threshold", "0.5", "--fallback", str(tmp_path)])
