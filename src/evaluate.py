"""Stage `evaluate`: score all models on the test split, and decide whether the student should ship."""

from potstill.core.start import run

from collections.abc import Collection
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pandas as pd
from safetensors.numpy import load_file

from potstill.core import device, files, paths, tracking
from potstill.core.errors import PotstillError
from potstill.core.labels import is_answered, is_correct, label_names, predict_labels, probabilities
from potstill.core.markdown import escape
from potstill.core.params import section
from potstill.core.resources import record_resources
from potstill.core.timing import throughput
from potstill.data.dataset import Dataset
from potstill.evaluate import table
from potstill.evaluate.cascade import fallback
from potstill.evaluate.compare import Model, compare
from potstill.evaluate.decision import decide, ensemble, with_thresholds
from potstill.evaluate.metrics import measures
from potstill.evaluate.metrics.scores import confusion, label_confusion, mcnemar
from potstill.evaluate.models import Predict, small_models
from potstill.evaluate.next_steps import ProjectCommands, Step
from potstill.evaluate.params import EvaluateParams
from potstill.evaluate.plots import figure
from potstill.evaluate.predictions import Predictions
from potstill.evaluate.verdict import Verdict
from potstill.evaluate.word_order import out_of_vocabulary, vocabulary, word_order_sensitivity
from potstill.runtime.model import FILE, UNROUNDED, Student
from potstill.scoring.held_out import is_llm
from potstill.scoring.model import load as load_teacher

METRICS = paths.METRICS / "evaluate"
SHUFFLED = 1000  # texts for the word-order sensitivity, which gives its standard error of at most 0.03
HEADLINE = ("accuracy", "macro_f1", "micro_f1", "relative", "agreement")


@record_resources("evaluate")
def main() -> None:
    """Read the models and the teachers' predictions; write `data/evaluate` and `metrics/evaluate`."""
    params = EvaluateParams.load()
    labelling = section("label").load().teachers
    data = Dataset.load(paths.PREPARED)
    ladder = measures.read(measures.Ladder, paths.METRICS / "student" / "ladder.json")
    device.use_threads(1)  # so that timings do not depend on the number of cores

    checkpoints = section("teacher").load().checkpoints
    teachers = load_teachers(checkpoints, labelling, data)
    name = labelling[0] if len(labelling) == 1 else "ensemble"
    teacher = name if any(model.name == name for model in teachers) else None
    data, teachers = labelled(data, teachers, name)
    models, predict = small_models(paths.BASELINE, Student.load(paths.EXPORT / FILE), data)
    models = with_thresholds([*models, *teachers], data)
    rows, reference = compare(models, data.targets("test"), teacher, params.reference)

    texts = data.test["text"].tolist()
    timings = {name: throughput(function, texts, params.timing_seconds) for name, function in predict.items()}
    for name in dict.fromkeys([labelling[0], *checkpoints]):
        if name != labelling[0] and not (paths.TEACHER / name).is_dir():
            continue  # a clone need not hold the other teachers
        network = load_teacher(paths.TEACHER / name)
        if network.parameters:  # a table or an LLM does not run here
            timings[name] = throughput(network.logits, texts, params.timing_seconds)
            if name == labelling[0]:
                predict[name] = network.logits

    student = next(model for model in models if model.name == "student")
    quantization = compare_with_unquantized(student, data)
    profile = task_profile({name: predict[name] for name in ("student", labelling[0]) if name in predict}, data)
    prepare = section("prepare").load()
    commands = ProjectCommands(prepare.source, prepare.unlabelled, prepare.path)
    sent_to = fallback(labelling, {row["name"]: row for row in rows})
    prepared = paths.METRICS / "prepare" / "metrics.json"
    drawn = measures.read(measures.Count, prepared, "prepare", "made_from_train", "test") > 0
    held_out = measures.read(measures.HeldOut, paths.METRICS / "export" / "metrics.json", "export", "held_out")
    verdict, steps = decide(rows, models, data, teacher, labelling, ladder, params, commands, sent_to, drawn, held_out)
    print(f"{verdict.decision.capitalize()}: {verdict.details}")
    write_scores(rows, verdict, steps, teacher, quantization, profile, data.by_teacher)
    write_predictions(models, data, timings)
    write_figures(rows, reference, models, data, params.published)


def load_teachers(checkpoints: list[str], labelling: list[str], data: Dataset) -> list[Model]:
    """Return teachers with the predictions that the stage `teacher` wrote.

    If several teachers label, their ensemble is added. Where somebody has labelled the test split, a table without
    predictions for all of it is left out, and texts that an LLM has not answered count as wrong.
    """
    folder = paths.METRICS / "teacher"
    files.warn_unused(folder, checkpoints, "teacher.checkpoints")
    teachers: dict[str, Model] = {}
    for name in checkpoints:
        metrics = folder / name / "metrics.json"
        parameters = measures.read(measures.Count | None, metrics, name, "parameters")
        size = measures.read(measures.Count | None, metrics, name, "bytes")
        predicted = []
        for split in ("test", "validation"):
            path, texts = folder / name / f"{split}.csv", len(data.split(split))
            logits = tracking.read_predictions(path, data.labels, texts, complete=bool(parameters))
            predicted.append(probabilities(logits, data.multi_label))
        missing = int((~is_answered(predicted[0])).sum())
        if missing and (missing == len(data.test) or (data.is_labelled("test") and not is_llm(folder / name))):
            print(f"{name} has no predictions for some texts of the test split, and is left out")
            continue
        if missing:
            print(f"{name} has not answered {missing:,} of {len(data.test):,} test texts")
        teachers[name] = Model(name, "teacher", *predicted, parameters, size)
    if len(labelling) > 1 and all(name in teachers for name in labelling):
        members = [teachers[name] for name in labelling]
        test = ensemble([member.probabilities for member in members], data.multi_label)
        validation = ensemble([member.validation_probabilities for member in members], data.multi_label)
        parameters = sum(member.parameters or 0 for member in members) or None
        size = sum(member.bytes or 0 for member in members) or None
        teachers["ensemble"] = Model("ensemble", "teacher", test, validation, parameters, size)
    return list(teachers.values())


def labelled(data: Dataset, teachers: list[Model], name: str) -> tuple[Dataset, list[Model]]:
    """Return the data with the labels of the teacher `name` where nobody has labelled the held-out texts.

    Texts that it has not answered are left out of these, see `labelled_by`, and of the predictions of all teachers.
    """
    teacher = next((model for model in teachers if model.name == name), None)
    if not teacher:
        if not data.is_labelled("train"):
            raise PotstillError(
                f"{name}: no predictions for some test texts, on which the student is compared. Add them."
            )
        return data, teachers
    predicted = {"validation": teacher.validation_probabilities, "test": teacher.probabilities}
    data = data.labelled_by(predicted)
    kept = {
        split: is_answered(scores) if split in data.by_teacher else np.ones(len(scores), bool)
        for split, scores in predicted.items()
    }
    return data, [
        replace(
            model,
            probabilities=model.probabilities[kept["test"]],
            validation_probabilities=model.validation_probabilities[kept["validation"]],
        )
        for model in teachers
    ]


def compare_with_unquantized(student: Model, data: Dataset) -> dict[str, Any] | None:
    """Test the student with unquantized weights against the student that ships; None if no weights are quantized."""
    quantized, path = Student.load(paths.EXPORT / FILE), paths.STUDENT / UNROUNDED
    with files.reading(path):
        weights = load_file(path)
        if weights and any(weights[name].shape != weight.shape for name, weight in quantized.weights.items()):
            raise ValueError(f"not the weights of {paths.EXPORT / FILE}")
    if not weights:
        return None
    labels = data.targets("test")
    predicted = predict_labels(replace(quantized, weights=weights).predict_proba(data.test["text"]), student.thresholds)
    unquantized_correct = is_correct(predicted, labels)
    return {
        "accuracy_unquantized": round(float(unquantized_correct.mean()), 6),
        **mcnemar(unquantized_correct, is_correct(student.predicted, labels)),
    }


def task_profile(predict: dict[str, Predict], data: Dataset) -> dict[str, Any]:
    """Return the word-order sensitivity of some models, and the shares of unknown words in the test split."""
    texts = data.validation["text"].head(SHUFFLED).tolist()
    test = data.test["text"].tolist()
    train = vocabulary(data.train["text"].tolist())
    with_unlabelled = train | vocabulary(data.unlabelled["text"].tolist())
    return {
        "word_order": {name: word_order_sensitivity(function, texts) for name, function in predict.items()},
        "out_of_vocabulary": {
            "train": out_of_vocabulary(train, test),
            "train_and_unlabelled": out_of_vocabulary(with_unlabelled, test),
        },
    }


def write_scores(
    rows: list[dict[str, Any]],
    verdict: Verdict,
    steps: list[Step],
    teacher: str | None,
    quantization: dict[str, Any] | None,
    profile: dict[str, Any],
    by_teacher: Collection[str],
) -> None:
    """Write the scores as JSON and Markdown; `by_teacher` are the splits that nobody has labelled."""
    models = {row["name"]: {key: value for key, value in row.items() if key != "name"} for row in rows}
    student, is_labelled = models["student"], "test" not in by_teacher
    headline = {key: student[key] for key in HEADLINE if key in student and (is_labelled or key == "agreement")}
    summary = {"decision": verdict.decision, **headline}
    scores: dict[str, Any] = {"models": models, "student": summary, "task_profile": profile}
    lines = [f"**{verdict.decision.capitalize()}**: {verdict.details}\n", table.markdown(rows, not is_labelled)]
    if teacher and is_labelled:
        scores["teacher"] = {"accuracy": models[teacher]["accuracy"]}
        lines.append(table.comparison("the student", f"the teacher ({escape(teacher)})", student["versus_teacher"]))
    if quantization:
        scores["quantization"] = quantization
        if is_labelled:
            lines.append(table.comparison("the student before quantization", "the student that ships", quantization))
    files.write_json(METRICS / "metrics.json", measures.with_agreement(scores, by_teacher))
    files.write_json(METRICS / "verdict.json", asdict(verdict) | {"next_steps": list(map(asdict, steps))})
    files.write_text(METRICS / "table.md", "\n".join(lines))


def write_predictions(models: list[Model], data: Dataset, timings: dict[str, dict[str, float]]) -> None:
    """Write the predictions of all models for the validation and test splits, and their speeds.

    Speeds differ from run to run, so Git does not track them; and with them the stage `report` runs again after every
    run of this one.
    """
    thresholds = {model.name: model.thresholds for model in models if model.thresholds}
    splits = {
        "test": {model.name: model.probabilities for model in models},
        "validation": {model.name: model.validation_probabilities for model in models},
    }
    with files.atomic_write(paths.EVALUATE) as folder:
        folder.mkdir(parents=True)
        for split, predictions in splits.items():
            texts = data.split(split)["text"].tolist()
            Predictions(texts, data.targets(split), predictions, thresholds).save(folder / f"{split}.parquet")
        files.write_json(folder / "timing.json", timings)
        files.write_text(folder / "timing.md", table.speeds(timings, "student"))


def write_figures(
    rows: list[dict[str, Any]], reference: str, models: list[Model], data: Dataset, published: bool
) -> None:
    """Write accuracy against size, the confusion matrices and the training curves, as images and as tables."""
    figure.size_figure(rows, reference, METRICS / "size.png", published)
    points = pd.DataFrame(rows)[["name", "kind", "parameters", "accuracy", "relative"]]
    files.write_text(METRICS / "size.csv", points[points["parameters"].notna()].to_csv(index=False))
    labels = data.targets("test")
    with files.atomic_write(METRICS / "confusion") as folder:
        for model in models:
            path = folder / f"{model.name}.png"
            if data.multi_label:
                counts = label_confusion(labels, model.predicted, data.labels)
                shown = counts.drop(columns="TN")  # of a rare label almost all texts, so all else would be pale
                figure.confusion_figure(shown, data.labels, path, list(shown))
                files.write_text(folder / f"{model.name}-labels.csv", counts.to_csv())
            else:
                figure.confusion_figure(confusion(labels, model.predicted, data.labels), data.labels, path)
            pairs = {"actual": label_names(labels, data.labels), "predicted": label_names(model.predicted, data.labels)}
            files.write_text(folder / f"{model.name}.csv", pd.DataFrame(pairs).to_csv(index=False))
    figure.curves_figure(tracking.all_curves("student", (model.name for model in models)), METRICS / "curves.png")


if __name__ == "__main__":
    run(main)
