"""Stage `student`: find the smallest student that keeps its teacher's accuracy, among the candidates of the ladder."""

from potstill.core.start import run

import shutil
from dataclasses import asdict

from potstill.core import files, paths, tracking, truncation
from potstill.core.params import section
from potstill.core.resources import record_resources
from potstill.data import transfer
from potstill.data.dataset import Dataset
from potstill.evaluate.metrics import measures
from potstill.runtime.model import FILE, Student
from potstill.student.params import StudentParams
from potstill.student.search import Found, read, search
from potstill.student.vocabulary import truncated_share

METRICS = paths.METRICS / "student"
SCRATCH = paths.SCRATCH / "student"  # a folder for each state of data, teacher and code


@record_resources("student")
def main() -> None:
    """Read the prepared data, the transfer set and the teacher; write `models/student` and `metrics/student`.

    Candidates stay in `SCRATCH` for the next run, those of earlier data or code do not.
    """
    params, teachers = StudentParams.load(), section("label").load().teachers
    folders = [paths.TEACHER / name for name in teachers]
    predictions = [paths.METRICS / "teacher" / name / "validation.csv" for name in teachers]
    inputs = read(paths.PREPARED, paths.ENSEMBLE, folders, predictions, SCRATCH)
    found = search(inputs, params)
    found.save(paths.STUDENT)
    files.write_json(METRICS / "ladder.json", [asdict(row) for row in found.ladder])
    write_metrics(found)
    for folder in SCRATCH.iterdir():
        if folder != inputs.scratch:
            shutil.rmtree(folder, ignore_errors=True)


def write_metrics(found: Found) -> None:
    """Write the metrics and the curves of the student."""
    data, result = Dataset.load(paths.PREPARED, unlabelled=False), found.result
    learned = transfer.read(paths.ENSEMBLE, data.labels, found.params.sources)
    with tracking.curves(METRICS) as log:
        for epoch in result.epochs:
            log(epoch)
    max_length = Student.load(paths.STUDENT / FILE).max_length
    truncated = {
        "transfer": truncated_share(learned.texts, max_length),
        "validation": truncated_share(data.validation["text"].tolist(), max_length),
    }
    summary = tracking.network_metrics(result.best, result.row.parameters or 0, result.row.bytes or 0)
    by_teacher = [split for split in ("validation",) if not data.is_labelled(split)]
    summary = measures.with_agreement(summary, by_teacher)
    facts = {"rung": found.rung, "sources": ", ".join(found.params.sources), **summary, "truncated": truncated}
    tracking.write_metrics(METRICS, "student", facts)
    truncation.note("student.max_length", truncated)


if __name__ == "__main__":
    run(main)
