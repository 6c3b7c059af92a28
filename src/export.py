"""Stage `export`: calibrate the student; write its model file, an ONNX model and a model card."""

from potstill.core.start import run

from dataclasses import replace

import numpy as np

from potstill.core import files, paths, tracking
from potstill.core.labels import is_correct, predict_labels, probabilities
from potstill.core.params import section
from potstill.core.resources import record_resources
from potstill.data import transfer
from potstill.data.dataset import Dataset
from potstill.evaluate.metrics.scores import scores
from potstill.evaluate.metrics.thresholds import fit_thresholds
from potstill.export import calibrate, to_onnx
from potstill.export.card import ONNX, card
from potstill.export.facts import collect
from potstill.export.params import ExportParams
from potstill.runtime.model import FILE, WORDS, Student
from potstill.runtime.tokenizer import Fingerprints
from potstill.student.params import PARAMS, DistilParams


@record_resources(paths.METRICS / "export" / "resources.json")
def main() -> None:
    """Read the trained student, the data and the teachers' predictions; write `models/export`."""
    params = ExportParams.load()
    data = Dataset.load(paths.PREPARED, unlabelled=False)
    trained = Student.load(paths.STUDENT / FILE)
    labels = data.targets("validation")
    temperature = calibrate.temperature(trained.decision_function(data.validation["text"]), labels)
    student = replace(trained, temperature=temperature)
    if data.multi_label:
        student = replace(student, thresholds=fit_thresholds(student.predict_proba(data.validation["text"]), labels))

    student_params = DistilParams.model_validate(files.read_json(paths.STUDENT / PARAMS))
    sources = transfer.count(paths.ENSEMBLE, student_params.sources)
    words = None
    if params.keep_vocabulary and isinstance(student, Student) and isinstance(student.vocabulary.entries, Fingerprints):
        words = files.read_names(paths.STUDENT / WORDS)
    hashes = {path.name: files.sha256(path) for path in (paths.PREPARED, paths.ENSEMBLE)}
    facts = collect(student, words, data, sources, hashes, teachers(data), student_params)
    student = replace(student, facts=facts)
    model = to_onnx.build(student).SerializeToString()
    with files.atomic_write(paths.EXPORT) as folder:
        folder.mkdir(parents=True)
        student.save(folder / FILE)
        (folder / ONNX).write_bytes(model)
        files.write_text(folder / "README.md", card(student, sources, files.size(folder / FILE), len(model)))

    before = scores(labels, trained.predict_proba(data.validation["text"]), thresholds=trained.thresholds)
    after = student.facts["metrics"]["validation"]
    summary = {
        "bytes": files.size(paths.EXPORT / FILE),
        "onnx_bytes": len(model),
        "temperature": temperature,
        "validation_log_loss_before": before["log_loss"],
        "validation_log_loss": after["log_loss"],
        "validation_calibration_error_before": before["calibration_error"],
        "validation_calibration_error": after["calibration_error"],
    }
    tracking.write_metrics(paths.METRICS / "export", "export", summary)
    sizes = f"{paths.EXPORT / FILE}: {summary['bytes']:,} bytes; {ONNX}: {len(model):,} bytes"
    print(f"{sizes}; temperature {temperature:g}")


def teachers(data: Dataset) -> dict[str, float | None]:
    """Return the test accuracy of the teachers that labelled; None without predictions for some test texts."""
    accuracies: dict[str, float | None] = {}
    for name in section("label").load().teachers:
        folder = paths.METRICS / "teacher" / name
        test, validation = (
            tracking.read_predictions(folder / f"{split}.csv", data.labels, len(data.split(split)))
            for split in ("test", "validation")
        )
        if not np.isfinite(test).all():
            accuracies[name] = None
            continue
        predicted = predict_labels(test)
        if data.multi_label:
            thresholds = fit_thresholds(probabilities(validation, multi_label=True), data.targets("validation"))
            predicted = predict_labels(probabilities(test, multi_label=True), thresholds)
        accuracies[name] = round(float(is_correct(predicted, data.targets("test")).mean()), 6)
    return accuracies


if __name__ == "__main__":
    run(main)
