"""The command `potstill`, as a user runs it: files in, files out, and what happens when something is wrong."""

import csv
import dataclasses
import io
import json
import os
import re
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from potstill import cli
from potstill.bulk import predict as bulk
from potstill.commands import inspect
from potstill.core.errors import PotstillError
from potstill.readers import read
from potstill.runtime import explain
from potstill.runtime.model import Student
from potstill.scoring import model as teachers
from potstill.scoring import pretrained
from potstill.terminal import as_json
from tests.runtime.test_fast import ENTRIES, student

TEXTS = ["the ab not good", "", "日本 ça", 'a,"quoted" ab', "the ☕ the", "ab " * 500]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "student.pot"
    student("bigru").save(path)
    return path


def run(*arguments, given=b"", expected=0):
    """A process of its own, as from a shell."""
    done = subprocess.run([sys.executable, "-m", "potstill", *map(str, arguments)], input=given, capture_output=True)
    assert done.returncode == expected, done.stderr.decode()
    return done.stdout.decode(), done.stderr.decode()


def call(capsys, *arguments):
    """The same in this process, which is faster."""
    cli.execute([str(argument) for argument in arguments])
    return capsys.readouterr().out


def refused(*arguments):
    with pytest.raises(PotstillError) as caught:
        cli.execute([str(argument) for argument in arguments])
    return str(caught.value)


def write(path, texts):
    """A table of texts in the format that the name says, with a column before the text."""
    if path.suffix == ".txt":
        path.write_text("".join(f"{text}\n" for text in texts))
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps({"id": 1, "text": text}, ensure_ascii=False) + "\n" for text in texts))
    elif path.suffix == ".parquet":
        pq.write_table(pa.table({"id": range(len(texts)), "text": texts}), path)
    else:
        with path.open("w", newline="") as stream:
            rows = csv.writer(stream, delimiter="\t" if path.suffix == ".tsv" else ",")
            rows.writerows([["id", "text"], *enumerate(texts)])
    return path


def records(path):
    """The rows of a table of answers."""
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in path.read_text().splitlines()]
    if path.suffix == ".parquet":
        return pq.read_table(path).to_pylist()
    return list(csv.DictReader(path.open(newline=""), delimiter="\t" if path.suffix == ".tsv" else ","))


def answers(path):
    """Labels and probabilities of a table of answers."""
    rows = records(path)
    return [row["label"] for row in rows], [float(row["probability"]) for row in rows]


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


def make_teacher(bert, folder, labels):
    network, tokenizer = pretrained.load(str(bert), labels)
    network.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    teachers.describe(folder, "checkpoint", labels, 32)
    return folder


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
    assert "has no probabilities for new texts" in refused(*command, tmp_path, "--threshold", "1")
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


def test_another_column(model, tmp_path, capsys):
    (tmp_path / "a.csv").write_text("body\nthe ab\n")
    assert "no column 'text' (found: 'body'). Name one with --column" in refused("predict", model, tmp_path / "a.csv")
    assert json.loads(call(capsys, "predict", model, tmp_path / "a.csv", "--column", "body"))["label"]


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
        (["empty.csv"], "no column 'text' (found: none)"),
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


def test_errors_are_one_line_and_a_status(model, tmp_path):
    out, error = run("predict", tmp_path / "none.pot", expected=1)
    assert out == ""
    assert error.startswith("error: ")
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "the following arguments are required: command"),
        (["guess"], "invalid choice: 'guess'"),
        (["predict"], "the following arguments are required: model"),
        (
            ["predict", "a.pot", "--top-k", "0"],
            "argument --top-k: must be an integer from 1 to 2147483647 (found: '0')",
        ),
        (["predict", "a.pot", "--top-k", "9" * 5000], "argument --top-k: must be an integer from 1 to 2147483647"),
        (
            ["predict", "a.pot", "--threshold", "nan"],
            "argument --threshold: must be a number from 0 to 1 (found: 'nan')",
        ),
        (["predict", "a.pot", "--threshold", "1.5"], "must be a number from 0 to 1 (found: '1.5')"),
        (["predict", "a.pot", "--input-format", "\x1b[31m"], "invalid choice: '\\x1b[31m'"),
        (["predict", "a.pot", "--\x1b]0;owned\x07"], "unrecognized arguments: --\\x1b]0;owned\\x07"),
        (["serve", "a.pot", "--port", "\x1b[31m"], "argument --port: "),
    ],
)
def test_wrong_arguments_end_in_one_line_that_is_safe_for_a_terminal(arguments, message, capsys):
    with pytest.raises(SystemExit) as caught:
        cli.execute(arguments)
    assert caught.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert message in error
    assert error.count("\n") == 1
    assert error.removesuffix("\n").isprintable()


@pytest.mark.parametrize(
    "value",
    [
        "\x00\x1b\x7f\x85\x9b\u200b\u202e\u2028\ufeff\ud800\U000e0001",
        'plain "ä" \\ 日 👩\u200d👧',
        {"a\x9b": [None, 1.5]},
    ],
)
def test_json_is_printable_and_reads_back(value):
    assert json.loads(as_json(value)) == value
    assert "\u200d" in as_json(value) or as_json(value).isprintable()
    assert as_json([float("nan"), {"a": float("-inf")}, 1e308]) == '[null, {"a": null}, 1e+308]'


ODD_LABELS = ["\x1b[31mred\x07", "a\x9b2J\u2028\x7f", "=cmd|'/c calc'!A1"]


class TestLabelsOfElsewhere:
    """Labels that would drive a terminal, break lines or be run by a spreadsheet."""

    @pytest.fixture
    def odd(self, tmp_path):
        dataclasses.replace(student("mlp"), labels=ODD_LABELS).save(tmp_path / "odd.pot")
        return tmp_path / "odd.pot"

    @pytest.mark.parametrize(
        "arguments", [["inspect"], ["inspect", "--json"], ["explain", "\x1b[2J\u202e", "--label", ODD_LABELS[0]]]
    )
    def test_what_people_read_is_safe_for_a_terminal(self, arguments, odd, capsys):
        out = call(capsys, arguments[0], odd, *arguments[1:])
        assert all(line.isprintable() for line in out.split("\n"))
        assert "[31mred" in out

    def test_jsonl_is_safe_for_a_terminal_and_reads_back(self, odd, capsys):
        out = call(capsys, "predict", odd, write(odd.with_name("a.txt"), TEXTS), "--top-k", "3")
        assert all(line.isprintable() for line in out.split("\n"))
        rows = [json.loads(line) for line in out.splitlines()]
        assert {row[key] for row in rows for key in ("label", "label_2", "label_3")} == set(ODD_LABELS)

    @pytest.mark.parametrize("name", ["b.csv", "b.tsv"])
    def test_tables_hold_any_label_as_it_is(self, name, tmp_path, capsys):
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
    def test_a_label_that_would_break_the_lines_of_a_text_file_is_refused(self, label, tmp_path):
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


class TestInspect:
    def test_what_a_file_says(self, model, capsys):
        known = json.loads(call(capsys, "inspect", model, "--json"))
        assert known["labels"] == ["c0", "c1", "c2"]
        assert known["bytes"] == model.stat().st_size
        assert known["words"] == len(ENTRIES)
        made = Student.load(model)
        for label, words in known["informative"].items():
            for word, gain in words.items():
                found = np.log(made.predict_proba([word, "unheard"])[:, made.labels.index(label)])
                assert " " in word or gain == pytest.approx(found[0] - found[1], abs=1e-4)

    def test_a_model_may_come_through_a_pipe(self, model, tmp_path, capsys):
        for arguments in (["inspect", "--json"], ["page", "-o", str(tmp_path / "a.html")]):
            ours, theirs = os.pipe()
            os.write(theirs, model.read_bytes())
            os.close(theirs)
            call(capsys, arguments[0], f"/dev/fd/{ours}", *arguments[1:])
            os.close(ours)
        call(capsys, "page", model, "-o", tmp_path / "b.html")
        assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()

    def test_people_can_read_it(self, model, capsys):
        out = call(capsys, "inspect", model)
        assert "bigru" in out
        assert "most informative words" in out

    @pytest.mark.parametrize(
        "facts",
        [
            {},
            {"version": "\x1b]0;owned\x07", "teachers": {"\x1b[2J": 0.5}, "sha256": {"\x9b": "\x7f"}},
            {"rows": {"train": 1500}},
        ],
    )
    def test_facts_may_be_missing_and_cannot_drive_a_terminal(self, facts, tmp_path, capsys):
        dataclasses.replace(student("mlp"), facts=facts).save(tmp_path / "a.pot")
        out = call(capsys, "inspect", tmp_path / "a.pot")
        assert "classes     c0, c1, c2\n" in out
        assert ("made by     potstill \\x1b]0;owned\\x07\n" in out) == ("version" in facts)
        shown = out + call(capsys, "inspect", tmp_path / "a.pot", "--json")
        assert all(line.isprintable() for line in shown.split("\n"))

    def test_numbers_in_facts_that_json_lacks_are_null(self):
        made = dataclasses.replace(student("mlp"), facts={"x": float("nan"), "y": [float("inf"), "\ud800\x7f"]})
        shown = as_json(inspect.describe(made, 9))
        assert shown.isprintable()
        assert json.loads(shown, parse_constant=pytest.fail)["y"][0] is None

    def test_facts_replace_nothing_that_is_computed(self):
        made = student("mlp")
        honest = inspect.describe(made, 9)
        forged = dict.fromkeys([*honest, "thresholds"], "forged")
        assert inspect.describe(dataclasses.replace(made, facts=forged), 9) == honest
        made = dataclasses.replace(made, thresholds=[0.5, 0.5, 0.5])
        assert inspect.describe(dataclasses.replace(made, facts=forged), 9) == inspect.describe(made, 9)

    def test_a_file_without_words_says_so(self, tmp_path, capsys):
        student("mlp", strings=False).save(tmp_path / "a.pot")
        assert "does not contain its vocabulary as words" in call(capsys, "inspect", tmp_path / "a.pot")


class TestExplain:
    @pytest.mark.parametrize("architecture", ["mlp", "bigru"])
    def test_a_part_is_what_the_answer_loses_without_the_word(self, architecture, tmp_path, capsys):
        made = student(architecture)
        made.save(tmp_path / "a.pot")
        found = json.loads(call(capsys, "explain", tmp_path / "a.pot", "The not good ab", "--json"))
        texts = ["the not good ab", "? not good ab", "the ? good ab", "the not ? ab", "the not good ?"]
        texts = [text.replace("?", "unheard") for text in texts]
        probabilities = made.predict_proba(texts)
        column = made.labels.index(found["label"])
        assert column == probabilities[0].argmax()
        assert found["probability"] == pytest.approx(probabilities[0, column], abs=1e-5)
        losses = np.log(probabilities[0, column]) - np.log(probabilities[1:, column])
        assert [word["score"] for word in found["words"]] == pytest.approx(losses, abs=1e-4)
        runs = architecture == "mlp"  # only a bag knows "not good"
        assert [word["known"] for word in found["words"]] == [True, runs, runs, True]

    def test_of_a_long_text_the_first_words_are_explained(self, tmp_path, capsys):
        made = student("mlp")
        dataclasses.replace(made, vocabulary=dataclasses.replace(made.vocabulary, max_length=1200)).save(
            tmp_path / "a.pot"
        )
        for text, said in (("the " * 1000, ""), ("the ab " * 1000, "the first 1,000 of 1,200 words are explained")):
            cli.execute(["explain", str(tmp_path / "a.pot"), text, "--json"])
            out, err = capsys.readouterr()
            assert len(json.loads(out)["words"]) == 1000
            assert err.startswith(said)
            assert bool(err) == bool(said)

    @pytest.mark.parametrize("architecture", ["mlp", "bigru"])
    def test_no_more_is_held_for_a_longer_text(self, architecture, monkeypatch):
        made = student(architecture)
        held = []
        scored = Student.logits
        monkeypatch.setattr(explain, "CHUNK", 1 << 12)
        monkeypatch.setattr(Student, "logits", lambda made, texts: held.append(texts.ids.size) or scored(made, texts))
        made = dataclasses.replace(made, vocabulary=dataclasses.replace(made.vocabulary, max_length=300))
        explain.explain(made, "the not good ab " * 100)
        assert max(held) <= 1 << 12
        assert sum(held) > 300 * 300

    def test_another_class_and_no_words(self, model, capsys):
        assert call(capsys, "explain", model, "the", "--label", "c1").startswith("c1 ")
        assert call(capsys, "explain", model, "  ").count("\n") == 1
        assert "has no class 'c9' (found: c0, c1, c2)" in refused("explain", model, "the", "--label", "c9")


@pytest.mark.parametrize(
    "arguments",
    [["explain", "happy \udcff"], ["explain", "x", "--label", "\udcff"], ["predict", "--column", "\udcff"],
     ["page", "-o", "none.html", "--title", "\udcff"], ["serve", "--host", "\udcff"]],
)  # fmt: skip
def test_an_argument_that_is_no_text_is_refused_in_one_line(arguments, model, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.execute([arguments[0], str(model), *arguments[1:]])
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert re.match(r"error: argument .*: must be UTF-8 \(found: '.*\\udcff'\)\. ", said)
    assert said.count("\n") == 1


def test_a_name_of_a_file_may_be_any_bytes(model, tmp_path, capsys):
    source, target = tmp_path / "\udcff.txt", tmp_path / "\udcfe.csv"
    call(capsys, "predict", model, write(source, TEXTS), "-o", target)
    assert target.exists()


@pytest.mark.slow
def test_an_argument_is_utf_8_where_the_locale_knows_none(model, tmp_path):
    environment = os.environ | {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    command = [sys.executable, "-m", "potstill"]
    for arguments in (["explain", model, "café − x", "--json"], ["page", model, "--title", "café", "-o", "a.html"]):
        done = subprocess.run([*command, *arguments], env=environment, cwd=tmp_path, capture_output=True, check=True)
        if arguments[0] == "explain":
            assert "café" in done.stdout.decode("unicode_escape")
    assert "<title>café</title>" in (tmp_path / "a.html").read_text("utf-8")


def test_standard_input_may_hold_any_format(model, monkeypatch, capsys):
    class Input:
        buffer = io.BytesIO(b'{"text": "the ab"}\n')

    monkeypatch.setattr(sys, "stdin", Input)
    out = call(capsys, "predict", model, "--input-format", "jsonl", "--output-format", "csv")
    assert out.startswith("label,probability\n")


def test_of_very_many_classes_some_are_shown(capsys, tmp_path):
    made = student("mlp")
    labels = [f"class {i}" for i in range(1000)]
    weights = {
        name: np.zeros(shape, np.float32)
        for name, shape in made.shape.weights(made.vocabulary.size, len(labels)).items()
    }
    many = dataclasses.replace(made, labels=labels, weights=weights, bits=(32, 32), steps={})
    many.save(tmp_path / "a.pot")
    out = call(capsys, "inspect", tmp_path / "a.pot")
    assert "class 18, class 19 and 980 more\n" in out
    assert out.count("class ") < 60
    assert len(json.loads(call(capsys, "inspect", tmp_path / "a.pot", "--json"))["labels"]) == 1000
    cli.execute(["page", str(tmp_path / "a.pot"), "-o", str(tmp_path / "a.html")])
    assert "<title>Which of 1,000 classes?</title>" in (tmp_path / "a.html").read_text("utf-8")


@pytest.mark.parametrize("thresholds", [None, [0.5, 0.5, 0.5]])
def test_long_names_are_cut_in_a_pages_title_and_whole_in_its_tooltip(thresholds, tmp_path):
    labels = ["a" * 3000, '"' * 3000, "short"]
    dataclasses.replace(student("mlp"), labels=labels, thresholds=thresholds).save(tmp_path / "a.pot")
    cli.execute(["page", str(tmp_path / "a.pot"), "-o", str(tmp_path / "a.html")])
    html = (tmp_path / "a.html").read_text("utf-8")
    title = re.search("<title>(.*)</title>", html)[1]
    assert f"{'a' * 49}…, {'&quot;' * 49}…{',' if thresholds else ' or'} short?" in title
    whole, heading = re.search('<h1 title="(.*)">(.*)</h1>', html).groups()
    assert heading == title
    assert "a" * 3000 in whole
    assert "&quot;" * 3000 in whole


def test_a_teacher_without_some_answers_is_named(capsys, tmp_path):
    dataclasses.replace(student("mlp"), facts={"untested_teachers": ["table"]}).save(tmp_path / "a.pot")
    assert "teacher     table, without predictions for some of the test texts\n" in call(
        capsys, "inspect", tmp_path / "a.pot"
    )
