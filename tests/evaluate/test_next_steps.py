"""What to do next: only what helps, the best first, with commands that the real parsers read."""

import shlex
from dataclasses import replace

import pytest
from dvc.utils.hydra import apply_overrides
from ruamel.yaml import YAML

from potstill.commands import predict, serve
from potstill.evaluate.cascade import Cascade
from potstill.evaluate.next_steps import Evidence, ProjectCommands
from potstill.evaluate.next_steps import next_steps as steps_with
from potstill.evaluate.verdict import Verdict
from potstill.terminal import Parser
from tests.report.inputs import LADDER, rung

CASCADE = Cascade(True, 0.83, 0.21, 0.926, 0.91, 0.94, 0.93, [])
BETTER = {"difference_low": 0.05, "difference_high": 0.08}
NO_BETTER = {"difference_low": -0.01, "difference_high": 0.02}
EVIDENCE = Evidence(
    ladder=LADDER,
    versus_teacher={"difference": -0.02},
    teacher_versus_baseline=BETTER,
    teachers=["minilm"],
    cascade=CASCADE,
    fallback="minilm",
    rows={"train": 900, "test": 500, "unlabelled": 0},
)
RUNG = "dvc exp run -S 'student.rung='\"'\"'<three>'\"'\"''"
SENT = "potstill predict models/export/student.pot texts.txt --threshold 0.83 --fallback models/teacher/minilm"
UNLABELLED = "dvc exp run -S 'prepare.unlabelled=[more.txt]'"
TEACHER = "dvc exp run -S 'teacher.checkpoints=[roberta]' -S 'label.teachers=[roberta]'"


def verdict(decision="do not ship", needed=None, promising=False):
    return Verdict(decision, needed, promising, "", ())


def next_steps(of, evidence, source="files", unlabelled=(), path="mine"):
    return steps_with(of, evidence, ProjectCommands(source, unlabelled, path))


def commands(of, source="files", unlabelled=(), **changes):
    return [step.command for step in next_steps(of, replace(EVIDENCE, **changes), source, unlabelled)]


def test_a_student_that_ships_is_used():
    steps = next_steps(verdict("ship"), EVIDENCE)
    assert [step.command for step in steps] == [
        "potstill predict models/export/student.pot texts.txt",
        "potstill serve models/export/student.pot",
    ]


def test_one_that_loses_gets_a_larger_one_a_cascade_and_more_text():
    steps = next_steps(verdict(), EVIDENCE)
    assert [step.command for step in steps] == [RUNG, SENT, UNLABELLED]
    assert steps[0].text == "Take the next larger student, `<three>`"
    assert "with 21.0% of the test texts sent, student and teacher together have an accuracy of 92.6%" in steps[1].text
    assert "of which there are none" in steps[2].text


def test_the_next_larger_student_is_one_that_may_be_better():
    chosen = LADDER[1]
    larger = [
        chosen,
        rung("worse", "too inaccurate", 6000, 0.92, -0.01),
        rung("better", "too inaccurate", 7_000_000, 0.926, -0.004),
        rung("unknown", "not needed"),
    ]
    left_out = rung("x", "unavailable") | {"note": "The teacher is a table."}
    step = next_steps(verdict(), replace(EVIDENCE, ladder=larger))[0]
    assert step.command == "dvc exp run -S student.rung=better"
    assert step.text.endswith("`better`, which has a validation accuracy of 92.6% (this one: 92.5%) in 7 MB")
    assert "student.rung" not in commands(verdict(), ladder=[chosen])[0]
    assert "student.rung" not in commands(verdict(), ladder=[chosen, larger[1], left_out])[0]
    assert not any("student.rung" in line for line in commands(verdict(), versus_teacher={"difference": 0.001}))


def test_a_cascade_is_offered_if_it_reaches_the_teacher_and_saves_half_of_its_time():
    for changes in (
        {"cascade": None},
        {"cascade": replace(CASCADE, threshold=None)},
        {"cascade": replace(CASCADE, fallback_share=0.51)},
        {"fallback": None},
    ):
        assert SENT not in commands(verdict(), **changes)


def test_unlabelled_text_is_asked_for_where_there_is_little():
    rows = EVIDENCE.rows
    assert UNLABELLED in commands(verdict(), rows=rows | {"unlabelled": 4499})
    assert UNLABELLED not in commands(verdict(), rows=rows | {"unlabelled": 4500})
    assert UNLABELLED not in commands(verdict(), versus_teacher={"difference": 0.001})
    assert "dvc exp run -S prepare.demo.unlabelled=9000" in commands(verdict(), source="demo")


def test_a_poor_teacher_comes_first():
    lines = commands(verdict(), teacher_versus_baseline=NO_BETTER)
    assert lines[:3] == [TEACHER, "dvc repro", RUNG]
    assert commands(verdict(), teacher_versus_baseline=NO_BETTER, teachers=["roberta"])[0] == "dvc repro"
    demo = commands(verdict(), teacher_versus_baseline=NO_BETTER, source="demo")
    assert demo[1] == "dvc exp run -S prepare.demo.train=1800"


def test_a_teacher_without_an_error_needs_harder_test_texts():
    steps = next_steps(verdict(), replace(EVIDENCE, teacher_versus_baseline=NO_BETTER, perfect_teacher=True))
    assert "the teacher classifies all 500 correctly" in steps[0].text
    assert steps[0].command == "dvc repro"
    assert TEACHER not in [step.command for step in steps]
    assert commands(verdict(), perfect_teacher=True) == commands(verdict())


def test_more_test_texts_come_first_if_the_student_looks_good_and_last_if_not():
    steps = next_steps(verdict("cannot tell yet", 1800, True), EVIDENCE)
    assert steps[0].text == "Label about 1,300 more test texts: 1,800 would decide, and there are 500"
    assert steps[0].command == "dvc repro"
    assert steps[1].command == RUNG
    assert commands(verdict("cannot tell yet", 1800, False))[-1] == "dvc repro"
    assert commands(verdict("cannot tell yet", 1800, True), source="demo")[0] == "dvc exp run -S prepare.demo.test=1800"
    assert "dvc repro" not in commands(verdict("cannot tell yet", None, True))


def test_few_test_texts_that_were_drawn_from_train_lead_to_a_cross_validation():
    drawn = {"drawn": True, "rows": {"train": 300, "validation": 40, "test": 60, "unlabelled": 0}}
    steps = next_steps(verdict("cannot tell yet", 1800, True), replace(EVIDENCE, **drawn))
    assert steps[0].text == "Cross-validate: each of the 400 labelled texts is then a test text once, not only 60"
    assert steps[0].command == "potstill cross-validate"
    for changes in (drawn | {"drawn": False}, {"drawn": True}):
        assert "potstill cross-validate" not in commands(verdict("cannot tell yet", 1800, True), **changes)
    assert "potstill cross-validate" not in commands(verdict(), **drawn)


def test_a_teacher_without_predictions_for_the_test_texts_is_completed():
    (step,) = next_steps(
        verdict("cannot tell yet"), replace(EVIDENCE, versus_teacher=None, teacher_versus_baseline=None, cascade=None)
    )
    assert step.text == "Add the test texts to the teacher's table of probabilities"


def test_there_is_always_a_step():
    nothing = {"ladder": LADDER[1:2], "cascade": None, "rows": EVIDENCE.rows | {"unlabelled": 10**6}}
    (step,) = next_steps(verdict(), replace(EVIDENCE, **nothing))
    chosen = "those in `metrics/report/to_label.csv` teach most"
    assert step.text == f"Label more texts to train on, of which there are 900; {chosen}"
    (step,) = next_steps(verdict(), replace(EVIDENCE, **nothing), "demo")
    assert step.text == "Label more texts to train on, of which there are 900"
    (step,) = next_steps(verdict(), replace(EVIDENCE, **nothing | {"rows": nothing["rows"] | {"train": 0}}))
    assert step.text.startswith("Label some texts to train on, about 300")
    assert "-S prepare.label=label" in step.command


def test_what_is_known_of_a_larger_student_without_labels_is_an_agreement():
    better = [LADDER[1], rung("better", "too inaccurate", 7_000_000, 0.926, -0.004)]
    rows = EVIDENCE.rows | {"train": 0}
    step = next_steps(verdict(), replace(EVIDENCE, ladder=better, rows=rows))[0]
    assert step.text.endswith("`better`, which has on validation an agreement of 92.6% (this one: 92.5%) in 7 MB")


@pytest.mark.parametrize("name", ["plain.txt", "a b.txt", "it's.txt", "[x],y.txt", "back\\", "q\\'q"])
def test_commands_are_read_as_they_are_meant(name, tmp_path):
    lines = commands(verdict(), unlabelled=[name], ladder=[LADDER[1], rung(name, "not needed")])
    words = [shlex.split(line) for line in lines]
    overrides = [word for line in words for word in line if "=" in word]
    (tmp_path / "params.yaml").write_text("prepare: {unlabelled: []}\nstudent: {rung: auto}\n")
    apply_overrides(tmp_path / "params.yaml", overrides)
    found = YAML(typ="safe").load(tmp_path / "params.yaml")
    assert found["prepare"]["unlabelled"] == [name, "more.txt"]
    assert found["student"]["rung"] == name


def test_the_commands_of_potstill_are_accepted():
    for line in (*commands(verdict("ship")), SENT):
        _, verb, *options = shlex.split(line)
        parser = Parser()
        {"predict": predict, "serve": serve}[verb].arguments(parser)
        assert str(parser.parse_args(options).model) == "models/export/student.pot"
