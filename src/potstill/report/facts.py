"""From the numbers of the stages to what the report says: plain values, and sentences made of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from potstill.evaluate.answers import Answers
from potstill.evaluate.scores import confusion, interval, mcnemar
from potstill.evaluate.table import KINDS
from potstill.evaluate.traits import family
from potstill.evaluate.verdict import judge
from potstill.params.report import ReportParams
from potstill.report.cascade import Cascade, cascade
from potstill.report.reliability import binned
from potstill.report.suspects import find

STUDENT, BASELINE = "student", "tfidf"
SEED = 0


@dataclass(frozen=True)
class Inputs:
    """What the stages left.

    Attributes:
        labels: the names of the classes.
        name: what the student is called, by its architecture and size.
        teacher: the name of the model that labelled the transfer set, or None if it has no answers for the test split.
        validation, test: every model's answers.
        train: the labelled texts, with `text` and `label`.
        pool: the transfer set: `text`, `source`.
        answers: the teacher's probabilities for the pool, of shape (texts, classes).
        scores, timing: of the stage `evaluate`.
        prepared, ablation: of the stages `prepare` and `ablate`.
        max_loss: the accuracy that may be lost, a fraction.
    """

    labels: list[str]
    name: str
    teacher: str | None
    validation: Answers
    test: Answers
    train: pd.DataFrame
    pool: pd.DataFrame
    answers: np.ndarray
    scores: Mapping[str, Any]
    timing: Mapping[str, Any]
    prepared: Mapping[str, Any]
    ablation: Mapping[str, Any]
    max_loss: float

    def right(self, model: str) -> np.ndarray:
        """Whether a model is right, booleans (test texts,)."""
        return self.test.models[model].argmax(1) == self.test.labels


def collect(inputs: Inputs, params: ReportParams) -> dict[str, Any]:
    """Everything that the page and its Markdown twin show, by section."""
    passed = _cascade(inputs)
    return {
        "verdict": verdict(inputs),
        "table": table(inputs),
        "when": when(inputs),
        "ablation": ablation(inputs),
        "samples": samples(inputs, params.samples),
        "fails": fails(inputs, params.errors),
        "suspects": suspects(inputs, params.suspects),
        "cascade": passed,
    }


def verdict(inputs: Inputs) -> dict[str, Any]:
    """Whether to ship, in one sentence, and each reason."""
    models = inputs.scores["models"]
    student = models[STUDENT]
    against = student.get("paired") if inputs.teacher else None
    majority = float(np.bincount(inputs.test.labels).max() / len(inputs.test.labels))
    judged = judge(student, against, mcnemar(inputs.right(STUDENT), inputs.right(BASELINE)), inputs.max_loss, majority)
    accuracy = f"{100 * student['accuracy']:.1f}%"
    bounds = f"95% interval {100 * student['accuracy_low']:.1f} to {100 * student['accuracy_high']:.1f}"
    told = f"{inputs.name} is right on {accuracy} of the test texts ({bounds})"
    if inputs.teacher:
        teacher = models[inputs.teacher]
        kept = 100 * student["accuracy"] / max(teacher["accuracy"], 1e-9)
        told = f"{inputs.name} keeps {kept:.1f}% of the teacher's accuracy ({accuracy}, {bounds})"
        rates = [inputs.timing.get(name, {}).get("texts_per_second") for name in (STUDENT, inputs.teacher)]
        if teacher["parameters"]:
            told += f" at 1/{two_digits(teacher['parameters'] / student['parameters'])} of its size"
        if all(rates):
            told += f" and {two_digits(rates[0] / rates[1])} times its speed"
    return {"ship": judged.ship, "headline": told, "reasons": judged.reasons}


def two_digits(value: float) -> str:
    """A ratio, to what of it is sure: 8,800."""
    return f"{float(f'{value:.2g}'):,.0f}" if value >= 10 else f"{value:.1f}"


def table(inputs: Inputs) -> list[dict[str, Any]]:
    """A row per model, baselines first; `best` are those that are not surely worse than the most accurate one."""
    models = inputs.scores["models"]
    top = max(models, key=lambda name: models[name]["accuracy"])

    def order(name: str) -> tuple[int, int]:
        return KINDS.index(models[name]["kind"]), models[name]["parameters"] or 0

    rows = []
    for name in sorted(models, key=order):
        p = 1.0 if name == top else mcnemar(inputs.right(name), inputs.right(top))["p"]
        rows.append({"name": name, **models[name], **inputs.timing.get(name, {}), "best": p >= 0.05})
    return rows


def when(inputs: Inputs) -> dict[str, Any]:
    """What the task is like, what that foretells, and what was measured."""
    traits = inputs.scores["traits"]
    sensitivity = {name: found["wos"] for name, found in traits["order"].items() if found}
    of_teacher = next((wos for name, wos in sensitivity.items() if name != STUDENT), None)
    measured = inputs.ablation.get("architectures", {})
    best = max(measured, key=lambda name: measured[name]["validation_accuracy"]) if measured else None
    lines = []
    if of_teacher is not None:
        lines.append(
            f"Shuffling its words changes the teacher's answer to {50 * of_teacher:.0f} of 100 texts, a word-order "
            f"sensitivity of {of_teacher:.2f}. After the article, {family(of_teacher)}."
        )
    if measured and best:
        ranked = sorted(measured.items(), key=lambda item: -item[1]["accuracy"])
        others = ", ".join(f"{name} {100 * row['accuracy']:.1f}%" for name, row in ranked)
        lines.append(
            f"Measured, distilled from the same texts with otherwise the same settings: {others} of the test texts; "
            f"{best} was the best on validation."
        )
    return {
        "order": sensitivity,
        "lines": lines,
        "unknown": {"train": traits["unknown_to_train"], "all": traits["unknown_to_all"]},
        "removed": inputs.prepared["removed"],
        "two_labels": inputs.prepared["two_labels"],
    }


def ablation(inputs: Inputs) -> dict[str, list[dict[str, Any]]]:
    """What brings what: rows of `name`, `kind`, `texts`, accuracy with its interval, and `tip`, by question."""
    found = inputs.ablation
    models = inputs.scores["models"]
    ends = ("accuracy", "accuracy_low", "accuracy_high")

    def row(name: str, kind: str, values: Mapping[str, Any], texts: int | None = None) -> dict[str, Any]:
        count = values.get("texts", texts)
        tip = f"{name}: {100 * values['accuracy']:.1f}%" + (f", {count:,} texts" if count else "")
        return {"name": name, "kind": kind, "texts": count, "tip": tip} | {end: values[end] for end in ends}

    rows = len(inputs.train)
    hard, tfidf = (row(name, "baseline", models[model], rows) for name, model in
                   (("hard labels", "hard"), ("TF-IDF + logistic regression", BASELINE)))  # fmt: skip
    whole = next(iter(found.get("architectures", {}).items()), None)
    ladder = [hard]
    for name, values in found.get("sources", {}).items():
        ladder.append(row("soft labels on train" if name == "train" else f"+ {name}", "student", values))
    if "words" in found:
        ladder.append(row("the same, frequent words", "baseline", found["words"]["frequent"]))
    pool = [row("distilled", "student", values) for values in found.get("pool", {}).values()]
    if pool and whole:
        pool.append(row("distilled", "student", whole[1]))
    curves: dict[str, list[dict[str, Any]]] = {"hard": [], "tfidf": []}
    for name, values in found.get("labels", {}).items():
        curves[name.split()[0]].append(row(name, "baseline", values))
    kinds = [row(name, "student", values) for name, values in found.get("architectures", {}).items()]
    return {
        "ladder": ladder if len(ladder) > 1 else [],
        "architectures": sorted(kinds, key=lambda row: row["accuracy"]),
        "pool": pool,
        "hard": [*curves["hard"], hard] if curves["hard"] else [],
        "tfidf": [*curves["tfidf"], tfidf] if curves["tfidf"] else [],
    }


def samples(inputs: Inputs, number: int) -> list[dict[str, Any]]:
    """Some texts of each source of the transfer set, with the teacher's label and how sure it is."""
    rows = []
    for source in inputs.pool["source"].unique():
        places = np.flatnonzero((inputs.pool["source"] == source).to_numpy())
        for place in np.random.default_rng(SEED).permutation(places)[:number]:
            sure = inputs.answers[place]
            rows.append(
                {
                    "source": source,
                    "text": inputs.pool["text"].iloc[place],
                    "label": inputs.labels[sure.argmax()],
                    "confidence": float(sure.max()),
                }
            )
    return rows


def fails(inputs: Inputs, number: int) -> dict[str, Any]:
    """Where the student is wrong."""
    labels, answers = inputs.test.labels, inputs.test.models[STUDENT]
    predicted, teacher = answers.argmax(1), inputs.test.models.get(inputs.teacher or "")
    matrix = confusion(labels, predicted, inputs.labels).to_numpy()
    classes = []
    average = float((predicted == labels).mean())
    for i, name in enumerate(inputs.labels):
        texts, hits = int(matrix[i].sum()), int(matrix[i, i])
        low, high = interval(hits, texts) if texts else (0.0, 1.0)
        chosen = int(matrix[:, i].sum())
        classes.append(
            {
                "name": name,
                "texts": texts,
                "recall": hits / texts if texts else None,
                "precision": hits / chosen if chosen else None,
                "low": low,
                "high": high,
                "below": bool(texts) and high < average,
            }
        )
    wrong = np.flatnonzero(predicted != labels)
    wrong = wrong[np.argsort(-answers[wrong].max(1), kind="stable")]
    errors = [
        {
            "text": inputs.test.texts[i],
            "actual": inputs.labels[labels[i]],
            "predicted": inputs.labels[predicted[i]],
            "confidence": float(answers[i].max()),
            "teacher": None if teacher is None else inputs.labels[teacher[i].argmax()],
        }
        for i in wrong[:number]
    ]
    apart = matrix * ~np.eye(len(matrix), dtype=bool)
    pairs = [
        {"actual": inputs.labels[a], "predicted": inputs.labels[p], "texts": int(apart[a, p])}
        for a, p in zip(*np.unravel_index(np.argsort(-apart, axis=None, kind="stable"), apart.shape), strict=True)
        if apart[a, p]
    ]
    return {
        "matrix": matrix.tolist(),
        "classes": classes,
        "errors": errors,
        "pairs": pairs[:number],
        "wrong": len(wrong),
        "reliability": binned(answers.max(1), predicted == labels),
    }


def suspects(inputs: Inputs, number: int) -> dict[str, Any]:
    """Labels to look at: of validation and test, which the teacher has not seen, and of train, which it has."""
    splits = {}
    if inputs.teacher:
        splits = {
            "validation": (inputs.validation.texts, inputs.validation.labels, inputs.validation.models[inputs.teacher]),
            "test": (inputs.test.texts, inputs.test.labels, inputs.test.models[inputs.teacher]),
        }
    place = {text: i for i, text in enumerate(inputs.pool["text"]) if inputs.pool["source"].iat[i] == "train"}
    seen = inputs.train[inputs.train["text"].isin(place)]
    if len(seen):
        answers = inputs.answers[[place[text] for text in seen["text"]]]
        splits["train"] = (seen["text"].tolist(), seen["label"].to_numpy(), answers)
    rows, noise = [], {}
    for split, (texts, labels, answers) in splits.items():
        found = find(labels, answers)
        noise[split] = {"share": found.noise, "texts": len(texts), "suspects": len(found.rows)}
        for i, other in zip(found.rows, found.suggested, strict=True):
            rows.append(
                {
                    "split": split,
                    "text": texts[i],
                    "label": inputs.labels[labels[i]],
                    "suggested": inputs.labels[other],
                    "confidence": float(answers[i, other]),
                    "margin": float(answers[i, other] - answers[i, labels[i]]),
                }
            )
    rows.sort(key=lambda row: -row["margin"])
    held_out = [noise[split] for split in ("validation", "test") if split in noise]
    total = sum(part["texts"] for part in held_out)
    share = sum(part["suspects"] for part in held_out) / total if total else None
    return {"rows": rows[:number], "splits": noise, "noise": share}


def _cascade(inputs: Inputs) -> dict[str, Any] | None:
    if not inputs.teacher:
        return None
    parts = [
        (answers.labels, answers.models[STUDENT], answers.models[inputs.teacher])
        for answers in (inputs.validation, inputs.test)
    ]
    if not np.isfinite(parts[0][2]).all(1).any():
        return None
    found = cascade(parts[0], parts[1])
    times = [inputs.timing.get(name, {}).get("texts_per_second") for name in (STUDENT, inputs.teacher)]
    cost = 1 / times[0] + found.share / times[1] if all(times) else None
    rate = {"texts_per_second": 1 / cost, "speedup": 1 / cost / times[1]} if cost else None
    return {"found": found, "rate": rate, "sentence": _cascade_sentence(found, rate)}


def _cascade_sentence(found: Cascade, rate: Mapping[str, float] | None) -> str:
    alone = f"the student alone is right on {100 * found.curve[0][2]:.2f}% of the test texts"
    if not found.needed:
        return f"None is needed: on validation the student is no worse than its teacher; {alone}."
    if found.threshold is None:
        return f"No threshold reaches the teacher's accuracy on validation; {alone}."
    speed = f", at {two_digits(rate['speedup'])} times the teacher's speed" if rate else ""
    both, low, high, own = (f"{100 * share:.2f}" for share in (found.accuracy, found.low, found.high, found.teacher))
    return (
        f"With the threshold {found.threshold:g}, the lowest that reaches the teacher's accuracy on validation, "
        f"{100 * found.share:.1f}% of the test texts are passed on, and {both}% are right (95% interval {low} to "
        f"{high}; the teacher alone: {own}%){speed}; {alone}."
    )
