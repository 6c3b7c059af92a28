"""The verdict on a student and what to do next, from the predictions of all models."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from scipy.special import logit

from potstill.core.class_weights import majority
from potstill.core.labels import is_answered, probabilities
from potstill.data.dataset import Dataset
from potstill.evaluate import agreement
from potstill.evaluate.cascade import Cascade, cascade
from potstill.evaluate.compare import Model, pooled
from potstill.evaluate.metrics.measures import HeldOut, Rung
from potstill.evaluate.metrics.scores import mcnemar
from potstill.evaluate.metrics.thresholds import fit_thresholds
from potstill.evaluate.next_steps import FEW_TESTS, Commands, Evidence, Step, next_steps
from potstill.evaluate.params import EvaluateParams
from potstill.evaluate.verdict import Reason, Verdict, judge
from potstill.scoring.ensemble import average


def ensemble(members: list[np.ndarray], multi_label: bool) -> np.ndarray:
    """Return the probabilities of an ensemble, which averages logits; all floats (texts, classes)."""
    to_logits = logit if multi_label else np.log
    return probabilities(average([to_logits(member) for member in members], multi_label), multi_label)


def with_thresholds(models: list[Model], data: Dataset) -> list[Model]:
    """Fit decision thresholds on validation for the models without, if the task is multi-label."""
    if not data.multi_label:
        return models
    labels = data.targets("validation")
    return [
        model if model.thresholds else replace(model, thresholds=fit_thresholds(model.validation_probabilities, labels))
        for model in models
    ]


def decide(
    rows: Sequence[Mapping[str, Any]],
    models: Sequence[Model],
    data: Dataset,
    teacher: str | None,
    labelling: Sequence[str],
    ladder: Sequence[Rung],
    params: EvaluateParams,
    commands: Commands,
    fallback: str | None,
    drawn: bool,
    held_out: HeldOut | None = None,
) -> tuple[Verdict, list[Step]]:
    """Decide whether the student should ship, and what to do next.

    Args:
        rows: of all models, see `compare`.
        models: the student, `tfidf`, `hard` and the teachers; without labels there is no `tfidf` and no `hard`.
        data: the data set; of a split that nobody has labelled, with its teacher's labels.
        teacher: the name of the model that labelled; None if it has no predictions for the test split.
        labelling: the names of the teachers that labelled.
        ladder: the candidates for the student, in ascending order of size.
        params: the non-inferiority margin, and the disagreement that is allowed without labels.
        commands: those of the steps.
        fallback: the teacher of a cascade, see `cascade.fallback`.
        drawn: whether the test split was drawn from the train texts.
        held_out: what was measured on held-out unlabelled texts; a remark says it if there are few test texts.
    """
    found, labels = {model.name: model for model in models}, data.targets("test")
    scores = {row["name"]: row for row in rows}
    counts = {name: len(data.split(name)) for name in ("train", "validation", "test", "unlabelled")}
    if teacher and not data.is_labelled("train"):
        of_student, known = scores["student"], scores[teacher]
        unknown, answered = "test" in data.by_teacher, is_answered(found[teacher].probabilities)
        own, others = (found[name].predicted[answered] for name in ("student", teacher))
        verdict = agreement.judge(
            of_student, own, others, params.max_disagreement, None if unknown else (of_student, known)
        )
        lost = {"difference": of_student["agreement"] - 1}
        counts |= {"train": 0, "validation": 0, "unlabelled": counts["train"] + counts["unlabelled"]}
        evidence = Evidence(ladder, lost, None, labelling, None, fallback, counts, unknown_accuracy=unknown)
    else:
        together = pooled(found["student"], found[teacher], data.targets("validation"), labels) if teacher else None
        verdict, of_teacher = judge_models(rows, models, labels, teacher, params.non_inferiority_margin, together)
        evidence = Evidence(
            ladder=ladder,
            versus_teacher=scores["student"].get("versus_teacher"),
            teacher_versus_baseline=of_teacher,
            teachers=labelling,
            cascade=_cascade(found["student"], found[teacher], data) if teacher else None,
            fallback=fallback,
            rows=counts,
            drawn=drawn,
            perfect_teacher=teacher is not None and scores[teacher]["accuracy"] == 1,
        )
    if held_out and held_out["texts"] and counts["test"] < FEW_TESTS:
        verdict = replace(verdict, reasons=(*verdict.reasons, Reason("remark", agreement.held_out(held_out))))
    return verdict, next_steps(verdict, evidence, commands)


def judge_models(
    rows: Sequence[Mapping[str, Any]],
    models: Sequence[Model],
    labels: np.ndarray,
    teacher: str | None,
    margin: float,
    together: tuple[Mapping[str, Any], int] | None = None,
) -> tuple[Verdict, Mapping[str, Any] | None]:
    """Return the verdict, and the result of `scores.mcnemar` for teacher and TF-IDF.

    Args:
        rows, models, teacher: as for `decide`.
        margin: the non-inferiority margin, a fraction.
        labels: the true labels of the test split.
        together: see `compare.pooled`.
    """
    by_name, found = {row["name"]: row for row in rows}, {model.name: model for model in models}
    correct = {name: model.correct(labels) for name, model in found.items()}
    of_teacher = mcnemar(correct[teacher], correct["tfidf"]) if teacher else None
    verdict = judge(
        by_name["student"],
        by_name["tfidf"],
        by_name["student"].get("versus_teacher"),
        mcnemar(correct["student"], correct["tfidf"]),
        texts=len(labels),
        margin=margin,
        majority=majority(labels),
        teacher_versus_baseline=of_teacher,
        versus_hard=mcnemar(correct["student"], correct["hard"]),
        pooled=together,
    )
    return verdict, of_teacher


def _cascade(student: Model, teacher: Model, data: Dataset) -> Cascade | None:
    """Return the cascade of student and teacher; None for a multi-label task."""
    if data.multi_label:
        return None
    validation = data.targets("validation"), student.validation_probabilities, teacher.validation_probabilities
    return cascade(validation, (data.targets("test"), student.probabilities, teacher.probabilities))
