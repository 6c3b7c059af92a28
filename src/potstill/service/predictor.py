"""Predictions for the texts of a request."""

import numpy as np
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from potstill.bulk.predict import top_labels
from potstill.core.labels import predict_labels
from potstill.readers.request import Batch
from potstill.runtime import scope
from potstill.runtime.guarantee import Guarantee
from potstill.runtime.model import Classifier
from potstill.runtime.profile import Answers
from potstill.service.metrics import Metrics
from potstill.terminal import escaped

PROBABILITIES = 100_000  # in a response, or labels of a multi-label model; about 2.5 MB
DIGITS = 6  # of a probability


class Prediction(BaseModel):
    """The prediction for a text: the most probable class, and the probabilities of the `top_k` classes.

    `in_scope` is there if the model knows which texts are in scope.

    The label is null for a text from which the model abstains, if the request allows that.
    """

    label: str | None
    probability: float
    probabilities: dict[str, float]
    in_scope: bool | None = None


class Labels(BaseModel):
    """The prediction of a multi-label model: labels, the probabilities of the `top_k` labels, and if it is in scope."""

    labels: list[str]
    probabilities: dict[str, float]
    in_scope: bool | None = None


class Predictions(BaseModel):
    """The predictions, in the order of the texts."""

    predictions: list[Prediction] | list[Labels]


class Predictor:
    """Classifies texts with a student, in responses of limited size.

    Attributes:
        student: the student.
        metrics: counts the most probable labels.
        guarantee: that of the student; None if its file has none.
        max_probabilities: probabilities in a response; a full batch with one each is always allowed.
    """

    def __init__(self, student: Classifier, metrics: Metrics, max_batch: int) -> None:
        self.student, self.metrics = student, metrics
        self.guarantee = Guarantee.of(student.facts)
        self.max_probabilities = max(PROBABILITIES, max_batch)
        self._scope = scope.FACT in student.facts
        # Without a threshold, predictions have no such key.
        self._exclude = None if self._scope else {"predictions": {"__all__": {"in_scope"}}}

    def check_size(self, texts: int, top_k: int | None) -> None:
        """Check the size of a response to a number of texts.

        Raises:
            HTTPException: 422, it would have too many probabilities.
        """
        labels = len(self.student.labels)
        each = min(top_k or (1 if self.student.thresholds is None else labels), labels)
        if texts * each > self.max_probabilities:
            limit, default = self.max_probabilities, "" if top_k else " (all classes, without top_k)"
            raise HTTPException(
                422,
                f"body.top_k: {texts:,} texts with {each:,} probabilities each{default} exceed the limit of {limit:,} "
                f"per response. Set top_k to at most {limit // texts:,}, or send at most {limit // each:,} texts.",
            )

    def check_abstain(self, abstain: bool) -> None:
        """Check that the model can abstain, if it is to.

        Raises:
            HTTPException: 422, it has no guarantee.
        """
        if abstain and not self.guarantee:
            raise HTTPException(422, "body.abstain: the model has no guarantee. Leave it out.")

    def predict_json(self, texts: list[str], top_k: int | None, abstain: bool = False) -> str:
        """Classify texts, and return `Predictions` as JSON.

        Args:
            texts: the texts.
            top_k: how many classes to give a probability for; None for one, or for a multi-label model all.
            abstain: whether to give no label where the guarantee does not hold, see `check_abstain`.

        Raises:
            HTTPException: 500, the model computes no numbers; 422, the response would have too many labels.
        """
        single_label = self.student.thresholds is None
        predictions: list[Prediction] | list[Labels]
        if single_label:
            predictions = self._single_label(texts, top_k or 1, abstain)
        else:
            predictions = self._multi_label(texts, top_k)
        return escaped(Predictions(predictions=predictions).model_dump_json(exclude=self._exclude))

    def _single_label(self, texts: list[str], top_k: int, abstain: bool) -> list[Prediction]:
        labels = self.student.labels
        best = top_labels(self.student, Batch(texts, ()), min(top_k, len(labels)), 0.0, False, scope=self._scope)
        limits = self.guarantee.limits.tolist() if self.guarantee and abstain else [0.0] * len(labels)
        _check_finite(best.probabilities)
        predictions = []
        known = [None] * len(texts) if best.in_scope is None else best.in_scope.tolist()
        for ids, row, in_scope in zip(best.ids.tolist(), best.probabilities.tolist(), known, strict=True):
            probabilities = {labels[i]: round(value, DIGITS) for i, value in zip(ids, row, strict=True)}
            label = labels[ids[0]] if row[0] >= limits[ids[0]] else None
            predictions.append(
                Prediction(
                    label=label, probability=round(row[0], DIGITS), probabilities=probabilities, in_scope=in_scope
                )
            )
        self.metrics.count_texts(np.bincount(best.ids[:, 0], minlength=len(labels)))
        self.metrics.watch(texts, Answers(best.ids[:, 0], best.probabilities[:, 0]))
        return predictions

    def _multi_label(self, texts: list[str], top_k: int | None) -> list[Labels]:
        labels = self.student.labels
        known: list[bool | None] = [None] * len(texts)
        if self._scope:
            scores, in_scope = scope.predict(self.student, texts)
            known = in_scope.tolist()
        else:
            scores = self.student.predict_proba(texts)
        _check_finite(scores)
        chosen = predict_labels(scores, self.student.thresholds)
        if (total := int(chosen.sum())) > self.max_probabilities:
            limit = f"the limit of {self.max_probabilities:,} per response"
            raise HTTPException(422, f"body.texts: they have {total:,} labels, more than {limit}. Send fewer texts.")
        predictions = []
        for row, is_chosen, inside in zip(scores, chosen, known, strict=True):
            order = np.argsort(-row, kind="stable")
            probabilities = {labels[i]: round(float(row[i]), DIGITS) for i in order[:top_k]}
            names = [labels[i] for i in order if is_chosen[i]]
            predictions.append(Labels(labels=names, probabilities=probabilities, in_scope=inside))
        self.metrics.count_texts(chosen.sum(0))
        self.metrics.watch(texts, Answers.of(scores, chosen))
        return predictions


def _check_finite(probabilities: np.ndarray) -> None:
    """Raise an HTTPException (500) if a probability is not a finite number, which JSON cannot hold."""
    if not np.isfinite(probabilities).all():
        raise HTTPException(500, "the model computes probabilities that are not numbers. Export the student again.")
