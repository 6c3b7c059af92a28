"""Contents of the report, computed from the outputs of the stages: plain values, and sentences made of them."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import chain
from typing import Any

import numpy as np
import pandas as pd

from potstill.core.labels import JOINT, confidence, label_names, predict_labels
from potstill.data.dataset import SPLITS, targets
from potstill.data.transfer import TransferSet
from potstill.evaluate.agreement import held_out
from potstill.evaluate.cascade import Cascade, cascade
from potstill.evaluate.metrics.measures import HeldOut, Rung
from potstill.evaluate.metrics.scores import confusion, interval, label_confusion, mcnemar
from potstill.evaluate.predictions import Predictions
from potstill.evaluate.table import KINDS, size
from potstill.evaluate.word_order import recommended_architecture
from potstill.report import ladder
from potstill.report.params import ReportParams
from potstill.report.privacy import SHOWN, vocabulary_privacy
from potstill.report.reliability import reliability
from potstill.report.scope import scope
from potstill.report.suspects import find_label_errors
from potstill.report.texts import differences, examples
from potstill.report.to_label import to_correct, to_label
from potstill.runtime.guarantee import Guarantee
from potstill.runtime.model import Classifier

STUDENT = "student"
SEED = 0
CLASSES = 50  # shown on the page at most


@dataclass(frozen=True)
class Inputs:
    """The outputs of the stages.

    Attributes:
        labels: the names of the classes.
        name: the architecture and size of the student.
        student: the student.
        unlabelled: the texts without a label.
        teacher: the name of the model that labelled the transfer set, or None if it has no predictions for the test
            split.
        validation, test: the predictions of all models.
        train: the labelled texts, with `text` and `label`.
        transfer_set: the transfer set.
        transfer_probabilities: the teacher's probabilities for it, floats (texts, classes).
        ladder: the candidates for the student, of the stage `student`.
        margin: the non-inferiority margin, or without labels the disagreement that is allowed, a fraction.
        scores, verdict, timing: of the stage `evaluate`.
        prepared, ablation: of the stages `prepare` and `ablate`.
        truncated: the largest share of truncated texts of any split, by model (`teacher`, `student`).
        windowed: the share of train texts that the teacher read in several windows.
        labelled: the splits that somebody has labelled. In predictions of the others, labels are the teacher's.
        unanswered: by held-out split, for how many texts the teacher has no prediction.
        held_out: what the stage `export` measured on held-out unlabelled texts.
    """

    labels: list[str]
    name: str
    student: Classifier
    unlabelled: pd.Series
    teacher: str | None
    validation: Predictions
    test: Predictions
    train: pd.DataFrame
    transfer_set: TransferSet
    transfer_probabilities: np.ndarray
    ladder: Sequence[Rung]
    margin: float
    scores: Mapping[str, Any]
    verdict: Mapping[str, Any]
    timing: Mapping[str, Any]
    prepared: Mapping[str, Any]
    ablation: Mapping[str, Any]
    truncated: Mapping[str, float]
    windowed: float
    labelled: Collection[str] = SPLITS
    unanswered: Mapping[str, int] = field(default_factory=dict)
    held_out: HeldOut | None = None

    @property
    def by_teacher(self) -> bool:
        """Whether the test split has no labels but its teacher's, so that each accuracy is an agreement with these."""
        return "test" not in self.labelled

    @property
    def score(self) -> str:
        """The name of the share of texts that a model predicts right."""
        if self.by_teacher:
            return "agreement with the teacher"
        return "exact match" if self.multi_label else "accuracy"

    @property
    def chosen_by(self) -> str:
        """The name of the same share on validation, by which the student was chosen."""
        if "validation" not in self.labelled:
            return "agreement with the teacher"
        return "exact match" if self.multi_label else "accuracy"

    @property
    def multi_label(self) -> bool:
        """Whether the task is multi-label."""
        return self.test.labels.ndim == 2

    @property
    def speeds(self) -> tuple[float, float] | None:
        """The texts per second of student and teacher; None if the teacher was not timed."""
        if self.teacher is None or self.teacher not in self.timing:
            return None
        return self.timing[STUDENT]["texts_per_second"], self.timing[self.teacher]["texts_per_second"]

    def label_names(self, labels: np.ndarray) -> list[str]:
        """Return the names of the labels of each text, given ids or booleans."""
        names = label_names(labels, self.labels)
        return [name.replace(JOINT, ", ") or "none" for name in names] if self.multi_label else names


def collect(inputs: Inputs, params: ReportParams) -> dict[str, Any]:
    """Return the contents of the page and of its Markdown version, by section."""
    return {
        "verdict": verdict(inputs),
        "key_figures": key_figures(inputs),
        "examples": examples(inputs.test, inputs.label_names, params.examples),
        "differences": differences(inputs.test, STUDENT, inputs.teacher, inputs.label_names, params.differences),
        "ladder": {"rows": inputs.ladder, **ladder.describe(inputs.ladder, inputs.margin, inputs.chosen_by)},
        "models": models(inputs),
        "task_profile": task_profile(inputs),
        "ablation": ablation(inputs),
        "samples": samples(inputs, params.samples),
        "error_analysis": error_analysis(inputs, params.errors),
        "label_errors": label_errors(inputs, params.suspects),
        "to_label": to_label(
            inputs.transfer_set,
            inputs.transfer_probabilities,
            inputs.labels,
            inputs.multi_label,
            params.to_label if "train" in inputs.labelled else 0,  # `prepare` adds labels to labelled texts only
        ),
        "cascade": _cascade(inputs),
        "scope": scope(inputs.student),
        "privacy": privacy(inputs, params.k_anonymity),
        "guarantee": _guarantee(inputs),
        "held_out": held_out(inputs.held_out) if inputs.held_out and inputs.held_out["texts"] else "",
        "multi_label": inputs.multi_label,
        "score": inputs.score,
        "chosen_by": inputs.chosen_by,
        "by_teacher": inputs.by_teacher,
        "labelled": "train" in inputs.labelled,
    }


def verdict(inputs: Inputs) -> dict[str, Any]:
    """Return the verdict with its reasons and next steps, and a sentence on the student's accuracy and size."""
    models = inputs.scores["models"]
    student = models[STUDENT]
    score = "an exact match" if inputs.multi_label else "a test accuracy"
    score = "an agreement with its teacher" if inputs.by_teacher else score
    bounds = f"95% CI {100 * student['accuracy_low']:.1f} to {100 * student['accuracy_high']:.1f}"
    headline = f"{inputs.name} has {score} of {100 * student['accuracy']:.1f}% ({bounds})"
    if inputs.teacher:
        teacher = models[inputs.teacher]
        if not inputs.by_teacher:
            kept = 100 * student["accuracy"] / max(teacher["accuracy"], 1e-9)
            headline += f", which is {kept:.1f}% of its teacher's {100 * teacher['accuracy']:.1f}%"
        if teacher["parameters"]:
            ratio = two_digits(teacher["parameters"] / student["parameters"])
            headline += f". It has 1/{ratio} of the teacher's parameters"
    return {**inputs.verdict, "headline": headline}


def key_figures(inputs: Inputs) -> list[dict[str, str]]:
    """Return accuracy, size and speed of the student, each with a note on its teacher: `name`, `value`, `note`."""
    models = inputs.scores["models"]
    student, teacher = models[STUDENT], models.get(inputs.teacher)
    accuracy = f"95% CI {100 * student['accuracy_low']:.1f} to {100 * student['accuracy_high']:.1f}"
    speed = "on one thread"
    stored = f"{student['parameters']:,} parameters"
    if inputs.by_teacher:
        accuracy += "; the accuracy is unknown"
    elif teacher:
        accuracy += f"; teacher {100 * teacher['accuracy']:.1f}%"
    if teacher and teacher["parameters"]:
        stored = f"teacher {size(teacher['bytes'])}, {two_digits(teacher['bytes'] / student['bytes'])} times as large"
    if speeds := inputs.speeds:
        speed = f"{two_digits(speeds[0] / speeds[1])} times as fast as the teacher, {speed}"
    rate = inputs.timing[STUDENT]["texts_per_second"]
    name = inputs.score if inputs.by_teacher or inputs.multi_label else "test accuracy"
    return [
        {"name": name, "value": f"{100 * student['accuracy']:.1f}%", "note": accuracy},
        {"name": "size of the file", "value": size(student["bytes"]), "note": stored},
        {"name": "texts per second", "value": f"{float(f'{rate:.2g}'):,.0f}", "note": speed},
    ]


def _guarantee(inputs: Inputs) -> str:
    """Return the sentences of the guarantee in the model file; empty without one."""
    promise = Guarantee.of(inputs.student.facts)
    return f"{promise} {promise.checked()}".rstrip() if promise else ""


def two_digits(value: float) -> str:
    """Return a ratio with two significant digits: 8,800."""
    return f"{float(f'{value:.2g}'):,.0f}" if value >= 10 else f"{value:.1f}"


def models(inputs: Inputs) -> list[dict[str, Any]]:
    """Return a row per model, baselines first; `best` if it is not significantly worse than the most accurate one."""
    models = inputs.scores["models"]
    top = max(models, key=lambda name: models[name]["accuracy"])
    rows = []
    for name in sorted(models, key=lambda name: (KINDS.index(models[name]["kind"]), models[name]["parameters"] or 0)):
        p = 1.0 if name == top else mcnemar(inputs.test.correct(name), inputs.test.correct(top))["p"]
        rows.append({"name": name, **models[name], **inputs.timing.get(name, {}), "best": p >= 0.05})
    return rows


def task_profile(inputs: Inputs) -> dict[str, Any]:
    """Return the properties of the task, the architecture that they suggest, and the one that was best."""
    word_order = inputs.scores["task_profile"]["word_order"]
    sensitivity = {name: result["wos"] for name, result in word_order.items() if result}
    of_teacher = next((wos for name, wos in sensitivity.items() if name != STUDENT), None)
    lines = []
    if of_teacher is not None:
        lines.append(
            f"Shuffling the words changes the teacher's prediction for {50 * of_teacher:.0f}% of the texts: a "
            f"word-order sensitivity of {of_teacher:.2f}, for which Wasserblat (2021) recommends a "
            f"{recommended_architecture(of_teacher).replace('bag', 'bag of embeddings')}."
        )
    if measured := inputs.ablation.get("architectures"):
        best = max(measured, key=lambda name: measured[name]["validation_accuracy"])
        ranked = sorted(measured.items(), key=lambda item: -item[1]["accuracy"])
        accuracies = ", ".join(f"{name} {100 * row['accuracy']:.1f}%" for name, row in ranked)
        lines.append(
            f"Test {inputs.score} of the architectures, distilled from the same texts with otherwise the same "
            f"settings: {accuracies}. On validation, {best} is the best."
        )
    return {"word_order": sensitivity, "lines": lines, "notes": _notes(inputs)}


def _notes(inputs: Inputs) -> list[str]:
    """Return sentences on unknown words, truncated texts and duplicates, if there are any."""
    unknown, notes = inputs.scores["task_profile"]["out_of_vocabulary"], []
    if unknown["train"]["words"]:
        words, texts = ([100 * of[key] for of in unknown.values()] for key in ("words", "texts"))
        notes.append(
            f"Out-of-vocabulary words: {words[0]:.1f}% of the words of the test split are not in the train texts, and "
            f"{texts[0]:.1f}% of the test texts have such a word. Not in the train or unlabelled texts: "
            f"{words[1]:.1f}% and {texts[1]:.1f}%."
        )
    if inputs.windowed:
        notes.append(
            f"Long texts: {100 * inputs.windowed:.1f}% of the train texts have more than `teacher.max_length` tokens. "
            "The teacher read such texts in overlapping windows, and averaged the logits."
        )
    without = [f"{number:,} {split} text{'s' * (number > 1)}" for split, number in inputs.unanswered.items() if number]
    if without:
        wrong = inputs.unanswered.get("test") and not inputs.by_teacher
        counted = " In its test accuracy they count as wrong." if wrong else ""
        notes.append(
            f"No prediction: the teacher has none for {' and '.join(without)}; they are left out of its agreement with "
            f"the student.{counted}"
        )
    cut = [f"{100 * share:.1f}% of a split for the {name}" for name, share in inputs.truncated.items() if share]
    if cut:
        notes.append(f"Texts that were truncated at `max_length`: at most {' and '.join(cut)}.")
    if removed := inputs.prepared["removed"]:
        were = "text was removed because it is" if removed == 1 else "texts were removed because they are"
        notes.append(f"Duplicates: {removed:,} train {were} in validation or test.")
    if twice := inputs.prepared["two_labels"]:
        notes.append(f"Contradictions: {twice:,} train text{'s occur' if twice > 1 else ' occurs'} with two labels.")
    return notes


def ablation(inputs: Inputs) -> dict[str, list[dict[str, Any]]]:
    """Return the results of the ablation.

    Returns:
        By what is varied (`sources`, `architectures`, `transfer_size`; `hard` and `tfidf`: the number of labels) rows
        of `name`, `kind`, `texts`, accuracy with its interval, and `tip`, the text of the tooltip.
    """
    results, models = inputs.ablation, inputs.scores["models"]
    total = {"texts": len(inputs.train)}
    named = {"hard": "hard labels", "tfidf": "TF-IDF + logistic regression"}
    baselines = {key: _row(name, "baseline", models[key] | total) for key, name in named.items() if key in models}
    sources = [
        _row("soft labels on train" if name == "train" else f"+ {name}", "student", values)
        for name, values in sorted(results.get("sources", {}).items(), key=lambda item: item[1]["texts"])
    ]
    if "vocabulary" in results:
        sources.append(_row("all, vocabulary by frequency", "baseline", results["vocabulary"]["frequent"]))
    architectures = [_row(name, "student", values) for name, values in results.get("architectures", {}).items()]
    rows = {
        "sources": [*([baselines["hard"]] if baselines else []), *sources] if sources else [],
        "architectures": sorted(architectures, key=lambda row: row["accuracy"]),
        "transfer_size": _shares(results.get("pool", {}), "transfer set", "student"),
    }
    rows["transfer_size"].sort(key=lambda row: row["texts"])
    for name in named:
        complete = [baselines[name]] if name in baselines else []
        rows[name] = [*_shares(results[name], "labels", "baseline"), *complete] if results.get(name) else []
    return rows


def _row(name: str, kind: str, values: Mapping[str, Any]) -> dict[str, Any]:
    tip = f"{name}: {100 * values['accuracy']:.1f}%, {values['texts']:,} texts"
    kept = ("texts", "accuracy", "accuracy_low", "accuracy_high")
    return {"name": name, "kind": kind, "tip": tip} | {key: values[key] for key in kept}


def _shares(results: Mapping[str, Any], whole: str, kind: str) -> list[dict[str, Any]]:
    return [_row(f"{100 * float(share):g}% of the {whole}", kind, values) for share, values in results.items()]


def samples(inputs: Inputs, number: int) -> list[dict[str, Any]]:
    """Return some texts of each source of the transfer set, with the teacher's label and confidence."""
    rows = []
    default = 0.5 if inputs.multi_label else None
    labels = predict_labels(inputs.transfer_probabilities, inputs.test.thresholds.get(inputs.teacher or "", default))
    confidences = confidence(inputs.transfer_probabilities, labels)
    for source in dict.fromkeys(inputs.transfer_set.sources.tolist()):
        indices = np.flatnonzero(inputs.transfer_set.sources == source)
        drawn = np.sort(np.random.default_rng(SEED).permutation(indices)[:number])
        for i, text in zip(drawn, inputs.transfer_set.subset(drawn).texts, strict=True):
            label = inputs.label_names(labels[[i]])[0]
            rows.append({"source": source, "text": text, "label": label, "confidence": float(confidences[i])})
    return rows


def error_analysis(inputs: Inputs, number: int) -> dict[str, Any]:
    """Return the student's errors by class, as a confusion matrix and as texts, and its calibration.

    Args:
        inputs: the outputs of the stages.
        number: how many errors, and how many confused pairs of classes, to show; if any, `all_errors` has them all.
    """
    test = inputs.test
    predicted, confidences, correct = test.predicted(STUDENT), test.confidence(STUDENT), test.correct(STUDENT)
    matrix = None if inputs.multi_label else confusion(test.labels, predicted, inputs.labels).to_numpy()
    classes = _classes(inputs, matrix)
    wrong = np.flatnonzero(~correct)
    wrong = wrong[np.argsort(-confidences[wrong], kind="stable")]
    actual, of_student = inputs.label_names(test.labels[wrong]), inputs.label_names(predicted[wrong])
    of_teacher = inputs.label_names(test.predicted(inputs.teacher)[wrong]) if inputs.teacher else [None] * len(wrong)
    errors = [
        {"text": test.texts[i], "confidence": float(confidences[i]), "actual": a, "predicted": p, "teacher": t}
        for i, a, p, t in zip(wrong, actual, of_student, of_teacher, strict=True)
    ]
    return {
        "matrix": None if matrix is None else matrix.tolist(),
        "classes": classes,
        "shown": sorted(classes, key=lambda row: -row["errors"])[:CLASSES] if len(classes) > CLASSES else classes,
        "errors": errors[:number],
        "all_errors": errors if number else [],
        "pairs": [] if matrix is None else _pairs(matrix, inputs.labels, number),
        "wrong": len(wrong),
        "reliability": reliability(confidences, correct),
    }


def _classes(inputs: Inputs, matrix: np.ndarray | None) -> list[dict[str, Any]]:
    """Return recall and precision of each class; `below` if the interval of its recall is below the mean recall."""
    if matrix is None:
        tp, fn, fp, _ = label_confusion(inputs.test.labels, inputs.test.predicted(STUDENT), inputs.labels).to_numpy().T
        hits, totals, predictions = tp, tp + fn, tp + fp
    else:
        hits, totals, predictions = matrix.diagonal(), matrix.sum(1), matrix.sum(0)
    mean = hits.sum() / max(1, totals.sum())
    rows = []
    counts = np.stack([hits, totals, predictions], axis=1).tolist()
    for name, (hit, texts, predicted) in zip(inputs.labels, counts, strict=True):
        low, high = interval(hit, texts) if texts else (0.0, 1.0)
        row = {"name": name, "texts": texts, "recall": hit / texts if texts else None}
        row |= {"precision": hit / predicted if predicted else None, "recall_low": low, "recall_high": high}
        rows.append(row | {"below": bool(texts) and high < mean, "errors": texts + predicted - 2 * hit})
    return rows


def _pairs(matrix: np.ndarray, labels: list[str], number: int) -> list[dict[str, Any]]:
    """Return the pairs of actual and predicted class with the most texts, the most frequent first."""
    actual, predicted = np.nonzero(matrix * ~np.eye(len(matrix), dtype=bool))
    texts = matrix[actual, predicted]
    first = np.argsort(-texts, kind="stable")[:number]
    pairs = zip(actual[first], predicted[first], texts[first].tolist(), strict=True)
    return [{"actual": labels[a], "predicted": labels[p], "texts": count} for a, p, count in pairs]


def label_errors(inputs: Inputs, number: int) -> dict[str, Any]:
    """Return probable label errors: of validation and test, and of the train texts, which the teacher was trained on.

    Returns:
        `rows`, the most probable errors; `all_rows`, a row of `to_correct` for every text with one, unless none are to
        be shown; `splits`, by split the number of texts and of probable errors; `noise`, the share of probable errors
        in validation and test; `agrees`, the teacher's test accuracy.
    """
    rows: list[dict[str, Any]] = []
    all_rows: list[dict[str, Any]] = []
    counts = {}
    for split, (texts, labels, probabilities) in _labelled_splits(inputs).items():
        errors = find_label_errors(labels, probabilities, inputs.labels)
        counts[split] = {"texts": len(texts), "errors": len({error.text for error in errors})}
        names = inputs.label_names(labels)
        for error in errors:
            rows.append({**asdict(error), "split": split, "text": texts[error.text], "label": names[error.text]})
        all_rows += to_correct(errors, labels, texts, inputs.labels, split)
    rows.sort(key=lambda row: -row["margin"])
    all_rows.sort(key=lambda row: -row["margin"])
    held_out = [counts[split] for split in ("validation", "test") if split in counts]
    total = sum(part["texts"] for part in held_out)
    share = sum(part["errors"] for part in held_out) / total if total else None
    known = inputs.teacher and not inputs.by_teacher
    agrees = inputs.scores["models"][inputs.teacher]["accuracy"] if known else None
    shown = {"rows": rows[:number], "all_rows": all_rows if number else []}
    return {**shown, "splits": counts, "noise": share, "agrees": agrees}


def _labelled_splits(inputs: Inputs) -> dict[str, tuple[list[str], np.ndarray, np.ndarray]]:
    """Return by split the texts, their labels and the teacher's probabilities, where the teacher has predictions."""
    splits = {}
    if inputs.teacher:
        for name, split in (("validation", inputs.validation), ("test", inputs.test)):
            if name not in inputs.labelled:
                continue
            splits[name] = split.texts, split.labels, split.probabilities[inputs.teacher]
    indices = np.flatnonzero(inputs.transfer_set.sources == "train")
    index = dict(zip(inputs.transfer_set.subset(indices).texts, indices.tolist(), strict=True))
    train = inputs.train[inputs.train["text"].isin(index)]
    if len(train) and "train" in inputs.labelled:
        probabilities = inputs.transfer_probabilities[[index[text] for text in train["text"]]]
        splits["train"] = train["text"].tolist(), targets(train["label"], len(inputs.labels)), probabilities
    return splits


def privacy(inputs: Inputs, k: int) -> dict[str, Any]:
    """Return a sentence on the words that the model file holds, and those of them that fewer than k texts have."""
    found = vocabulary_privacy(inputs.student, chain(inputs.train["text"], inputs.unlabelled), k)
    if found["holds"] == "nothing":
        held = "tokens of its teacher" + (
            " and which of them are rare in the texts" if inputs.student.rare_rows.any() else ""
        )
        return {"sentence": f"The model file holds {held}, but no words of the texts.", "rare": []}
    if found["holds"] == "hashes":
        return {"sentence": "The model file holds hashes of words, and no words.", "rare": []}
    rare, numbers, foreign = len(found["rare"]), found["numbers"], found["foreign"]
    texts = f"{len(inputs.train) + len(inputs.unlabelled):,} train and unlabelled texts"
    facts = [f"{f'{rare:,}' if rare else 'none'} occur{'s' * (rare < 2)} in fewer than {k} of the {texts}"]
    facts += [f"{numbers:,} {'has' if numbers == 1 else 'have'} a digit"] if numbers else []
    if foreign:
        facts.append(f"{foreign:,} {'is' if foreign == 1 else 'are'} in none, but in the vocabulary of a checkpoint")
    listed = " and ".join(filter(None, [", ".join(facts[:-1]), facts[-1]]))
    return {"sentence": f"Of the {found['words']:,} words in the model file, {listed}.", "rare": found["rare"][:SHOWN]}


def _cascade(inputs: Inputs) -> dict[str, Any] | None:
    if not inputs.teacher or inputs.multi_label or "train" not in inputs.labelled:
        return None
    validation, test = (
        (split.labels, split.probabilities[STUDENT], split.probabilities[inputs.teacher])
        for split in (inputs.validation, inputs.test)
    )
    result = cascade(validation, test)
    if not result:
        return None
    speeds = inputs.speeds
    speed = ""
    if speeds and result.needed and result.threshold is not None:
        ratio = two_digits(1 / (1 / speeds[0] + result.fallback_share / speeds[1]) / speeds[1])
        speed = f"The cascade classifies {ratio} times as many texts per second as the teacher."
    return {"result": result, "sentence": _cascade_sentence(result), "speed": speed}


def _cascade_sentence(result: Cascade) -> str:
    alone = f"The accuracy of the student alone is {100 * result.curve[0].accuracy:.2f}%."
    if not result.needed:
        return f"Not needed: on validation the student is at least as accurate as its teacher. {alone}"
    if result.threshold is None:
        return f"The cascade reaches the teacher's accuracy on validation with no threshold. {alone}"
    return (
        f"The lowest threshold that reaches the teacher's accuracy on validation is {result.threshold:g}. With it, "
        f"{100 * result.fallback_share:.1f}% of the test texts are sent to the teacher, and the cascade has a test "
        f"accuracy of {100 * result.accuracy:.2f}% (95% CI {100 * result.low:.2f} to {100 * result.high:.2f}; teacher "
        f"alone: {100 * result.teacher:.2f}%). {alone}"
    )
