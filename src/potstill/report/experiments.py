"""Several experiments side by side."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from potstill.evaluate.answers import Answers
from potstill.evaluate.scores import mcnemar


@dataclass(frozen=True)
class Experiment:
    """What one experiment left.

    Attributes:
        name: its name.
        params: its parameters, by keys such as `student.hidden`.
        scores, timing: of the stage `evaluate`.
        test: its models' answers, if they are there.
    """

    name: str
    params: Mapping[str, Any]
    scores: Mapping[str, Any]
    timing: Mapping[str, Any]
    test: Answers | None


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested parameters as one level, with keys such as `student.hidden`."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            found |= flat(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = value
    return found


def compare(experiments: Sequence[Experiment]) -> list[dict[str, Any]]:
    """Put the experiments' students side by side, the most accurate first.

    Returns:
        Per experiment `name`, `changes` (parameters that are not those of the first, by key), `ship`, the student's
        scores, `milliseconds_per_text`, `teacher` (its accuracy, or None), `p` against the best (None if that cannot be
        tested) and `best`: whether it is not surely worse than the best.
    """
    students = {experiment.name: experiment.scores["models"]["student"] for experiment in experiments}
    ranked = sorted(experiments, key=lambda experiment: -students[experiment.name]["accuracy"])
    top, rows = ranked[0], []
    for experiment in ranked:
        student = students[experiment.name]
        p = 1.0 if experiment is top else _p(experiment.test, top.test)
        overlaps = student["accuracy_high"] >= students[top.name]["accuracy_low"]
        rows.append(
            {
                **student,
                "name": experiment.name,
                "kind": "student",
                "changes": _changes(experiment.params, experiments[0].params),
                "ship": experiment.scores["student"]["ship"],
                "milliseconds_per_text": experiment.timing.get("student", {}).get("milliseconds_per_text"),
                "teacher": experiment.scores.get("teacher", {}).get("accuracy"),
                "p": p,
                "best": overlaps if p is None else p >= 0.05,
            }
        )
    return rows


def _p(one: Answers | None, other: Answers | None) -> float | None:
    if one is None or other is None or one.texts != other.texts:
        return None
    return mcnemar(one.right("student"), other.right("student"))["p"]


def _changes(params: Mapping[str, Any], first: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in params.items() if key not in first or first[key] != value}


def recommend(rows: Sequence[Mapping[str, Any]]) -> tuple[str, str]:
    """Name the experiment to take, the smallest of those that are not surely worse than the best, and say why."""
    good = [row for row in rows if row["best"]]
    chosen = min(good, key=lambda row: row["bytes"])
    others = len(good) - 1
    also = f", as {others} other{'s' * (others != 1)} are" if others else ""
    ship = "" if chosen["ship"] else " It should not ship, though: its own report says why."
    why = (
        f"{chosen['bytes']:,} bytes, {100 * chosen['accuracy']:.2f}% right on the test split, "
        f"not surely worse than the best{also}, and the smallest of these.{ship}"
    )
    return chosen["name"], why
