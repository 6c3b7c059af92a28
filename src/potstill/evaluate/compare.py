"""Putting models side by side."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from potstill.errors import PotstillError
from potstill.evaluate.scores import mcnemar, scores
from potstill.runtime.decision import choose, right


@dataclass(frozen=True)
class Model:
    """A model and its answers.

    Attributes:
        name: unique among those compared.
        kind: `baseline`, `teacher` or `student`.
        probabilities: of shape (texts, classes), for the test split.
        validation: the same for the validation split; NaN where a table of probabilities lacks the text.
        parameters: how many, or None where that has no meaning.
        bytes: size on disk.
        thresholds: from which probability on a text has each label, where it may have several; else None.
    """

    name: str
    kind: str
    probabilities: np.ndarray
    validation: np.ndarray
    parameters: int | None
    bytes: int
    thresholds: list[float] | None = None

    @property
    def chosen(self) -> np.ndarray:
        """What it chooses for the test split, ids or booleans, see `runtime.decision`."""
        return choose(self.probabilities, self.thresholds)


def compare(
    models: Sequence[Model], labels: np.ndarray, teacher: str | None, reference: str | None
) -> tuple[list[dict[str, Any]], str]:
    """Score every model.

    Args:
        models: the models.
        labels: what is right for the test split, see `Dataset.targets`.
        teacher: the name of the model whose answers the others' are compared with, if it has any.
        reference: the name of the model that accuracy is relative to; None takes the teacher, and without
            one the most accurate.

    Returns:
        Per model a row of `name`, `kind`, `parameters`, `bytes`, what `scores` gives, `relative` (accuracy as
        a fraction of the reference's) and, against the teacher, `paired` (what `mcnemar` gives); and the
        name of the reference.

    Raises:
        PotstillError: no model is called `reference`.
    """
    by_name = {model.name: model for model in models}
    taught_by = by_name.get(teacher) if teacher else None
    rows: list[dict[str, Any]] = []
    for model in models:
        other = None if taught_by in (None, model) else taught_by
        row: dict[str, Any] = {
            "name": model.name,
            "kind": model.kind,
            "parameters": model.parameters,
            "bytes": model.bytes,
        }
        row |= scores(labels, model.probabilities, None if other is None else other.chosen, model.thresholds)
        if other is not None:
            row["paired"] = mcnemar(*(right(m.chosen, labels) for m in (model, other)))
        rows.append(row)
    name = reference or (teacher if taught_by else max(rows, key=lambda row: row["accuracy"])["name"])
    if name not in by_name:
        raise PotstillError(f"`evaluate.reference` is {name!r}: choose one of {', '.join(by_name)}, or null")
    whole = next(row["accuracy"] for row in rows if row["name"] == name)
    return [row | {"relative": round(row["accuracy"] / whole, 6) if whole else None} for row in rows], name
