"""The small models that are compared: the baselines and the student."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from potstill.core import files
from potstill.data.dataset import Dataset
from potstill.evaluate.compare import Model
from potstill.runtime.model import FILE, Classifier, Student
from potstill.scoring.tfidf import Tfidf

Predict = Callable[[list[str]], Any]


def small_models(baselines: Path, student: Classifier, data: Dataset) -> tuple[list[Model], dict[str, Predict]]:
    """Return baselines and student with their predictions, and their prediction functions by name.

    Args:
        baselines: the folder of the stage `baseline`.
        student: the student that ships.
        data: the splits to predict.

    Raises:
        PotstillError: a baseline is missing or damaged.
    """
    texts = data.test["text"].tolist(), data.validation["text"].tolist()

    def predicted(name: str, kind: str, model: Any, size: int, thresholds: list[float] | None = None) -> Model:
        test, validation = map(model.predict_proba, texts)
        return Model(name, kind, test, validation, model.parameters, size, thresholds)

    models = [predicted("student", "student", student, len(student.to_bytes()), student.thresholds)]
    functions: dict[str, Predict] = {"student": student.predict_proba}
    if not data.is_labelled("train"):  # there is nothing to train a baseline on
        return models, functions
    tfidf, hard = Tfidf.load(baselines / "tfidf"), Student.load(baselines / "hard" / FILE)
    models = [
        predicted("tfidf", "baseline", tfidf, files.size(baselines / "tfidf")),
        predicted("hard", "baseline", hard, files.size(baselines / "hard" / FILE)),
        *models,
    ]
    return models, {"tfidf": tfidf.predict_proba, "hard": hard.predict_proba, **functions}
