"""Score several models on the same test split."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from potstill.core.errors import PotstillError
from potstill.core.labels import is_answered, is_correct, predict_labels
from potstill.evaluate.metrics.scores import mcnemar, scores


@dataclass(frozen=True)
class Model:
    """A model and its predictions.

    Attributes:
        name: unique among the models compared.
        kind: `baseline`, `teacher` or `student`.
        probabilities: floats (texts, classes), for the test split; NaN for texts that an LLM has not answered, which
            count as wrong.
        validation_probabilities: the same for the validation split; NaN also for texts that a table does not contain.
        parameters: number of parameters, or None for a table of probabilities or an LLM.
        bytes: size on disk, or None for an LLM elsewhere.
        thresholds: the decision threshold of each label, for multi-label tasks; else None. Of pooled folds, floats
            (texts, classes).
    """

    name: str
    kind: str
    probabilities: np.ndarray
    validation_probabilities: np.ndarray
    parameters: int | None
    bytes: int | None
    thresholds: Any = None

    @property
    def predicted(self) -> np.ndarray:
        """The labels predicted for the test split, ids or booleans, see `core.labels`."""
        return predict_labels(self.probabilities, self.thresholds)

    def correct(self, labels: np.ndarray) -> np.ndarray:
        """Return whether each prediction is correct, booleans (texts,), given the true labels of the test split."""
        return is_correct(self.predicted, labels) & is_answered(self.probabilities)


def compare(
    models: Sequence[Model], labels: np.ndarray, teacher: str | None, reference: str | None
) -> tuple[list[dict[str, Any]], str]:
    """Score every model.

    Args:
        models: the models, with different names.
        labels: the true labels of the test split, see `Dataset.targets`.
        teacher: the name of the model that all others are tested against, or None.
        reference: the name of the model that accuracy is relative to; None takes the teacher, or the most accurate
            model if there is no teacher.

    Returns:
        A row per model with `name`, `kind`, `parameters`, `bytes`, the values of `scores`, `relative` (accuracy as
        a fraction of the reference's) and, for all but the teacher, `agreement` (share of the texts that both have
        answered for which they predict the same) and `versus_teacher` (see `mcnemar`); and the name of the reference.

    Raises:
        PotstillError: no model has the name `reference`.
    """
    by_name = {model.name: model for model in models}
    rows: dict[str, dict[str, Any]] = {}
    for name, model in by_name.items():
        rows[name] = {"name": name, "kind": model.kind, "parameters": model.parameters, "bytes": model.bytes}
        if model.kind != "teacher" and not is_answered(model.probabilities).all():
            raise PotstillError(f"{name}: its probabilities are not finite. Lower its learning rate.")
        rows[name] |= scores(labels, model.probabilities, model.thresholds)
        if teacher and name != teacher:
            other = by_name[teacher]
            both = is_answered(model.probabilities) & is_answered(other.probabilities)
            rows[name]["agreement"] = round(float(is_correct(model.predicted, other.predicted)[both].mean()), 6)
            rows[name]["versus_teacher"] = mcnemar(model.correct(labels), other.correct(labels))
    reference = reference or teacher or max(rows, key=lambda name: rows[name]["accuracy"])
    if reference not in rows:
        raise PotstillError(
            f"evaluate.reference: no model {reference!r} (found: {', '.join(rows)}). Choose one, or null."
        )
    reference_accuracy = rows[reference]["accuracy"]
    for row in rows.values():
        row["relative"] = round(row["accuracy"] / reference_accuracy, 6) if reference_accuracy else None
    return list(rows.values()), reference


def pooled(student: Model, teacher: Model, validation: np.ndarray, test: np.ndarray) -> tuple[dict[str, Any], int]:
    """Test the student against its teacher on the validation and test texts together.

    Args:
        student: the student.
        teacher: its teacher. Texts without its predictions are left out.
        validation: the true labels of the validation split, see `Dataset.targets`.
        test: the same of the test split.

    Returns:
        The result of `mcnemar`, and the number of texts.
    """
    complete, answered = is_answered(teacher.validation_probabilities), is_answered(teacher.probabilities)
    correct = []
    for model in (student, teacher):
        predicted = predict_labels(model.validation_probabilities[complete], model.thresholds)
        correct.append(np.r_[is_correct(predicted, validation[complete]), model.correct(test)[answered]])
    return mcnemar(*correct), len(correct[0])
