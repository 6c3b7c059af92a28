"""What to do next, given the verdict: the steps that help in this case, each with its command."""

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from potstill.core import paths
from potstill.core.markdown import code
from potstill.evaluate import cascade
from potstill.evaluate.cascade import Cascade
from potstill.evaluate.metrics.measures import Rung
from potstill.evaluate.table import size
from potstill.evaluate.verdict import Verdict
from potstill.runtime.model import FILE

LARGER_TEACHER = "roberta"  # a preset
# A cascade that sends more texts to the teacher saves less than half of its time.
MOST_SENT = 0.5
# With fewer unlabelled texts for each labelled one, more of them usually help.
UNLABELLED = 5
# With fewer test texts, drawn from the labelled ones, a cross-validation is worth its time: the 95% interval of a
# difference of 0 where the models differ on 10% of 500 texts is 5.6 points wide.
FEW_TESTS = 500
FEW_LABELS = 300  # of train, to begin with


@dataclass(frozen=True)
class Step:
    """What to do next: a sentence without its full stop, in Markdown, and the command for it."""

    text: str
    command: str


@dataclass(frozen=True)
class Evidence:
    """What the steps depend on, next to the verdict.

    Attributes:
        ladder: the candidates for the student, in ascending order of size.
        versus_teacher: the result of `scores.mcnemar` for student and teacher; None if the teacher has no predictions.
        teacher_versus_baseline: the same for teacher and TF-IDF with logistic regression.
        teachers: the names of the teachers that label.
        cascade: the cascade of student and teacher; None if there is none.
        fallback: the teacher for `potstill predict --fallback`, if one can be used.
        rows: the number of texts by split and of the `unlabelled` ones; of `train` and `validation` the labelled ones.
        drawn: whether the test split was drawn from the train texts.
        unknown_accuracy: whether nobody has labelled the test texts.
        perfect_teacher: whether the teacher classifies all test texts correctly.
    """

    ladder: Sequence[Rung]
    versus_teacher: Mapping[str, Any] | None
    teacher_versus_baseline: Mapping[str, Any] | None
    teachers: Sequence[str]
    cascade: Cascade | None
    fallback: str | None
    rows: Mapping[str, int]
    drawn: bool = False
    unknown_accuracy: bool = False
    perfect_teacher: bool = False


class Commands(Protocol):
    """What to type for each step, where the student was made: in a project, in Python, or with `potstill distil`."""

    def use(self) -> list[Step]:
        """Return the steps with which a student that ships is used."""

    def teacher(self, name: str) -> str:
        """Fine-tune another preset."""

    def rung(self, name: str) -> str:
        """Train one rung of the ladder."""

    def unlabelled(self, number: int) -> str:
        """Add unlabelled texts, of which there should be so many."""

    def rows(self, split: str, number: int) -> str:
        """Add labelled texts to a split, which should have so many."""

    def cross_validate(self) -> str:
        """Test on all labelled texts."""

    def labels(self) -> str:
        """Evaluate on a test file with labels."""

    def train(self) -> str:
        """Train on a file with labels, where no text had one."""

    def to_label(self) -> str | None:
        """Return the file of unlabelled texts that would teach most, or None if there is none."""

    def table(self) -> str:
        """Run again after texts were added to the teacher's table of probabilities."""


@dataclass(frozen=True)
class ProjectCommands:
    """The commands in a project.

    Attributes:
        source: `prepare.source`.
        files: `prepare.unlabelled`.
        path: `prepare.path`.
    """

    source: str
    files: Sequence[str]
    path: str

    def use(self) -> list[Step]:  # noqa: D102
        student = paths.EXPORT / FILE
        return [
            Step(
                f"Classify texts with {code(str(student))}, the only file that ships",
                f"potstill predict {student} texts.txt",
            ),
            Step("Or serve it over HTTP", f"potstill serve {student}"),
        ]

    def teacher(self, name: str) -> str:  # noqa: D102
        return _experiment(*(f"{key}=[{name}]" for key in ("teacher.checkpoints", "label.teachers")))

    def rung(self, name: str) -> str:  # noqa: D102
        return _experiment(f"student.rung={_quoted(name)}")

    def unlabelled(self, number: int) -> str:  # noqa: D102
        if self.source == "demo":
            return _experiment(f"prepare.demo.unlabelled={number}")
        names = [*self.files, "more" if self.source == "hub" else "more.txt"]
        return _experiment(f"prepare.unlabelled=[{','.join(map(_quoted, names))}]")

    def rows(self, split: str, number: int) -> str:  # noqa: D102
        # The user's own texts are added by hand.
        return _experiment(f"prepare.demo.{split}={number}") if self.source == "demo" else "dvc repro"

    def cross_validate(self) -> str:  # noqa: D102
        return "potstill cross-validate"

    def labels(self) -> str:  # noqa: D102
        changes = ["prepare.test_label=label"]
        if self.source != "demo":
            changes = [f"prepare.test={'labelled' if self.source == 'hub' else 'labelled.csv'}", *changes]
        if single := self._single_file():
            changes = ["prepare.path=folder", f"prepare.train={_quoted(single)}", *changes]
        return _experiment(*changes)

    def train(self) -> str:  # noqa: D102
        if self.source == "demo":
            return _experiment("prepare.label=label", "prepare.test_label=null")
        end = "" if self.source == "hub" else ".csv"
        single = self._single_file()
        texts = f"prepare.unlabelled=[{','.join(map(_quoted, [*self.files, single or f'train{end}']))}]"
        labels = "prepare.label=label", "prepare.test_label=null", f"prepare.train=labelled{end}"
        return _experiment(*(["prepare.path=folder"] if single else []), *labels, texts)

    def _single_file(self) -> str | None:
        """Return the name of the file that has all texts, which has to move to a folder next to another, if any."""
        return Path(self.path).name if self.source == "files" and Path(self.path).is_file() else None

    def to_label(self) -> str | None:  # noqa: D102
        return None if self.source == "demo" else str(paths.METRICS / "report" / "to_label.csv")

    def table(self) -> str:  # noqa: D102
        return "dvc repro"


def next_steps(verdict: Verdict, evidence: Evidence, commands: Commands) -> list[Step]:
    """Return the steps that help, the best first.

    A student that ships is used. Otherwise a weak teacher comes first, since it limits every student; then what makes
    the student more accurate, or replaces it where it is not confident; then more text. More test texts come first if
    the observed differences point to a student that ships, and last if they do not.
    """
    known = [_label_test(commands)] if evidence.unknown_accuracy else []
    if verdict.decision == "ship":
        return [*commands.use(), *known]
    steps = [
        *_better_teacher(evidence, commands),
        *_larger_rung(evidence, commands),
        *_cascade(evidence),
        *_more_unlabelled(evidence, commands),
    ]
    tests = [*_more_tests(verdict, evidence, commands), *known]
    return ([*tests, *steps] if verdict.promising else [*steps, *tests]) or [_more_labels(evidence, commands)]


def _better_teacher(evidence: Evidence, commands: Commands) -> list[Step]:
    """Return steps to a better teacher, if it is not significantly better than TF-IDF with logistic regression.

    Of one that makes no error, the test texts have to be harder to show whether it is better.
    """
    if not evidence.teacher_versus_baseline or evidence.teacher_versus_baseline["difference_low"] > 0:
        return []
    if evidence.perfect_teacher:
        found = evidence.rows["test"]
        text = (
            f"Add test texts that are harder, if there are any: the teacher classifies all {found:,} correctly, and is "
            "not significantly better than TF-IDF with logistic regression, which will do if texts stay that easy"
        )
        return [Step(text, commands.rows("test", 2 * found))]
    steps = []
    if LARGER_TEACHER not in evidence.teachers:
        steps.append(
            Step(
                "Fine-tune a larger teacher: this one is not significantly better than TF-IDF with logistic regression",
                commands.teacher(LARGER_TEACHER),
            )
        )
    return [*steps, _more_labels(evidence, commands)]


def _label_test(commands: Commands) -> Step:
    """Return the step to an accuracy where nobody has labelled test texts; 400 make its interval 10 points wide."""
    return Step(
        "Label about 400 texts in a test file of their own, to learn how often teacher and student are right",
        commands.labels(),
    )


def _more_labels(evidence: Evidence, commands: Commands) -> Step:
    train = evidence.rows["train"]
    if not train:
        return Step(
            f"Label some texts to train on, about {FEW_LABELS}: names of labels tell a teacher little here",
            commands.train(),
        )
    text = f"Label more texts to train on, of which there are {train:,}"
    if evidence.rows["unlabelled"] and (path := commands.to_label()):
        text += f"; those in {code(path)} teach most"
    return Step(text, commands.rows("train", 2 * train))


def _larger_rung(evidence: Evidence, commands: Commands) -> list[Step]:
    """Return the step to the next larger candidate that may be more accurate, if the student is below its teacher."""
    if not evidence.ladder or not evidence.versus_teacher or evidence.versus_teacher["difference"] >= 0:
        return []
    place = next(i for i, rung in enumerate(evidence.ladder) if rung["status"] == "chosen")
    lowest = evidence.ladder[place]["validation_accuracy"] or 0.0
    for rung in evidence.ladder[place + 1 :]:
        accuracy = rung["validation_accuracy"]
        # One with a note is unavailable, or saves little beside the next.
        if rung["note"] or (accuracy is not None and accuracy <= lowest):
            continue
        text = f"Take the next larger student, {code(rung['rung'])}"
        if accuracy is not None:
            score = "a validation accuracy of" if evidence.rows["train"] else "on validation an agreement of"
            text += (
                f", which has {score} {100 * accuracy:.1f}% (this one: {100 * lowest:.1f}%) in "
                f"{size(rung['bytes'] or 0)}"
            )
        return [Step(text, commands.rung(rung["rung"]))]
    return []


def _cascade(evidence: Evidence) -> list[Step]:
    found = evidence.cascade
    if not found or found.threshold is None or not evidence.fallback or found.fallback_share > MOST_SENT:
        return []
    sent = 100 * found.fallback_share
    return [
        Step(
            f"Send the texts of which the student is least confident to the teacher: with {sent:.1f}% of the test "
            f"texts sent, student and teacher together have an accuracy of {100 * found.accuracy:.1f}% "
            f"(teacher alone: {100 * found.teacher:.1f}%)",
            cascade.command(found.threshold, evidence.fallback),
        )
    ]


def _more_unlabelled(evidence: Evidence, commands: Commands) -> list[Step]:
    """Return the step to more unlabelled text, if there is little and the student is below its teacher."""
    if not evidence.versus_teacher or evidence.versus_teacher["difference"] >= 0:
        return []
    found = evidence.rows["unlabelled"]
    if found >= UNLABELLED * evidence.rows["train"]:
        return []
    text = (
        "Add unlabelled texts like those that the student will read, "
        f"of which there are {f'{found:,}' if found else 'none'}: the teacher labels them"
    )
    return [Step(text, commands.unlabelled(2 * UNLABELLED * evidence.rows["train"]))]


def _more_tests(verdict: Verdict, evidence: Evidence, commands: Commands) -> list[Step]:
    if evidence.versus_teacher is None:
        return [Step("Add the test texts to the teacher's table of probabilities", commands.table())]
    needed, found = verdict.texts_needed, evidence.rows["test"]
    if verdict.decision == "cannot tell yet" and evidence.drawn and found < FEW_TESTS:
        labelled = found + evidence.rows["train"] + evidence.rows["validation"]
        text = f"Cross-validate: each of the {labelled:,} labelled texts is then a test text once, not only {found:,}"
        return [Step(text, commands.cross_validate())]
    if not needed:
        return []
    verb = "Add" if evidence.unknown_accuracy else "Label"
    text = f"{verb} about {needed - found:,} more test texts: {needed:,} would decide, and there are {found:,}"
    return [Step(text, commands.rows("test", needed))]


def _experiment(*changes: str) -> str:
    """Return the command that runs the project with changed parameters."""
    return "dvc exp run " + " ".join(f"-S {shlex.quote(change)}" for change in changes)


def _quoted(name: str) -> str:
    """Return a name as Hydra, which parses the value of `-S`, reads it."""
    if re.fullmatch(r"[\w./-]+", name):
        return name
    escaped = re.sub(r"(\\+)(?='|$)", r"\1\1", name).replace("'", "\\'")
    return f"'{escaped}'"
