"""`potstill inspect`."""

import dataclasses
import json

import numpy as np
import pytest

from potstill import cli
from potstill.commands import inspect
from potstill.runtime.model import Student
from potstill.terminal import as_json
from tests.command import ODD_LABELS, call
from tests.scopes import scoped
from tests.students import ENTRIES, KINDS, PIECES, promising, student


@pytest.mark.parametrize(
    "arguments", [["inspect"], ["inspect", "--json"], ["explain", "\x1b[2J\u202e", "--label", ODD_LABELS[0]]]
)
def test_what_people_read_is_safe_for_a_terminal(arguments, odd, capsys):
    out = call(capsys, arguments[0], odd, *arguments[1:])
    assert all(line.isprintable() for line in out.split("\n"))
    assert "[31mred" in out


def test_what_a_file_says(model, capsys):
    known = json.loads(call(capsys, "inspect", model, "--json"))
    assert known["labels"] == ["c0", "c1", "c2"]
    assert known["bytes"] == model.stat().st_size
    assert known["words"] == len(ENTRIES)
    made = Student.load(model)
    for label, words in known["informative"].items():
        for word, gain in words.items():
            found = np.log(made.predict_proba([word, "unheard"])[:, made.labels.index(label)])
            assert " " in word or gain == pytest.approx(found[0] - found[1], abs=1e-4)


def test_it_says_which_texts_are_out_of_scope(tmp_path, capsys):
    made = scoped(student("mlp"))
    made.save(tmp_path / "a.pot")
    [line] = [line for line in call(capsys, "inspect", tmp_path / "a.pot").splitlines() if line.startswith("no class")]
    assert line == (
        f"no class    texts with a score below {made.facts['scope']['threshold']:g}; "
        "false alarms 1.0% on average (at most 2.0% with 95% confidence, from 100 validation texts)"
    )
    shown = json.loads(call(capsys, "inspect", tmp_path / "a.pot", "--json"))["scope"]
    assert shown == {name: value for name, value in made.facts["scope"].items() if name != "rare"}


def test_pieces_are_counted(tmp_path, capsys):
    count = sum(entry.startswith("##") for entry in PIECES)
    for kind, named in (("subwords", False), ("subword fingerprints", False), ("subword fingerprints", True)):
        made = student("cnn", **KINDS[kind])
        entries = len(made.vocabulary.entries)
        if named:
            made = dataclasses.replace(made, facts={"words": "\n".join(sorted([*ENTRIES, *PIECES])[:entries])})
        made.save(tmp_path / "a.pot")
        known, out = (
            json.loads(call(capsys, "inspect", tmp_path / "a.pot", "--json")),
            call(capsys, "inspect", tmp_path / "a.pot"),
        )
        assert known["words"] == entries
        if named or kind == "subwords":
            assert known["pieces"] == count
            assert (
                f"{entries - count} words and {count} pieces that continue words, stored as {known['matches']}\n" in out
            )
        else:
            assert known["pieces"] is None
            assert f"{entries} words and pieces of words, stored as fingerprints\n" in out


def test_people_can_read_it(model, capsys):
    out = call(capsys, "inspect", model)
    assert "bigru" in out
    assert "most informative words" in out


def test_a_name_with_a_comma_is_quoted(tmp_path, capsys):
    dataclasses.replace(student("mlp"), labels=["Bills, payments", "Tech", "Other"]).save(tmp_path / "a.pot")
    assert "classes     'Bills, payments', Tech, Other\n" in call(capsys, "inspect", tmp_path / "a.pot")


def test_the_guarantee_is_said(tmp_path, capsys):
    test = {"rows": 2000, "answered": 0.863, "kept": 0.9871}
    promising(student("mlp"), ["a"], kind="agreement", test=test).save(tmp_path / "a.pot")
    assert (
        "guarantee   Answers 86% of texts; on those it agrees with its teacher on at least 98%, with 95% confidence.\n"
        "            Chosen on 500 texts. On 2,000 test texts, 98.71% of its answers are its teacher's.\n"
    ) in call(capsys, "inspect", tmp_path / "a.pot")


@pytest.mark.parametrize(
    "facts",
    [
        {},
        {"version": "\x1b]0;owned\x07", "teachers": {"\x1b[2J": 0.5}, "sha256": {"\x9b": "\x7f"}},
        {"rows": {"train": 1500}},
    ],
)
def test_facts_may_be_missing_and_cannot_drive_a_terminal(facts, tmp_path, capsys):
    dataclasses.replace(student("mlp"), facts=facts).save(tmp_path / "a.pot")
    out = call(capsys, "inspect", tmp_path / "a.pot")
    assert "classes     c0, c1, c2\n" in out
    assert ("made by     potstill \\x1b]0;owned\\x07\n" in out) == ("version" in facts)
    shown = out + call(capsys, "inspect", tmp_path / "a.pot", "--json")
    assert all(line.isprintable() for line in shown.split("\n"))


def test_numbers_in_facts_that_json_lacks_are_null():
    made = dataclasses.replace(student("mlp"), facts={"x": float("nan"), "y": [float("inf"), "\ud800\x7f"]})
    shown = as_json(inspect.describe(made, 9))
    assert shown.isprintable()
    assert json.loads(shown, parse_constant=pytest.fail)["y"][0] is None


def test_facts_replace_nothing_that_is_computed():
    made = student("mlp")
    honest = inspect.describe(made, 9)
    forged = dict.fromkeys([*honest, "thresholds", "pieces"], "forged")
    assert inspect.describe(dataclasses.replace(made, facts=forged), 9) == honest
    made = dataclasses.replace(made, thresholds=[0.5, 0.5, 0.5])
    assert inspect.describe(dataclasses.replace(made, facts=forged), 9) == inspect.describe(made, 9)


def test_a_file_without_words_says_so(tmp_path, capsys):
    student("mlp", strings=False).save(tmp_path / "a.pot")
    assert "does not contain its vocabulary as words" in call(capsys, "inspect", tmp_path / "a.pot")


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


SCORES = dict.fromkeys(("accuracy", "accuracy_low", "accuracy_high", "macro_f1", "calibration_error"), 0.5)


@pytest.mark.parametrize(
    ("metrics", "shown"),
    [
        ({"test": SCORES}, "table, without predictions for some of the test texts"),
        ({}, "table"),  # nothing to predict
    ],
)
def test_a_teacher_without_test_predictions_is_named(capsys, tmp_path, metrics, shown):
    others = {"version": "0", "rows": dict.fromkeys(("train", "unlabelled", "test"), 10), "sha256": {}, "teachers": {}}
    facts = {"untested_teachers": ["table"], "metrics": metrics, **others}
    dataclasses.replace(student("mlp"), facts=facts).save(tmp_path / "a.pot")
    assert f"teacher     {shown}\n" in call(capsys, "inspect", tmp_path / "a.pot")


def test_scores_against_a_teacher_are_said_to_be_that(capsys, tmp_path):
    facts = {
        "version": "0",
        "rows": {"train": 10, "unlabelled": 5, "test": 7},
        "sha256": {},
        "teachers": {},
        "untested_teachers": ["table"],
        "labelled_by_teacher": ["test"],
        "metrics": {"test": SCORES},
    }
    dataclasses.replace(student("mlp"), facts=facts).save(tmp_path / "a.pot")
    said = call(capsys, "inspect", tmp_path / "a.pot")
    assert "from        15 unlabelled texts\n" in said
    assert "teacher     table\n" in said
    assert " of 7 with the label that its teacher predicts (95% CI " in said


def test_inspect_shows_the_thresholds(multi_label_model, capsys):
    known = json.loads(call(capsys, "inspect", multi_label_model, "--json"))
    assert known["thresholds"] == {"c0": 0.25, "c1": 0.5, "c2": 0.75}
    assert "labels      c0 (0.250), c1 (0.500), c2 (0.750); multi-label" in call(capsys, "inspect", multi_label_model)
