"""Stage `evaluate`: every model on the test split, side by side."""

from potstill.start import run

from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from safetensors.numpy import load_file
from scipy.special import logit

from potstill import device, files, measures, paths, record
from potstill.balance import majority
from potstill.baseline import Tfidf
from potstill.corpus.dataset import Dataset
from potstill.cost import measured
from potstill.evaluate import figure, table
from potstill.evaluate.answers import Answers
from potstill.evaluate.compare import Model, compare
from potstill.evaluate.scores import confusion, counts, mcnemar
from potstill.evaluate.thresholds import fit
from potstill.evaluate.timing import throughput
from potstill.evaluate.traits import order_sensitivity, out_of_vocabulary, vocabulary
from potstill.evaluate.verdict import Verdict, judge
from potstill.markdown import inert
from potstill.params.evaluate import EvaluateParams
from potstill.params.label import LabelParams
from potstill.params.teacher import TeacherParams
from potstill.runtime.decision import choose, named, probabilities, right
from potstill.runtime.model import FILE, UNROUNDED, Student
from potstill.teacher import model as teachers
from potstill.teacher.average import average

METRICS = paths.METRICS / "evaluate"
SHUFFLED = 1000  # texts that tell how much word order matters, to some hundredths
HEADLINE = ("accuracy", "macro_f1", "micro_f1", "relative", "agreement")
Predict = Callable[[list[str]], Any]


@measured(METRICS / "cost.json")
def main() -> None:
    """Read the models, and the teachers' own answers; write `metrics/evaluate`."""
    params = EvaluateParams.load()
    asked = LabelParams.load().teachers
    data = Dataset.load(paths.PREPARED)
    device.use_threads(1)  # what is timed, is timed on one

    models, predict = load_small(data)
    found, timings = load_teachers(TeacherParams.load().checkpoints, asked, data)
    models += found
    name = asked[0] if len(asked) == 1 else "ensemble"
    teacher = name if any(model.name == name for model in found) else None
    models = with_thresholds(models, data)
    rows, reference = compare(models, data.targets("test"), teacher, params.reference)

    # The teacher that labels is timed again beside the small models, so that their ratio is of one run.
    labeller = teachers.load(paths.TEACHER / asked[0])
    if labeller.parameters:
        predict[asked[0]] = labeller.logits
    texts = data.test["text"].tolist()
    timings |= {name: throughput(answer, texts, params.timing_seconds) for name, answer in predict.items()}

    student = next(model for model in models if model.name == "student")
    rounding = cost_of_rounding(student, data)
    task = traits({name: predict[name] for name in ("student", asked[0]) if name in predict}, data)
    answer = verdict(rows, models, teacher, data, params.non_inferiority_margin)
    print(answer.sentence)
    write_scores(rows, answer, teacher, rounding, timings, task)
    write_predictions(models, data)
    write_pictures(rows, reference, models, data, params.published)


def load_small(data: Dataset) -> tuple[list[Model], dict[str, Predict]]:
    """The baselines and the student: their answers, and what to time."""
    tfidf, hard, student = paths.BASELINE / "tfidf", paths.BASELINE / "hard" / FILE, paths.EXPORT / FILE
    loaded = {
        "tfidf": ("baseline", Tfidf.load(tfidf), tfidf),
        "hard": ("baseline", Student.load(hard), hard),
        "student": ("student", Student.load(student), student),
    }
    texts = data.test["text"].tolist()
    models = [
        Model(
            name,
            kind,
            model.predict_proba(texts),
            model.predict_proba(data.validation["text"].tolist()),
            model.parameters,
            files.size(path),
            model.thresholds if kind == "student" else None,
        )
        for name, (kind, model, path) in loaded.items()
    ]
    return models, {name: model.predict_proba for name, (_, model, _) in loaded.items()}


def load_teachers(
    checkpoints: list[str], asked: list[str], data: Dataset
) -> tuple[list[Model], dict[str, dict[str, float]]]:
    """The answers and timings that the stage `teacher` left; several labelling teachers make an ensemble."""
    folder = paths.METRICS / "teacher"
    files.note_unused(folder, checkpoints, "teacher.checkpoints")
    shares = partial(probabilities, several=data.multi_label)
    log_odds = logit if data.multi_label else np.log
    found: dict[str, Model] = {}
    timings = {}
    for name in checkpoints:
        parameters = measures.read(measures.Count | None, folder / name / "metrics.json", name, "parameters")
        logits, validation = (
            record.read_predictions(
                folder / name / f"{split}.csv", data.labels, len(data.split(split)), bool(parameters)
            )
            for split in ("test", "validation")
        )
        if not np.isfinite(logits).all():
            print(f"{name} lacks texts of the test split, and is left out")
            continue
        found[name] = Model(
            name,
            "teacher",
            shares(logits),
            shares(validation),
            parameters,
            measures.read(measures.Count, folder / name / "metrics.json", name, "bytes"),
        )
        timings |= measures.read(measures.Timings, folder / name / "timing.json")
    if len(asked) > 1 and all(name in found for name in asked):
        members = [found[name] for name in asked]
        found["ensemble"] = Model(
            "ensemble",
            "teacher",
            shares(average([log_odds(member.probabilities) for member in members], data.multi_label)),
            shares(average([log_odds(member.validation) for member in members], data.multi_label)),
            sum(member.parameters or 0 for member in members) or None,
            sum(member.bytes for member in members),
        )
    return list(found.values()), timings


def with_thresholds(models: list[Model], data: Dataset) -> list[Model]:
    """Where a text may have several labels, the others get thresholds as the student has them in its file."""
    if not data.multi_label:
        return models
    known = data.targets("validation")
    return [model if model.thresholds else replace(model, thresholds=fit(model.validation, known)) for model in models]


def cost_of_rounding(student: Model, data: Dataset) -> dict[str, Any] | None:
    """The student against itself before its weights were rounded to a few bits; None if they are not."""
    rounded, path = Student.load(paths.EXPORT / FILE), paths.STUDENT / UNROUNDED
    with files.reading(path):
        unrounded = load_file(path)
        if unrounded and any(unrounded[name].shape != weight.shape for name, weight in rounded.weights.items()):
            raise ValueError(f"not the weights of {paths.EXPORT / FILE}")
    if not unrounded:
        return None
    before = replace(rounded, weights=unrounded)
    labels = data.targets("test")
    probabilities = before.predict_proba(data.test["text"])
    both = right(choose(probabilities, student.thresholds), labels), right(student.chosen, labels)
    return {"accuracy_unrounded": round(float(both[0].mean()), 6), **mcnemar(*both)}


def traits(order: dict[str, Predict], data: Dataset) -> dict[str, Any]:
    """What the task is like: how much order matters to some models, and how many words of the test split are new."""
    texts = data.validation["text"].head(SHUFFLED).tolist()
    train, test = data.train["text"].tolist(), data.test["text"].tolist()
    known = vocabulary(train)
    return {
        "order": {name: order_sensitivity(answer, texts) for name, answer in order.items()},
        "unknown_to_train": out_of_vocabulary(known, test),
        "unknown_to_all": out_of_vocabulary(known | vocabulary(data.unlabelled["text"].tolist()), test),
    }


def verdict(
    rows: list[dict[str, Any]], models: list[Model], teacher: str | None, data: Dataset, max_loss: float
) -> Verdict:
    """Whether the student should ship."""
    student = next(row for row in rows if row["name"] == "student")
    labels = data.targets("test")
    of = {model.name: right(model.chosen, labels) for model in models}
    return judge(
        student,
        student["paired"] if teacher else None,
        mcnemar(of["student"], of["tfidf"]),
        max_loss,
        majority(labels),
        mcnemar(of[teacher], of["tfidf"]) if teacher else None,
        mcnemar(of["student"], of["hard"]),
    )


def write_scores(
    rows: list[dict[str, Any]],
    answer: Verdict,
    teacher: str | None,
    rounding: dict[str, Any] | None,
    timings: dict[str, dict[str, float]],
    task: dict[str, Any],
) -> None:
    """The numbers, for programs and for people. What takes time, and so varies, is in files of its own."""
    models = {row["name"]: {key: value for key, value in row.items() if key != "name"} for row in rows}
    student = models["student"]
    headline = {key: student[key] for key in HEADLINE if key in student}
    scores: dict[str, Any] = {"models": models, "student": {"ship": answer.ship, **headline}, "traits": task}
    lines = [f"**{answer.sentence.replace(':', '**:', 1)}\n", table.markdown(rows)]
    if teacher:
        scores["teacher"] = {"accuracy": models[teacher]["accuracy"]}
        lines.append(table.sentence("the student", f"the teacher ({inert(teacher)})", student["paired"]))
    if rounding:
        scores["rounding"] = rounding
        lines.append(table.sentence("the student before its weights were rounded", "the one that ships", rounding))
    files.write_json(METRICS / "metrics.json", scores)
    files.write_json(METRICS / "verdict.json", asdict(answer))
    files.write_text(METRICS / "table.md", "\n".join(lines))
    files.write_json(METRICS / "timing.json", {"timing": timings})
    files.write_text(METRICS / "timing.md", table.speeds(timings, "student"))


def write_predictions(models: list[Model], data: Dataset) -> None:
    """What every model says of every text of validation and test."""
    thresholds = {model.name: model.thresholds for model in models if model.thresholds}
    found = {
        "test": {model.name: model.probabilities for model in models},
        "validation": {model.name: model.validation for model in models},
    }
    with files.whole(paths.EVALUATE) as folder:
        folder.mkdir(parents=True)
        for split, answers in found.items():
            texts = data.split(split)["text"].tolist()
            Answers(texts, data.targets(split), answers, thresholds).save(folder / f"{split}.parquet")


def write_pictures(
    rows: list[dict[str, Any]],
    reference: str,
    models: list[Model],
    data: Dataset,
    published: bool,
) -> None:
    """The article's figure, the confusions and the training curves, each as an image and as a table."""
    figure.size_figure(rows, reference, METRICS / "size.png", published)
    points = pd.DataFrame(rows)[["name", "kind", "parameters", "accuracy", "relative"]]
    files.write_text(METRICS / "size.csv", points[points["parameters"].notna()].to_csv(index=False))
    labels = data.targets("test")
    with files.whole(METRICS / "confusion") as folder:
        for model in models:
            picture = folder / f"{model.name}.png"
            if data.multi_label:
                cases = counts(labels, model.chosen, data.labels)
                shown = cases.drop(columns="absent")  # which would outshine what rare labels have
                figure.confusion_figure(shown, data.labels, picture, list(shown))
                files.write_text(folder / f"{model.name}-labels.csv", cases.to_csv())
            else:
                figure.confusion_figure(confusion(labels, model.chosen, data.labels), data.labels, picture)
            pairs = {"actual": named(labels, data.labels), "predicted": named(model.chosen, data.labels)}
            files.write_text(folder / f"{model.name}.csv", pd.DataFrame(pairs).to_csv(index=False))
    figure.curves_figure(record.all_curves("student", (model.name for model in models)), METRICS / "curves.png")


if __name__ == "__main__":
    run(main)
