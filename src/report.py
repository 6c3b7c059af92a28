"""Stage `report`: one page with the verdict and the evidence for it, as HTML and as Markdown."""

from potstill.start import run

from collections.abc import Mapping
from typing import Any

import pandas as pd

from potstill import files, measures, paths, record
from potstill.corpus.dataset import SPLITS, Dataset
from potstill.cost import record_resources
from potstill.evaluate.answers import Answers
from potstill.evaluate.table import thousands
from potstill.markdown import cut
from potstill.params.evaluate import EvaluateParams
from potstill.params.label import LabelParams
from potstill.params.report import ReportParams
from potstill.params.teacher import TeacherParams
from potstill.report.facts import Inputs, collect
from potstill.report.origin import costs, origin
from potstill.report.page import render
from potstill.report.pictures import draw
from potstill.runtime.decision import probabilities
from potstill.runtime.model import FILE, Student
from potstill.student import transfer

METRICS = paths.METRICS / "report"


@record_resources(METRICS / "resources.json")
def main() -> None:
    """Read what all stages left; write `metrics/report`."""
    params, evaluate = ReportParams.load(), EvaluateParams.load()
    data, teachers = Dataset.load(paths.PREPARED), LabelParams.load().teachers
    inputs = read(data, teachers)
    facts = collect(inputs, params)
    reference = evaluate.reference or inputs.teacher or max(facts["table"], key=lambda row: row["accuracy"])["name"]
    curves = record.all_curves(inputs.name, inputs.test.models)
    shown = facts | {
        "title": f"{inputs.name}: {', '.join(map(cut, data.labels[:8]))}{' …' if len(data.labels) > 8 else ''}",
        "labels": data.labels,
        "fallback": fallback(inputs, teachers),
        "reference": reference,
        "published": evaluate.published,
        "rows": {name: len(data.split(name)) for name in (*SPLITS, "unlabelled")},
        "transfer": len(inputs.pool.texts),
        "costs": costs({"teacher": TeacherParams.load().checkpoints, "label": teachers}),
        "origin": origin(),
        "parameters": paths.PARAMS.read_text("utf-8"),
        "charts": draw(inputs, facts, curves, reference, evaluate.published),
    }
    files.write_text(METRICS / "index.html", render("page.html", shown))
    files.write_text(METRICS / "report.md", render("page.md", shown))
    files.write_json(METRICS / "metrics.json", {"report": summary(facts)})
    for name, table in tables(facts).items():
        files.write_text(METRICS / f"{name}.csv", table.to_csv(index=False))
    print(f"{'Ship it' if facts['verdict']['ship'] else 'Do not ship it'}: {facts['verdict']['headline']}.")
    print(f"{METRICS / 'index.html'} says why")


def read(data: Dataset, teachers: list[str]) -> Inputs:
    """What the stages left."""
    student = Student.load(paths.EXPORT / FILE)
    test = Answers.load(paths.EVALUATE / "test.parquet")
    teacher = teachers[0] if len(teachers) == 1 else "ensemble"
    pool = transfer.read(paths.TRANSFER, data.labels)
    evaluated, prepared = paths.METRICS / "evaluate", paths.METRICS / "prepare" / "metrics.json"
    return Inputs(
        labels=data.labels,
        name=f"{student.shape.architecture}-{thousands(student.parameters)}",
        teacher=teacher if teacher in test.models else None,
        validation=Answers.load(paths.EVALUATE / "validation.parquet"),
        test=test,
        train=data.train,
        pool=pool,
        answers=probabilities(pool.logits, data.multi_label),
        scores={
            "models": measures.read(measures.Scores, evaluated / "metrics.json", "models"),
            "traits": measures.read(measures.Traits, evaluated / "metrics.json", "traits"),
        },
        verdict={
            "ship": measures.read(bool, evaluated / "verdict.json", "ship"),
            "reasons": measures.read(measures.Reasons, evaluated / "verdict.json", "reasons"),
        },
        timing=measures.read(measures.Timings, evaluated / "timing.json", "timing"),
        prepared={
            "removed": measures.read(measures.Removed, prepared, "prepare", "removed"),
            "two_labels": measures.read(measures.Count, prepared, "prepare", "two_labels"),
        },
        ablation=measures.read(measures.Ablation, paths.METRICS / "ablate" / "metrics.json", "ablate"),
        truncated=truncated(teachers),
    )


def truncated(teachers: list[str]) -> dict[str, dict[str, float]]:
    """The shares of texts that student and teachers (of several, the worst) do not read to their end."""
    of_teachers: dict[str, float] = {}
    for name in teachers:
        path = paths.METRICS / "teacher" / name / "metrics.json"
        cut = "truncated" in files.read_json(path, name)  # a table has none
        for split, share in (measures.read(measures.Shares, path, name, "truncated") if cut else {}).items():
            of_teachers[split] = max(share, of_teachers.get(split, 0.0))
    of_student = measures.read(measures.Shares, paths.METRICS / "student" / "metrics.json", "student", "truncated")
    return {"teacher": of_teachers, "student": of_student}


def fallback(inputs: Inputs, teachers: list[str]) -> str | None:
    """The teacher that `potstill predict --fallback` can ask: one that was fine-tuned, and labelled by itself."""
    models = inputs.scores["models"]
    alone = len(teachers) == 1 and teachers[0] in models and models[teachers[0]]["parameters"]
    return teachers[0] if alone else None


def tables(facts: Mapping[str, Any]) -> dict[str, pd.DataFrame]:
    """The page's curves for `dvc plots`, and all classes, of which the page shows some."""
    cascade = facts["cascade"]["found"].curve if facts["cascade"] else []
    sure = [dict(zip(("confidence", "right", "texts"), point, strict=True)) for point in facts["fails"]["reliability"]]
    return {
        "cascade": pd.DataFrame(cascade, columns=["threshold", "share", "accuracy"]),
        "reliability": pd.DataFrame(sure),
        "classes": pd.DataFrame(facts["fails"]["classes"]),
    }


def summary(facts: Mapping[str, Any]) -> dict[str, Any]:
    """The numbers that the page adds to those of other stages, for programs."""
    cascade = facts["cascade"]
    return {
        "ship": facts["verdict"]["ship"],
        "label_noise": facts["suspects"]["noise"],
        "cascade": cascade
        and {
            "threshold": cascade["found"].threshold,
            "share": cascade["found"].share,
            "accuracy": cascade["found"].accuracy,
        },
    }


if __name__ == "__main__":
    run(main)
