"""Calibrate a student, and make its model file, its ONNX model and its card."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from potstill.core import files, tracking
from potstill.core.errors import PotstillError
from potstill.core.labels import is_answered, is_correct, predict_labels, probabilities
from potstill.data import transfer
from potstill.data.dataset import Dataset
from potstill.data.transfer import TransferSet
from potstill.evaluate.metrics.measures import HeldOut
from potstill.evaluate.metrics.scores import scores
from potstill.evaluate.metrics.thresholds import fit_thresholds
from potstill.export import calibrate, held_out, profile, scope, to_onnx
from potstill.export.card import ONNX, card
from potstill.export.facts import collect
from potstill.export.guarantee import guarantee
from potstill.export.params import ExportParams, GuaranteeParams
from potstill.runtime.facts import RARE
from potstill.runtime.guarantee import FACT as GUARANTEE
from potstill.runtime.guarantee import Guarantee
from potstill.runtime.model import FILE, WORDS, Student
from potstill.runtime.profile import FACT as PROFILE
from potstill.runtime.scope import FACT as SCOPE
from potstill.runtime.scope import score
from potstill.runtime.tokenizer import Fingerprints
from potstill.scoring.held_out import is_llm, label_held_out, teacher_logits
from potstill.student.params import PARAMS, DistilParams


@dataclass(frozen=True)
class Export:
    """What is exported.

    Attributes:
        student: the calibrated student, with its facts.
        sources: the number of texts that it was trained on, by source.
        held_out: what was measured on unlabelled texts that it was not trained on.
    """

    student: Any
    sources: Mapping[str, int]
    held_out: HeldOut | None = None

    names: ClassVar[tuple[str, ...]] = (FILE, ONNX, "README.md")

    def save(self, folder: Path) -> tuple[int, int]:
        """Write the model file, the ONNX model and the card into a folder.

        Returns:
            The bytes of the model file and of the ONNX model.
        """
        model = to_onnx.build(self.student).SerializeToString()
        self.student.save(folder / FILE)
        size = files.size(folder / FILE)
        with files.output(folder / ONNX) as stream:
            stream.write(model)
        with files.output(folder / "README.md") as stream:
            stream.write(card(self.student, self.sources, size, len(model)).encode())
        return size, len(model)


def build(
    trained: Path, prepared: Path, ensemble: Path, predictions: Mapping[str, Path], params: ExportParams
) -> tuple[Export, dict[str, float]]:
    """Calibrate a student and collect its facts.

    Args:
        trained: the folder of the student, see `student.search`.
        prepared: the folder of the prepared data.
        ensemble: the folder of the transfer set.
        predictions: by the name of each teacher that labelled, the folder of its predictions, see
            `tracking.write_predictions`.
        params: the settings.

    Returns:
        What to export; and the log loss and the calibration error on validation before the calibration and after it.

    Raises:
        PotstillError: a file is missing or damaged, or a guarantee is asked for that cannot be given.
    """
    given = Dataset.load(prepared, unlabelled=False)
    data = label_held_out(given, list(predictions.values()))
    before: Any = Student.load(trained / FILE)
    labels, texts = data.targets("validation"), data.validation["text"]
    student = before
    # Its teacher's labels may be wrong: a temperature fitted on them calibrates agreement, not accuracy.
    if "validation" not in data.by_teacher:
        student = replace(before, temperature=calibrate.temperature(before.decision_function(texts), labels))
    if data.multi_label:
        student = replace(student, thresholds=fit_thresholds(student.predict_proba(texts), labels))
    settings = DistilParams.model_validate(files.read_json(trained / PARAMS))
    sources = transfer.count(ensemble, settings.sources)
    words = None
    if params.keep_vocabulary and isinstance(student, Student) and isinstance(student.vocabulary.entries, Fingerprints):
        words = files.read_names(trained / WORDS)
    hashes = {"prepared": files.sha256(prepared), "ensemble": files.sha256(ensemble)}
    accuracies = {name: teacher_accuracy(folder, given) for name, folder in predictions.items()}
    facts = collect(student, words, data, sources, hashes, accuracies, settings)
    more, folders = transfer.read_held_out(ensemble, data.labels), list(predictions.values())
    measured_on_more = measure_held_out(student, given, more, folders)
    if params.guarantee:
        alike = more if held_out.are_alike(measured_on_more, given) else None
        facts[GUARANTEE] = guaranteed(student, given, folders, params.guarantee, alike).to_fact()
    if params.profile:
        facts[PROFILE] = profile.collect(student, data).fact()
    if params.scope:
        facts[SCOPE] = scope_fact(student, given, prepared, params.scope.false_alarms)
    student = replace(student, facts=facts)
    measured = {
        "_before": scores(labels, before.predict_proba(texts), thresholds=before.thresholds),
        "": student.facts["metrics"]["validation"],
    }
    keys = ("log_loss", "calibration_error")
    summary = {f"validation_{key}{end}": found[key] for key in keys for end, found in measured.items()}
    return Export(student, sources, measured_on_more), summary


def measure_held_out(student: Any, data: Dataset, more: TransferSet, predictions: Sequence[Path]) -> HeldOut:
    """Return what the held-out unlabelled texts say of a calibrated student, see `held_out.measure`.

    Args:
        student: the student.
        data: the data set, as it was prepared.
        more: these texts, with the teacher's logits.
        predictions: the folders of the predictions of its teachers.
    """
    logits = teacher_logits(predictions, data, "validation")
    known = is_answered(logits)
    soft = probabilities(logits[known], data.multi_label)
    thresholds = fit_thresholds(soft, data.targets("validation")[known]) if data.multi_label else None
    answers = predict_labels(probabilities(more.logits, data.multi_label), thresholds)
    validation = data.validation["text"][known].tolist(), predict_labels(soft, thresholds)
    return held_out.measure(student, (list(more.texts), answers), validation)


def guaranteed(
    student: Any, data: Dataset, predictions: Sequence[Path], params: GuaranteeParams, more: TransferSet | None = None
) -> Guarantee:
    """Return the guarantee of a calibrated student, from the validation split, and what the test split shows of it.

    Args:
        student: the student.
        data: the data set, as it was prepared.
        predictions: the folders of the predictions of its teachers, for an agreement. Texts without any are left out.
        params: what is to be promised.
        more: held-out unlabelled texts like those of validation, which an agreement is also calibrated on.

    Raises:
        PotstillError: the task is multi-label, or an accuracy is to be promised of texts that nobody has labelled.
    """
    if params.kind == "accuracy" and not (data.is_labelled("validation") and data.is_labelled("test")):
        raise PotstillError(
            "export.guarantee: `accuracy` cannot be promised, as nobody has labelled the texts. Set `agreement`."
        )
    if data.multi_label:
        raise PotstillError("export.guarantee: not for several labels per text (multi_label). Set it to null.")
    outcomes = []
    for split in ("validation", "test"):
        table, wanted = data.split(split), data.targets(split)
        known = np.ones(len(table), bool)
        if params.kind == "agreement" and len(table):
            logits = teacher_logits(predictions, data, split)
            known, wanted = is_answered(logits), logits.argmax(1)
        if known.any():
            outcomes.append((student.predict_proba(table["text"][known].tolist()), wanted[known]))
        elif split == "validation":
            raise PotstillError(
                "export.guarantee: the teacher has no predictions for validation, which an agreement requires. Set "
                "`accuracy` instead."
            )
    if params.kind == "agreement" and more and len(more.texts):
        soft, wanted = outcomes[0]
        soft = np.concatenate([soft, student.predict_proba(list(more.texts))])
        outcomes[0] = soft, np.concatenate([wanted, more.logits.argmax(1)])
    return guarantee(outcomes[0], outcomes[1] if len(outcomes) > 1 else None, params)


def scope_fact(student: Any, data: Dataset, prepared: Path, false_alarms: float) -> dict[str, Any]:
    """Return the fact `scope` of a student: its threshold, from validation, and what share of test is below it.

    Args:
        student: the student, calibrated.
        data: the data set, as it was prepared.
        prepared: its folder, with the unlabelled texts.
        false_alarms: the false-alarm rate.
    """
    parts = {"weight": scope.WEIGHT, RARE: scope.rare_rows(student, scope.known_texts(prepared))}
    student = replace(student, facts={SCOPE: parts})
    scores = {
        name: score(student, table["text"])[1] for name in ("validation", "test") if len(table := data.split(name))
    }
    fact: dict[str, Any] = scope.fit(scores["validation"], false_alarms) | parts
    if "test" in scores:
        fact["test"] = round(float((scores["test"] < fact["threshold"]).mean()), 6)
    return fact


def teacher_accuracy(predictions: Path, data: Dataset) -> float | None:
    """Return the test accuracy of a teacher, from the folder of its predictions.

    Returns:
        None without a labelled test split, or without predictions for some of its texts; a text that an LLM has not
        answered counts as wrong.
    """
    test, validation = (
        tracking.read_predictions(predictions / f"{split}.csv", data.labels, len(data.split(split)))
        for split in ("test", "validation")
    )
    answered = is_answered(test)
    enough = answered.any() if is_llm(predictions) else answered.all()
    if not (len(test) and enough and data.is_labelled("test")):
        return None
    predicted = predict_labels(test)
    if data.multi_label:
        thresholds = fit_thresholds(probabilities(validation, multi_label=True), data.targets("validation"))
        predicted = predict_labels(probabilities(test, multi_label=True), thresholds)
    return round(float((is_correct(predicted, data.targets("test")) & answered).mean()), 6)
