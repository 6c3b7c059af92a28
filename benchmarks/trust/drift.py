"""Does the test of drift keep its false-alarm rate, what does it find, and how right is the expected accuracy?

Uses the students and the data that `make benchmark-board` left in its clones: the chosen student, mostly a small
Transformer, and the table that the stage `baseline` trains. What they answer to changed texts is kept in
`benchmarks/.work/drift`.

- in-domain texts: validation and test texts are pooled and divided at random again and again into a reference and new
  texts, so that nothing differs but by chance;
- real shifts: texts of the other tasks, a changed mix of classes, typos, half of each text, words left out; and the
  test split against the validation split as the data sets come, which in some tasks are not alike.
"""

import argparse
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

import tables
from board import TASKS
from runs import WORK, Row
from trust import rows as results

from potstill.core.labels import is_correct, predict_labels, probabilities
from potstill.evaluate.predictions import Predictions
from potstill.export.calibrate import temperature
from potstill.runtime import drift
from potstill.runtime.martingale import Martingale
from potstill.runtime.model import Classifier, Student
from potstill.runtime.profile import CONFIDENCES, Answers, Profile, Texts, traits

ALPHA = drift.ALPHA
NEW = 500  # texts that are compared at a time
REDRAWS, STREAMS = 300, 200
FEW, MIXES = 200, 20  # shifted texts that are compared at a time, and how often


class Model(NamedTuple):
    """A model of each task: its file in a clone, test texts that are changed for it, and texts of each other task."""

    path: str
    shifted: int
    others: int


# The chosen student is a small Transformer in most tasks, which reads a hundred texts a second.
MODELS = {
    "student": Model("models/export/student.pot", 500, 60),
    "hard": Model("models/baseline/hard/student.pot", 2000, 300),
}
LETTERS = "abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True)
class Seen:
    """What a student sees of texts: the bin of each by trait, whether it is labelled correctly, and how probably."""

    bins: dict[str, np.ndarray]
    correct: np.ndarray
    probability: np.ndarray

    def __len__(self) -> int:
        return len(self.correct)

    def __getitem__(self, chosen: np.ndarray) -> "Seen":
        bins = {name: values[chosen] for name, values in self.bins.items()}
        return Seen(bins, self.correct[chosen], self.probability[chosen])

    def __add__(self, other: "Seen") -> "Seen":
        bins = {name: np.append(values, other.bins[name]) for name, values in self.bins.items()}
        return Seen(bins, np.append(self.correct, other.correct), np.append(self.probability, other.probability))

    def counts(self, names: dict[str, list[str]]) -> dict[str, np.ndarray]:
        """Return the number of texts in each bin, by trait."""
        return {name: np.bincount(self.bins[name], minlength=len(bins)) for name, bins in names.items()}

    def profile(self, names: dict[str, list[str]]) -> Profile:
        """Return the profile of these texts."""
        return Profile(self.counts(names), int(self.correct.sum()))


def typos(text: str, rng: np.random.Generator) -> str:
    """Swap, drop, double or replace a letter in each word with probability 0.3."""

    def mistyped(word: str) -> str:
        i = int(rng.integers(len(word)))
        letter = LETTERS[rng.integers(len(LETTERS))]
        changes = (word[:i] + word[i + 1 : i + 2] + word[i : i + 1] + word[i + 2 :], word[:i] + word[i + 1 :])
        return (*changes, word[:i] + word[i] + word[i:], word[:i] + letter + word[i + 1 :])[rng.integers(4)]

    return " ".join(mistyped(word) if rng.random() < 0.3 else word for word in text.split())


def halves(text: str, rng: np.random.Generator) -> str:
    """Keep the first half of the words."""
    found = text.split()
    return " ".join(found[: (len(found) + 1) // 2])


def gaps(text: str, rng: np.random.Generator) -> str:
    """Leave out each word with probability 0.3."""
    return " ".join(word for word in text.split() if rng.random() >= 0.3)


CHANGES: dict[str, Callable[[str, np.random.Generator], str]] = {"typos": typos, "halves": halves, "gaps": gaps}


def seen(student: Classifier, texts: list[str], probabilities: np.ndarray, labels: np.ndarray | None) -> Seen:
    """Return what a student sees of texts with these true labels, if they have any."""
    chosen = predict_labels(probabilities, student.thresholds)
    found = Texts(student, texts, Answers.of(probabilities, chosen))
    correct = np.ones(len(texts), bool) if labels is None else is_correct(chosen, labels)
    return Seen(found.bins, correct, probabilities.max(1))


@dataclass(frozen=True)
class Task:
    """A student of a task, and what it sees of the sets of texts."""

    task: str
    model: str
    names: dict[str, list[str]]
    validation: Seen
    test: Seen
    labels: np.ndarray
    shifted: dict[str, Seen]
    others: Seen


def load(task: str, model: str, work: Path, texts: dict[str, list[str]]) -> Task:
    """Return a student of a task, after it has read the shifted texts.

    Args:
        task: the task.
        model: a name of `MODELS`.
        work: the folder with the clones of `make benchmark-board`.
        texts: test texts by task.
    """
    clone, many = work / f"board-{task}", MODELS[model]
    student = Student.load(clone / many.path)
    splits = {split: Predictions.load(clone / f"data/evaluate/{split}.parquet") for split in ("validation", "test")}
    logits = {split: np.log(found.probabilities[model] + 1e-12) for split, found in splits.items()}
    if model == "hard":  # no stage calibrates it
        student = replace(student, temperature=temperature(logits["validation"], splits["validation"].labels))
        logits = {split: found / student.temperature for split, found in logits.items()}
    rng = np.random.default_rng(0)
    own, labels = splits["test"].texts, splits["test"].labels
    rows = rng.permutation(len(own))[: many.shifted]
    foreign = [text for name, other in texts.items() if name != task for text in rng.choice(other, many.others)]

    def read(name: str, texts: list[str], labels: np.ndarray | None = None) -> Seen:
        kept = WORK / "drift" / f"{task}-{model}-{name}-{len(texts)}.npy"
        if not kept.is_file():
            print(f"{task}: {model} reads {len(texts):,} texts, {name}", file=sys.stderr, flush=True)
            kept.parent.mkdir(parents=True, exist_ok=True)
            np.save(kept, student.predict_proba(texts))
        return seen(student, texts, np.load(kept), labels)

    return Task(
        task,
        model,
        traits(student),
        *(
            seen(student, found.texts, probabilities(logits[split], False), found.labels)
            for split, found in splits.items()
        ),
        labels,
        {name: read(name, [change(own[i], rng) for i in rows], labels[rows]) for name, change in CHANGES.items()},
        read("others", foreign),
    )


def false_alarms(task: Task, rng: np.random.Generator) -> Iterator[Row]:
    """Divide in-domain texts at random again and again; yield how often a test shows drift."""
    pooled = task.validation + task.test
    size, found = len(task.validation), []
    for _ in range(REDRAWS):
        rows = rng.permutation(len(pooled))
        new = pooled[rows[size : size + NEW]]
        found.append(
            drift.compare(pooled[rows[:size]].profile(task.names), new.counts(task.names), task.names, ALPHA, 0)
        )
    for what, least in (("drift: false alarms, any effect", 0.0), ("drift: false alarms", drift.MIN_EFFECT)):
        alarms = sum(any(change.p <= ALPHA and change.effect >= least for change in one.changes) for one in found)
        yield row(task, what, ALPHA, alarms / REDRAWS, REDRAWS)
    alarms = 0
    for _ in range(STREAMS):
        rows = rng.permutation(len(pooled))
        alarms += detected(task, pooled[rows[:size]], pooled[rows[size : size + NEW]], rng) is not None
    yield row(task, "drift: false alarms, looking after every text", ALPHA, alarms / STREAMS, STREAMS)


def detected(task: Task, before: Seen, stream: Seen, rng: np.random.Generator) -> int | None:
    """Return after how many texts of a stream the sequential test, looking after each, shows drift."""
    profile = before.profile(task.names)
    martingales = {name: Martingale(profile.counts[name], rng) for name in task.names}
    limit = np.log(len(martingales) / ALPHA)
    for i in range(len(stream)):
        for name, martingale in martingales.items():
            martingale.update(stream.bins[name][i : i + 1])
            if martingale.evidence >= limit:
                return i + 1
    return None


def mixes(task: Task, rng: np.random.Generator, size: int) -> Iterator[Seen]:
    """Yield test texts in which the classes are mixed at random, drawn from a flat Dirichlet distribution."""
    texts = np.bincount(task.labels)
    for shares in rng.dirichlet(np.ones(len(texts)), size=MIXES):
        weights = (shares / np.maximum(texts, 1))[task.labels]
        yield task.test[rng.choice(len(task.labels), size, p=weights / weights.sum())]


def shifts(task: Task, rng: np.random.Generator) -> Iterator[Row]:
    """Compare shifted texts with the validation split; yield how often they are found, and errors of the accuracy."""
    sets = {**task.shifted, "other tasks": task.others, "the test split": task.test}
    samples = {name: [found[rng.permutation(len(found))[:FEW]] for _ in range(MIXES)] for name, found in sets.items()}
    samples["classes mixed at random"] = list(mixes(task, rng, FEW))
    profile = task.validation.profile(task.names)
    for name, drawn in samples.items():
        found = [drift.compare(profile, one.counts(task.names), task.names, ALPHA, drift.MIN_EFFECT) for one in drawn]
        share = sum(one.drifted for one in found) / MIXES
        yield row(task, f"drift: {name}, {FEW} texts", None, share, MIXES)
        if name != "other tasks":
            whole = [sets[name]] if name in sets else list(mixes(task, rng, NEW))
            errors = {
                key: [estimate(task, one) - one.correct.mean() for one in whole] for key, estimate in ESTIMATES.items()
            }
            means = {key: float(np.mean(np.abs(values))) for key, values in errors.items()}
            yield row(
                task,
                f"expected accuracy: {name}",
                None,
                means.pop("error"),
                len(whole),
                bias=float(np.mean(errors["error"])),
                **means,
            )
    streams = [sets[name] for name in (*task.shifted, "other tasks")]
    for name, stream in zip((*task.shifted, "other tasks"), streams, strict=True):
        after = [detected(task, task.validation, stream[rng.permutation(len(stream))], rng) for _ in range(MIXES)]
        known = [number for number in after if number is not None]
        others = {"median_texts": float(np.median(known))} if known else {}
        yield row(task, f"drift: {name}, looking after every text", None, len(known) / MIXES, MIXES, **others)


def by_threshold(task: Task, texts: Seen) -> float:
    """Return the expected accuracy as `potstill drift` estimates it."""
    return drift.expected_accuracy(task.validation.profile(task.names), texts.counts(task.names)["confidence"])


def by_bins(task: Task, texts: Seen) -> float:
    """Return the accuracy of validation texts in the same bins of confidence, with one text more in each."""
    ends = np.array([0.0, *CONFIDENCES, 1.0])
    found = task.validation.bins["confidence"]
    right, every = (np.bincount(bins, minlength=len(ends) - 1) for bins in (found[task.validation.correct], found))
    return float((((right + (ends[1:] + ends[:-1]) / 2) / (every + 1))[texts.bins["confidence"]]).mean())


def by_difference(task: Task, texts: Seen) -> float:
    """Return the mean confidence, corrected by its error on validation (difference of confidences)."""
    known = task.validation
    return float(known.correct.mean() + texts.probability.mean() - known.probability.mean())


# What is compared: the error of each is the mean absolute one.
ESTIMATES: dict[str, Callable[[Task, Seen], float]] = {
    "error": by_threshold,
    "error_bins": by_bins,
    "error_difference": by_difference,
    "error_validation": lambda task, _: float(task.validation.correct.mean()),
}


def row(task: Task, what: str, target: float | None, held: float, draws: int, **others: float) -> Row:
    """Return a row of the results."""
    rounded = {name: round(value, 4) for name, value in ({"held": held} | others).items()}
    return {"task": task.task, "model": task.model, "what": what, "target": target, **rounded, "draws": draws}


def main() -> None:
    """Measure, and write `results.json`."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--work", type=Path, default=WORK, help="the folder with the clones of `make benchmark-board`")
    options.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS), help="of these (default: all)")
    arguments = options.parse_args()
    clones = {task: arguments.work / f"board-{task}" for task in arguments.tasks}
    texts = {task: Predictions.load(clone / "data/evaluate/test.parquet").texts for task, clone in clones.items()}
    found: list[Row] = []
    for model in MODELS:
        for number, task in enumerate(arguments.tasks):
            loaded = load(task, model, arguments.work, texts)
            print(f"{task}: {model}", file=sys.stderr, flush=True)
            rng = np.random.default_rng(number)
            found += [*false_alarms(loaded, rng), *shifts(loaded, rng)]
    results.write(found)
    tables.drift(found, results.RESULTS.parent)


if __name__ == "__main__":
    main()
