"""Stage `report`: one page with the verdict and the evidence for it, as HTML and as Markdown."""

from potstill.core.start import run

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pandas as pd

from potstill.core import files, paths, tracking
from potstill.core.errors import visible
from potstill.core.labels import probabilities
from potstill.core.markdown import cut
from potstill.core.params import section
from potstill.core.resources import record_resources
from potstill.data import transfer
from potstill.data.dataset import SPLITS, Dataset
from potstill.evaluate.cascade import fallback
from potstill.evaluate.metrics import measures
from potstill.evaluate.predictions import Predictions
from potstill.evaluate.table import thousands
from potstill.report import downloads
from potstill.report.facts import Inputs, collect
from potstill.report.origin import data_source, hashes, provenance, stage_resources
from potstill.report.page import render
from potstill.report.params import ReportParams
from potstill.report.pictures import draw, ladder
from potstill.report.to_label import COLUMNS
from potstill.runtime.model import FILE, Student
from potstill.web.page import demo

METRICS = paths.METRICS / "report"
TITLE_CLASSES = 8


@record_resources("report")
def main() -> None:
    """Read the outputs of all stages; write `metrics/report`."""
    params, evaluate = ReportParams.load(), section("evaluate").load()
    data, teachers = Dataset.load(paths.PREPARED), section("label").load().teachers
    is_labelled = data.is_labelled("validation")
    inputs = read(data, teachers, evaluate.non_inferiority_margin if is_labelled else evaluate.max_disagreement)
    facts = collect(inputs, params)
    reference = evaluate.reference or inputs.teacher or max(facts["models"], key=lambda row: row["accuracy"])["name"]
    curves = tracking.all_curves(inputs.name, inputs.test.probabilities)
    comma = "; " if any("," in label for label in data.labels) else ", "
    classes = comma.join(map(cut, data.labels[:TITLE_CLASSES])) + (" …" if len(data.labels) > TITLE_CLASSES else "")
    prepare = section("prepare").load()
    content = facts | {
        "date": f"{datetime.now(UTC):%-d %B %Y}",
        "data": data_source(prepare.source, prepare.path, prepare.hub.dataset),
        "title": f"{inputs.name}: {classes}",
        "labels": data.labels,
        "fallback": fallback(teachers, inputs.scores["models"]),
        "reference": reference,
        "published": evaluate.published,
        "rows": {name: len(data.split(name)) for name in (*SPLITS, "unlabelled")},
        "transfer": len(inputs.transfer_set.texts),
        "resources": stage_resources({"teacher": section("teacher").load().checkpoints, "label": teachers}),
        "provenance": provenance(),
        "hashes": hashes(),
        "parameters": paths.PARAMS.read_text("utf-8"),
        "demo": demo(),
        "model_path": str(paths.EXPORT / FILE),
        "downloads": downloads.collect((paths.EXPORT / FILE).read_bytes(), isinstance(inputs.student, Student), facts),
        "charts": draw(inputs, facts, curves, reference, evaluate.published),
    }
    files.write_text(METRICS / "index.html", render("page.html", content))
    files.write_text(METRICS / "report.md", render("page.md", content))
    files.write_json(METRICS / "metrics.json", {"report": summary(facts)})
    for name, table in tables(facts).items():
        files.write_text(METRICS / f"{name}.csv", table.to_csv(index=False))
    for name, rows in (("suspects", facts["label_errors"]["all_rows"]), ("to_label", facts["to_label"])):
        with files.atomic_write(METRICS / f"{name}.csv") as part:
            part.write_bytes(downloads.csv(pd.DataFrame(rows, columns=list(COLUMNS))))
    ladder(inputs, facts)(METRICS / "ladder.png")
    verdict = facts["verdict"]
    print(f"{verdict['decision'].capitalize()}: {verdict['headline']}.")
    for step in verdict["next_steps"][:1]:
        print(visible(f"Next: {step['text']}:"), f"  {visible(step['command'])}", sep="\n")
    print(f"The report is {METRICS / 'index.html'}.")


def read(data: Dataset, teachers: list[str], margin: float) -> Inputs:
    """Read the outputs of the stages."""
    student = Student.load(paths.EXPORT / FILE)
    teacher = teachers[0] if len(teachers) == 1 else "ensemble"
    transfer_set = transfer.read(paths.ENSEMBLE, data.labels)
    evaluated, prepared = paths.METRICS / "evaluate", paths.METRICS / "prepare" / "metrics.json"
    splits = {split: Predictions.load(paths.EVALUATE / f"{split}.parquet") for split in ("validation", "test")}
    unanswered = {
        split: len(data.split(split)) - int(predictions.answered(teacher).sum())
        for split, predictions in splits.items()
        if teacher in predictions.probabilities
    }
    return Inputs(
        labels=data.labels,
        name=f"{student.shape.architecture}-{thousands(student.parameters)}",
        student=student,
        unlabelled=data.unlabelled["text"],
        teacher=teacher if teacher in splits["test"].probabilities else None,
        **splits,
        train=data.train,
        transfer_set=transfer_set,
        transfer_probabilities=probabilities(transfer_set.logits, data.multi_label),
        scores={
            "models": measures.read(measures.Scores, evaluated / "metrics.json", "models"),
            "task_profile": measures.read(measures.TaskProfile, evaluated / "metrics.json", "task_profile"),
        },
        ladder=measures.read(measures.Ladder, paths.METRICS / "student" / "ladder.json"),
        margin=margin,
        verdict=measures.read(measures.Verdict, evaluated / "verdict.json"),
        timing=measures.read(measures.Timings, paths.EVALUATE / "timing.json"),
        prepared={
            "removed": measures.read(measures.Count, prepared, "prepare", "removed", "train", "rows"),
            "two_labels": measures.read(measures.Count, prepared, "prepare", "two_labels"),
        },
        ablation=measures.read(measures.Ablation, paths.METRICS / "ablate" / "metrics.json", "ablate"),
        truncated=truncated(teachers),
        windowed=windowed(teachers),
        labelled=[split for split in SPLITS if data.is_labelled(split)],
        unanswered=unanswered,
        held_out=measures.read(measures.HeldOut, paths.METRICS / "export" / "metrics.json", "export", "held_out"),
    )


def truncated(teachers: list[str]) -> dict[str, float]:
    """Return the largest share of truncated texts of any split, of the teachers and of the student."""
    of_teachers: list[float] = []
    for name in teachers:
        path = paths.METRICS / "teacher" / name / "metrics.json"
        if "truncated" in files.read_json(path, name):  # a table of probabilities truncates no texts
            of_teachers += measures.read(measures.Shares, path, name, "truncated").values()
    of_student = measures.read(measures.Shares, paths.METRICS / "student" / "metrics.json", "student", "truncated")
    return {"teacher": max(of_teachers, default=0.0), "student": max(of_student.values(), default=0.0)}


def windowed(teachers: list[str]) -> float:
    """Return the share of train texts that a teacher read in windows, the largest of all teachers."""
    shares = [0.0]
    for name in teachers:
        path = paths.METRICS / "teacher" / name / "metrics.json"
        if "windowed" in files.read_json(path, name):
            shares.append(measures.read(measures.Share, path, name, "windowed"))
    return max(shares)


def tables(facts: Mapping[str, Any]) -> dict[str, pd.DataFrame]:
    """Return the curves for `dvc plots`, and recall and precision of all classes."""
    curve = facts["cascade"]["result"].curve if facts["cascade"] else []
    return {
        "cascade": pd.DataFrame(curve, columns=["threshold", "fallback_share", "accuracy"]),
        "reliability": pd.DataFrame(facts["error_analysis"]["reliability"]),
        "classes": pd.DataFrame(facts["error_analysis"]["classes"]),
    }


def summary(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return the numbers that the report adds to those of other stages."""
    cascade = None
    if facts["cascade"]:
        result = facts["cascade"]["result"]
        cascade = {key: getattr(result, key) for key in ("threshold", "fallback_share", "accuracy")}
    decision = facts["verdict"]["decision"]
    return {"decision": decision, "label_noise": facts["label_errors"]["noise"], "cascade": cascade}


if __name__ == "__main__":
    run(main)
