"""From the numbers of the stages to what the report says: plain values, and sentences made of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from potstill.corpus.dataset import targets
from potstill.evaluate.answers import Answers
from potstill.evaluate.scores import confusion, counts, interval, mcnemar
from potstill.evaluate.table import KINDS
from potstill.evaluate.traits import family
from potstill.params.report import ReportParams
from potstill.report.cascade import Cascade, cascade
from potstill.report.reliability import binned
from potstill.report.suspects import find
from potstill.runtime.decision import JOINT, choose, confidence, label_names
from potstill.student.transfer import TransferSet

STUDENT, BASELINE = "student", "tfidf"
SEED = 0
CLASSES = 50  # that the page shows


@dataclass(frozen=True)
class Inputs:
    """What the stages left.

    Attributes:
        labels: the names of the classes.
        name: what the student is called, by its architecture and size.
        teacher: the name of the model that labelled the transfer set, or None if it has no answers for the test split.
        validation, test: every model's answers.
        train: the labelled texts, with `text` and `label`.
        pool: the transfer set.
        answers: the teacher's probabilities for it, of shape (texts, classes).
        scores, verdict, timing: of the stage `evaluate`.
        prepared, ablation: of the stages `prepare` and `ablate`.
        truncated: by who reads them (teacher, student) and kind of text, the share of texts that is cut off.
    """

    labels: list[str]
    name: str
    teacher: str | None
    validation: Answers
    test: Answers
    train: pd.DataFrame
    pool: TransferSet
    answers: np.ndarray
    scores: Mapping[str, Any]
    verdict: Mapping[str, Any]
    timing: Mapping[str, Any]
    prepared: Mapping[str, Any]
    ablation: Mapping[str, Any]
    truncated: Mapping[str, Mapping[str, float]]

    @property
    def several(self) -> bool:
        """Whether a text may have several labels, or none."""
        return self.test.labels.ndim == 2

    def named(self, chosen: np.ndarray) -> list[str]:
        """The names of the labels of each text, for people."""
        names = label_names(chosen, self.labels)
        return [name.replace(JOINT, ", ") or "none" for name in names] if self.several else names


def collect(inputs: Inputs, params: ReportParams) -> dict[str, Any]:
    """Everything that the page and its Markdown twin show, by section."""
    return {
        "verdict": verdict(inputs),
        "table": table(inputs),
        "when": when(inputs),
        "ablation": ablation(inputs),
        "samples": samples(inputs, params.samples),
        "fails": fails(inputs, params.errors),
        "suspects": suspects(inputs, params.suspects),
        "cascade": _cascade(inputs),
        "several": inputs.several,
    }


def verdict(inputs: Inputs) -> dict[str, Any]:
    """Whether to ship, in one sentence, and each reason."""
    models = inputs.scores["models"]
    student = models[STUDENT]
    accuracy = f"{100 * student['accuracy']:.1f}%"
    bounds = f"95% interval {100 * student['accuracy_low']:.1f} to {100 * student['accuracy_high']:.1f}"
    does = "gets all labels right" if inputs.several else "is right"
    told = f"{inputs.name} {does} on {accuracy} of the test texts ({bounds})"
    if inputs.teacher:
        teacher = models[inputs.teacher]
        kept = 100 * student["accuracy"] / max(teacher["accuracy"], 1e-9)
        told = f"{inputs.name} keeps {kept:.1f}% of the teacher's accuracy ({accuracy}, {bounds})"
        rates = [inputs.timing.get(name, {}).get("texts_per_second") for name in (STUDENT, inputs.teacher)]
        if teacher["parameters"]:
            told += f" at 1/{two_digits(teacher['parameters'] / student['parameters'])} of its parameters"
        if all(rates):
            told += f" and {two_digits(rates[0] / rates[1])} times its texts per second"
    return {"ship": inputs.verdict["ship"], "headline": told, "reasons": inputs.verdict["reasons"]}


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
        p = 1.0 if name == top else mcnemar(inputs.test.right(name), inputs.test.right(top))["p"]
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
            f"sensitivity of {of_teacher:.2f}. The article would take a {family(of_teacher)} for that."
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
        "truncated": {who: max(shares.values(), default=0.0) for who, shares in inputs.truncated.items()},
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
    ladder = [hard]
    for name, values in sorted(found.get("sources", {}).items(), key=lambda item: item[1]["texts"]):
        ladder.append(row("soft labels on train" if name == "train" else f"+ {name}", "student", values))
    if "vocabulary" in found:
        ladder.append(row("the same, frequent words", "baseline", found["vocabulary"]["frequent"]))
    pool = [row("distilled", "student", values) for values in found.get("pool", {}).values()]
    pool.sort(key=lambda point: point["texts"])
    curves = {
        model: [row(f"{model} {share}", "baseline", values) for share, values in found.get(model, {}).items()]
        for model in ("hard", "tfidf")
    }
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
    chosen = choose(inputs.answers, inputs.test.thresholds.get(inputs.teacher or "", 0.5 if inputs.several else None))
    sure = confidence(inputs.answers, chosen)
    for source in dict.fromkeys(inputs.pool.sources.tolist()):
        places = np.flatnonzero(inputs.pool.sources == source)
        drawn = np.sort(np.random.default_rng(SEED).permutation(places)[:number])
        for place, text in zip(drawn, inputs.pool.subset(drawn).texts, strict=True):
            label = inputs.named(chosen[[place]])[0]
            rows.append({"source": source, "text": text, "label": label, "confidence": float(sure[place])})
    return rows


def fails(inputs: Inputs, number: int) -> dict[str, Any]:
    """Where the student is wrong."""
    test = inputs.test
    predicted, sure = test.chosen(STUDENT), test.confidence(STUDENT)
    matrix = None if inputs.several else confusion(test.labels, predicted, inputs.labels).to_numpy()
    if matrix is None:
        cases = counts(test.labels, predicted, inputs.labels).to_numpy().T
        columns = cases[0], cases[0] + cases[1], cases[0] + cases[2]
    else:
        columns = matrix.diagonal(), matrix.sum(1), matrix.sum(0)
    classes = []
    average = columns[0].sum() / max(1, columns[1].sum())
    for name, hits, texts, chosen in zip(inputs.labels, *(column.tolist() for column in columns), strict=True):
        low, high = interval(hits, texts) if texts else (0.0, 1.0)
        classes.append(
            {
                "name": name,
                "texts": texts,
                "recall": hits / texts if texts else None,
                "precision": hits / chosen if chosen else None,
                "low": low,
                "high": high,
                "below": bool(texts) and high < average,
                "wrong": texts + chosen - 2 * hits,
            }
        )
    right = test.right(STUDENT)
    wrong = np.flatnonzero(~right)
    shown = wrong[np.argsort(-sure[wrong], kind="stable")][:number]
    teacher = inputs.named(test.chosen(inputs.teacher)[shown]) if inputs.teacher else [None] * len(shown)
    actual, said = inputs.named(test.labels[shown]), inputs.named(predicted[shown])
    errors = [
        {
            "text": test.texts[i],
            "actual": actual[row],
            "predicted": said[row],
            "confidence": float(sure[i]),
            "teacher": teacher[row],
        }
        for row, i in enumerate(shown)
    ]
    return {
        "matrix": None if matrix is None else matrix.tolist(),
        "classes": classes,
        "shown": sorted(classes, key=lambda row: -row["wrong"])[:CLASSES] if len(classes) > CLASSES else classes,
        "errors": errors,
        "pairs": [] if matrix is None else _pairs(matrix, inputs.labels, number),
        "wrong": len(wrong),
        "reliability": binned(sure, right),
    }


def _pairs(matrix: np.ndarray, labels: list[str], number: int) -> list[dict[str, Any]]:
    """What is confused most often, first."""
    actual, predicted = np.nonzero(matrix * ~np.eye(len(matrix), dtype=bool))
    texts = matrix[actual, predicted]
    first = np.argsort(-texts, kind="stable")[:number]
    found = zip(actual[first], predicted[first], texts[first].tolist(), strict=True)
    return [{"actual": labels[a], "predicted": labels[p], "texts": count} for a, p, count in found]


def suspects(inputs: Inputs, number: int) -> dict[str, Any]:
    """Labels to look at: of validation and test, which the teacher has not seen, and of train, which it has."""
    splits = {}
    if inputs.teacher:
        splits = {
            "validation": (inputs.validation.texts, inputs.validation.labels, inputs.validation.models[inputs.teacher]),
            "test": (inputs.test.texts, inputs.test.labels, inputs.test.models[inputs.teacher]),
        }
    own = np.flatnonzero(inputs.pool.sources == "train")
    place = dict(zip(inputs.pool.subset(own).texts, own.tolist(), strict=True))
    seen = inputs.train[inputs.train["text"].isin(place)]
    if len(seen):
        answers = inputs.answers[[place[text] for text in seen["text"]]]
        splits["train"] = (seen["text"].tolist(), targets(seen["label"], len(inputs.labels)), answers)
    rows: list[dict[str, Any]] = []
    noise = {}
    for split, (texts, labels, answers) in splits.items():
        found = _doubts(labels, answers, inputs.labels)
        doubted = len({i for i, *_ in found})
        noise[split] = {"texts": len(texts), "suspects": doubted}
        known = inputs.named(labels)
        for i, suggested, sure, other in found:
            row = {"split": split, "text": texts[i], "label": known[i], "suggested": suggested}
            rows.append(row | {"confidence": sure, "margin": sure - other})
    rows.sort(key=lambda row: -row["margin"])
    held_out = [noise[split] for split in ("validation", "test") if split in noise]
    total = sum(part["texts"] for part in held_out)
    share = sum(part["suspects"] for part in held_out) / total if total else None
    agrees = inputs.scores["models"][inputs.teacher]["accuracy"] if inputs.teacher else None
    return {"rows": rows[:number], "splits": noise, "noise": share, "agrees": agrees}


def _doubts(labels: np.ndarray, answers: np.ndarray, names: list[str]) -> list[tuple[int, str, float, float]]:
    """The texts whose labels look wrong: number, what it should be, the probabilities of that and of the label.

    Where a text may have several labels, each is looked at by itself: whether the text has it.
    """
    if labels.ndim == 1:
        found = find(labels, answers)
        pairs = zip(found.rows.tolist(), found.suggested.tolist(), strict=True)
        return [(i, names[other], float(answers[i, other]), float(answers[i, labels[i]])) for i, other in pairs]
    doubts = []
    for name, held, there in zip(names, labels.T, answers.T, strict=True):
        found = find(held.astype(np.int64), np.stack([1 - there, there], axis=1))
        for i, other in zip(found.rows.tolist(), found.suggested.tolist(), strict=True):
            sure = float(there[i] if other else 1 - there[i])
            doubts.append((i, f"{'with' if other else 'without'} {name}", sure, 1 - sure))
    return doubts


def _cascade(inputs: Inputs) -> dict[str, Any] | None:
    if not inputs.teacher or inputs.several:
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
    speed = f", at {two_digits(rate['speedup'])} times the teacher's texts per second" if rate else ""
    both, low, high, own = (f"{100 * share:.2f}" for share in (found.accuracy, found.low, found.high, found.teacher))
    return (
        f"With the threshold {found.threshold:g}, the lowest that reaches the teacher's accuracy on validation, "
        f"{100 * found.share:.1f}% of the test texts are passed on, and {both}% are right (95% interval {low} to "
        f"{high}; the teacher alone: {own}%){speed}; {alone}."
    )
