"""The verdict of a cross-validation, from the predictions of all folds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from potstill.evaluate.compare import Model, compare
from potstill.evaluate.decision import judge_models
from potstill.evaluate.next_steps import Commands, Evidence, Step, next_steps
from potstill.evaluate.predictions import Predictions
from potstill.evaluate.verdict import Verdict


@dataclass(frozen=True)
class Fold:
    """What is left of one fold.

    Attributes:
        test: the predictions of all models for its test split.
        models: by name their `kind`, `parameters` and `bytes`, see `compare.Model`.
    """

    test: Predictions
    models: Mapping[str, Mapping[str, Any]]


def judge_folds(
    folds: Sequence[Fold], labelling: Sequence[str], margin: float, unlabelled: int, commands: Commands
) -> tuple[Verdict, list[Step], list[dict[str, Any]]]:
    """Decide whether a student that is trained like those of the folds should ship.

    The out-of-fold predictions are pooled, so that every text counts once. The intervals are those of one model's
    predictions: they do not contain how students of different folds vary. Sizes are those of the largest fold's model.

    Args:
        folds: at least two, of different texts.
        labelling: the names of the teachers that label.
        margin: the non-inferiority margin, a fraction.
        unlabelled: the number of unlabelled texts.
        commands: those of the steps.

    Returns:
        The verdict, what to do next, and a row of scores per model, see `compare`.
    """
    labels = np.concatenate([fold.test.labels for fold in folds])
    models = [_pooled(folds, name) for name in folds[0].models if all(name in fold.models for fold in folds)]
    name = labelling[0] if len(labelling) == 1 else "ensemble"
    teacher = name if any(model.name == name for model in models) else None
    rows, _ = compare(models, labels, teacher, None)
    verdict, of_teacher = judge_models(rows, models, labels, teacher, margin)
    scores = {row["name"]: row for row in rows}
    perfect = teacher is not None and scores[teacher]["accuracy"] == 1
    counts = {"train": len(labels), "test": len(labels), "unlabelled": unlabelled}
    versus_teacher = scores["student"].get("versus_teacher")
    evidence = Evidence((), versus_teacher, of_teacher, labelling, None, None, counts, perfect_teacher=perfect)
    return verdict, next_steps(verdict, evidence, commands), rows


def _pooled(folds: Sequence[Fold], name: str) -> Model:
    probabilities = np.concatenate([fold.test.probabilities[name] for fold in folds])
    facts = [fold.models[name] for fold in folds]
    sizes = {
        key: None if any(of_fold[key] is None for of_fold in facts) else max(of_fold[key] for of_fold in facts)
        for key in ("parameters", "bytes")
    }
    thresholds: Any = None
    if all(name in fold.test.thresholds for fold in folds):  # each fold has its own
        thresholds = np.concatenate([np.tile(fold.test.thresholds[name], (len(fold.test.texts), 1)) for fold in folds])
    return Model(name, facts[0]["kind"], probabilities, probabilities[:0], **sizes, thresholds=thresholds)
