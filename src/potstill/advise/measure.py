"""Train inexpensive models on a sample of a task, and measure all of them on the same validation texts."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import pandas as pd

from potstill.advise.sample import FRACTIONS, Sample, draw, subset
from potstill.advise.teacher import FineTunedTeacher
from potstill.baseline.network import train_on_labels
from potstill.baseline.params import BaselineParams
from potstill.core import device
from potstill.core.class_weights import majority
from potstill.core.labels import is_correct, predict_labels, probabilities
from potstill.data.dataset import Dataset, targets
from potstill.evaluate.metrics.scores import mcnemar, scores
from potstill.evaluate.word_order import out_of_vocabulary, vocabulary, word_order_sensitivity
from potstill.scoring.tfidf import Tfidf
from potstill.student.distil import distil
from potstill.student.params import NetworkParams, StudentParams

MIN_STEPS = 500  # of a student, however few its texts
CURVE_ROWS = 100  # rows for the validation curve of a teacher

# The students. The widths are those that suited three tasks (benchmarks/README.md); the rest comes from params.yaml.
CANDIDATES: dict[str, dict[str, Any]] = {
    "bag": {"architecture": "mlp", "vocab_size": 5000, "hidden": 16, "max_ngram": 2, "informative_share": 0.6},
    "bigru": {"architecture": "bigru", "vocab_size": 1150, "embedding_dim": 3, "hidden": 8, "max_ngram": 1},
    "large bigru": {"architecture": "bigru", "vocab_size": 5000, "embedding_dim": 14, "hidden": 32, "max_ngram": 1},
}
# How they are distilled, where it differs from params.yaml.
DISTILLATION: dict[str, dict[str, Any]] = {
    "bag": {"batch_size": 64, "learning_rate": 0.005, "weight_decay": 0.05},
    "bigru": {},
    "large bigru": {"learning_rate": 0.005, "dropout": 0.1},
}
WITH_CURVE = ("bag", "bigru")  # also trained on the smaller fractions

Params = TypeVar("Params", bound=NetworkParams)


@dataclass(frozen=True)
class Measurement:
    """A model that was trained and measured.

    Attributes:
        row: what is kept of it, ready for JSON: `name`; `training`, "hard" (on labels) or "distilled"; `texts`, the
            number that it was trained on; `parameters`, the number of its weights, None if it is not compared by size;
            and its scores.
        predictions: on the validation texts, as `predict_labels` returns them.
        correct: whether these are right, booleans of shape (texts,).
    """

    row: dict[str, Any]
    predictions: np.ndarray
    correct: np.ndarray


@dataclass(frozen=True)
class Validation:
    """The texts that all models are measured on.

    Attributes:
        texts: the texts.
        targets: their labels, as `data.dataset.targets` returns them.
        thresholds: the decision thresholds of a multi-label task, one per class; None otherwise.
    """

    texts: list[str]
    targets: np.ndarray
    thresholds: list[float] | None

    def measure(
        self,
        name: str,
        training: str,
        size: int,
        probabilities: np.ndarray,
        parameters: int | None = None,
        reference: np.ndarray | None = None,
    ) -> Measurement:
        """Score a model.

        Args:
            name: see `Measurement.row`, likewise the next two.
            training: "hard" or "distilled".
            size: the number of training texts.
            probabilities: on the validation texts, of shape (texts, classes).
            parameters: see `Measurement.row`.
            reference: the predictions that its agreement is measured with.
        """
        row = {"name": name, "training": training, "texts": size, "parameters": parameters}
        row |= scores(self.targets, probabilities, reference, self.thresholds)
        predictions = predict_labels(probabilities, self.thresholds)
        return Measurement(row, predictions, is_correct(predictions, self.targets))


def measure(
    data: Dataset,
    rows: int,
    baseline: BaselineParams,
    student: StudentParams,
    teacher: FineTunedTeacher,
    progress: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """Train linear models, students and teachers on fractions of a sample, and measure them.

    Args:
        data: the task; its test split is not used.
        rows: the largest number of labelled train rows to use.
        baseline: how to train on hard labels; the architecture and widths are replaced.
        student: how to distil; the architecture and widths are replaced. Its epochs are those on all texts, and on
            fewer texts there are as many steps.
        teacher: is fine-tuned twice, on half of the sample and on all of it.
        progress: receives a line for each model when it is measured.

    Returns:
        What `decide` and `report` need, ready for JSON:
        `classes`; `rows` (of each table); `majority` (the accuracy of always predicting the most frequent class);
        `train_as_unlabelled` (see `Sample`); `models`, the rows of `Measurement`; `word_order`, see
        `word_order_sensitivity`; `out_of_vocabulary`, see there, for the vocabulary of the `sample` and of `all` texts;
        `paired`, what `mcnemar` returns for pairs of models, first minus second.
    """
    sample = draw(data, rows)
    thresholds = [0.5] * len(data.labels) if data.multi_label else None
    texts, labels = sample.validation["text"].tolist(), targets(sample.validation["label"], len(data.labels))
    validation = Validation(texts, labels, thresholds)
    fractions = [subset(sample.train, len(sample.train) // part, len(data.labels))[0] for part in FRACTIONS]

    models = _collect(_train_on_labels(fractions, sample, validation, baseline), progress)
    models += _collect(_fine_tune(teacher, fractions[-2:], sample, validation), progress)
    word_order = word_order_sensitivity(teacher.logits, texts)
    logits = teacher.logits(sample.transfer_set())
    models += _collect(_distil(logits, sample, validation, student, models[-1].predictions), progress)

    in_sample = vocabulary(sample.train["text"].tolist())
    in_all = vocabulary(data.train["text"].tolist() + data.unlabelled["text"].tolist())
    return {
        "classes": len(data.labels),
        "rows": {
            "train": len(data.train),
            "unlabelled": len(data.unlabelled),
            "sample": len(sample.train),
            "selection": len(sample.selection),
            "validation": len(texts),
            "transfer": len(logits),
        },
        "train_as_unlabelled": sample.train_as_unlabelled,
        "majority": round(majority(labels), 6),
        "models": [model.row for model in models],
        "word_order": word_order,
        "out_of_vocabulary": {"sample": out_of_vocabulary(in_sample, texts), "all": out_of_vocabulary(in_all, texts)},
        "paired": _compare(models),
    }


def _collect(measurements: Iterable[Measurement], progress: Callable[[str], None]) -> list[Measurement]:
    """Return the measurements as a list, and report each as soon as it is made."""
    models = []
    for model in measurements:
        progress("{name}, {training}, {texts:,} texts: {accuracy:.1%}".format(**model.row))
        models.append(model)
    return models


def _train_on_labels(
    fractions: Sequence[pd.DataFrame], sample: Sample, validation: Validation, base: BaselineParams
) -> Iterator[Measurement]:
    device.use_threads(base.threads)
    for train in fractions:
        tfidf = Tfidf.fit(train, base.C, base.class_weight)
        yield validation.measure("TF-IDF", "hard", len(train), tfidf.predict_proba(validation.texts))
        for name in WITH_CURVE:
            params = _adjust(base, CANDIDATES[name], len(train), len(train))
            student = train_on_labels(sample.labels, train, sample.selection, params).student
            predicted = student.predict_proba(validation.texts)
            yield validation.measure(name, "hard", len(train), predicted, student.parameters)


def _fine_tune(
    teacher: FineTunedTeacher, fractions: Sequence[pd.DataFrame], sample: Sample, validation: Validation
) -> Iterator[Measurement]:
    for train in fractions:
        teacher.fit(train, sample.selection.head(CURVE_ROWS))
        predicted = probabilities(teacher.logits(validation.texts), validation.thresholds is not None)
        yield validation.measure("teacher", "hard", len(train), predicted)


def _distil(
    logits: np.ndarray, sample: Sample, validation: Validation, base: StudentParams, reference: np.ndarray
) -> Iterator[Measurement]:
    texts = sample.transfer_set()
    device.use_threads(base.threads)
    for name in CANDIDATES:
        for part in FRACTIONS if name in WITH_CURVE else FRACTIONS[-1:]:
            size = len(texts) // part
            params = _adjust(base, CANDIDATES[name] | DISTILLATION[name], size, len(texts))
            student = distil(sample.labels, texts[:size], logits[:size], sample.selection, params).student
            predicted = student.predict_proba(validation.texts)
            yield validation.measure(name, "distilled", size, predicted, student.parameters, reference)


def _compare(models: Sequence[Measurement]) -> dict[str, dict[str, Any]]:
    """Return paired tests; `models` of the same name and training are in ascending order of their texts."""
    trained: dict[tuple[str, str], list[np.ndarray]] = {}
    for model in models:
        trained.setdefault((model.row["name"], model.row["training"]), []).append(model.correct)
    teachers, tfidf = trained["teacher", "hard"], trained["TF-IDF", "hard"][-1]
    students = {name: trained[name, "distilled"] for name in CANDIDATES}
    pairs = {
        "teacher, TF-IDF": (teachers[-1], tfidf),
        "teacher, on half": (teachers[-1], teachers[-2]),
        "bigru, bag": (students["bigru"][-1], students["bag"][-1]),
        "large bigru, bigru": (students["large bigru"][-1], students["bigru"][-1]),
    }
    for name, student in students.items():
        pairs[f"{name}, teacher"] = student[-1], teachers[-1]
        pairs[f"{name}, TF-IDF"] = student[-1], tfidf
    for name in WITH_CURVE:
        pairs[f"{name}, on a quarter"] = students[name][-1], students[name][0]
        pairs[f"{name}, on labels"] = students[name][-1], trained[name, "hard"][-1]
    return {name: mcnemar(first, second) for name, (first, second) in pairs.items()}


def _adjust(base: Params, changes: dict[str, Any], size: int, whole: int) -> Params:
    """Return parameters with validated changes, and as many steps on `size` texts as on the `whole`."""
    changed = type(base).model_validate(base.model_dump() | {"embedding_rows": None} | changes)
    steps = max(MIN_STEPS, base.epochs * -(-whole // changed.batch_size))
    return changed.model_copy(update={"epochs": -(-steps // -(-size // changed.batch_size))})
