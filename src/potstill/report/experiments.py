"""Comparison of experiments."""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from potstill.evaluate.metrics import measures
from potstill.evaluate.metrics.scores import mcnemar
from potstill.evaluate.predictions import Predictions

SHA256 = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True)
class Experiment:
    """The outputs of an experiment.

    Attributes:
        name: its name.
        settings: its parameters, by keys such as `student.hidden`, and the hashes of its `data` and `code`.
        scores: of the stage `evaluate`.
        timing: the speeds of its models, if available; else empty.
        test: the predictions of its models for the test split, if available.
        labels: the names of the classes, if available.
    """

    name: str
    settings: Mapping[str, Any]
    scores: Mapping[str, Any]
    timing: Mapping[str, Any]
    test: Predictions | None
    labels: Sequence[str] | None = None

    @property
    def models(self) -> Mapping[str, Any]:
        """The scores of its models by name; where nobody has labelled the test texts, with agreement as accuracy."""
        return measures.with_accuracy(self.scores["models"])

    @property
    def score(self) -> str:
        """What that accuracy is."""
        return "accuracy" if "accuracy" in self.scores["models"]["student"] else "agreement with the teacher"


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested parameters as one dictionary with keys such as `student.hidden`."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        flat |= flatten(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return flat


def hashes(lock: Mapping[str, Any]) -> dict[str, str]:
    """Return short hashes of the `data` and the `code` that an experiment was made with.

    Args:
        lock: the contents of its dvc.lock. Stages that are missing there are left out.
    """
    stages = {name: stage for name, stage in lock.get("stages", {}).items() if name != "report"}
    code, data = {}, {}
    for name, stage in stages.items():
        for dep in stage.get("deps", []):
            if dep["path"].startswith("src/"):
                code[dep["path"]] = dep["md5"]
            elif name == "prepare":
                data[dep["path"]] = dep["md5"]
    return {name: _hash(found) for name, found in (("data", data), ("code", code)) if found}


def _hash(found: Mapping[str, str]) -> str:
    return hashlib.sha256(json.dumps(found, sort_keys=True).encode()).hexdigest()[:7]


def differing(experiments: Sequence[Experiment]) -> list[str]:
    """Return the keys of the settings that are not the same in all experiments, but for those of their reports."""
    every = dict.fromkeys(key for experiment in experiments for key in experiment.settings)
    keys = [key for key in every if not key.startswith("report.")]
    first = experiments[0].settings
    return [
        key
        for key in keys
        if any(key not in one.settings or key not in first or one.settings[key] != first[key] for one in experiments)
    ]


def _shown(value: Any) -> str:
    """Return a value as params.yaml has it: null, true, 0.5; a hash is cut."""
    if isinstance(value, str):
        return value[:7] if SHA256.fullmatch(value) else value
    return json.dumps(value, ensure_ascii=False, default=str)


def compare(experiments: Sequence[Experiment]) -> list[dict[str, Any]]:
    """Compare the students of experiments.

    Returns:
        A row per experiment, the most accurate first: `name`, `differs` (its values of the settings that are not the
        same in all experiments, by key), `decision` (of its verdict), the student's scores, `score` (what its
        `accuracy` is), `milliseconds_per_text`, `teacher` (its accuracy, or None), `p` of the test against the most
        accurate (None without both predictions for the same texts, or between accuracy and agreement), and `best`:
        whether it is not significantly worse than the most accurate.
    """
    students = {experiment.name: experiment.models["student"] for experiment in experiments}
    keys = differing(experiments)
    # Accuracy and agreement cannot be compared: experiments without test labels come last.
    ranked = sorted(experiments, key=lambda one: (one.score != "accuracy", -students[one.name]["accuracy"]))
    top, rows = ranked[0], []
    for experiment in ranked:
        student = students[experiment.name]
        comparable = experiment.score == top.score
        p = 1.0 if experiment is top else _p(experiment.test, top.test) if comparable else None
        overlaps = comparable and student["accuracy_high"] >= students[top.name]["accuracy_low"]
        row = student | {"name": experiment.name, "kind": "student"}
        row |= {"decision": experiment.scores["student"]["decision"], "score": experiment.score}
        row["differs"] = {key: _shown(experiment.settings.get(key, "not set")) for key in keys}
        row["milliseconds_per_text"] = experiment.timing.get("student", {}).get("milliseconds_per_text")
        row["teacher"] = experiment.scores.get("teacher", {}).get("accuracy")
        rows.append(row | {"p": p, "best": overlaps if p is None else p >= 0.05})
    return rows


def _p(one: Predictions | None, other: Predictions | None) -> float | None:
    if one is None or other is None or one.texts != other.texts:
        return None
    return mcnemar(one.correct("student"), other.correct("student"))["p"]


def recommend(rows: Sequence[Mapping[str, Any]], same_classes: bool = True) -> tuple[str, bool, str]:
    """Return the name of the best experiment, whether to take it, and why it is the best.

    It is the smallest of those that are not significantly worse than the most accurate; of these, those whose verdict
    is to ship come first. It is to be taken if its verdict is to ship. Experiments with different classes are of
    different tasks: none is to be taken, and the most accurate is named.
    """
    if not same_classes:
        return rows[0]["name"], False, "its accuracy is the highest, but not all experiments have the same classes."
    best = [row for row in rows if row["best"]]
    shipping = [row for row in best if row["decision"] == "ship"]
    candidates = shipping or best
    chosen = min(candidates, key=lambda row: row["bytes"])
    score = chosen["score"]
    why = f"its student has {chosen['bytes']:,} bytes and a test {score} of {100 * chosen['accuracy']:.2f}%"
    if len(best) > 1:
        those = f"the {len(candidates)} experiments" if len(candidates) > 1 else "those"
        why += (
            f". It is the {'smallest' if len(candidates) > 1 else 'only one'} of {those} whose {score} is not "
            f"significantly lower than the highest{', and whose verdict is to ship' if shipping else ''}"
        )
    elif sum(row["score"] == score for row in rows) > 1:
        why += ", significantly better than that of all others"
    if not shipping:
        why += f'. Its verdict is "{chosen["decision"]}"; its own report says what to do next'
    return chosen["name"], bool(shipping), f"{why}."
