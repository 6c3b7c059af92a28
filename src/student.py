"""Stage `student`: find the smallest student that keeps its teacher's accuracy, among the candidates of the ladder."""

from potstill.core.start import run

import shutil
from dataclasses import asdict
from pathlib import Path

import potstill
from potstill.core import files, paths, tracking, truncation
from potstill.core.errors import PotstillError
from potstill.core.params import section
from potstill.core.resources import record_resources
from potstill.data import transfer
from potstill.data.dataset import Dataset
from potstill.scoring.ensemble import average
from potstill.student import candidates, ladder
from potstill.student.candidates import Inputs, Result
from potstill.student.params import BY_HAND, PARAMS, DistilParams, StudentParams
from potstill.student.vocabulary import truncated_share

METRICS = paths.METRICS / "student"
SCRATCH = paths.SCRATCH / "student"  # a folder for each state of data, teacher and code


@record_resources(METRICS / "resources.json")
def main() -> None:
    """Read the prepared data, the transfer set and the teacher; write `models/student` and `metrics/student`.

    Candidates stay in `SCRATCH` for the next run, those of earlier data or code do not.
    """
    params = StudentParams.load()
    data = Dataset.load(paths.PREPARED, unlabelled=False)
    inputs, rungs = read(data), params.candidates()
    shown = rungs if BY_HAND in rungs else params.rungs() | rungs
    unavailable = {name: reason for name, rung in shown.items() if (reason := candidates.obstacle(rung, inputs))}
    possible = {name: rung for name, rung in rungs.items() if name not in unavailable}
    if not possible:
        reason = unavailable[next(iter(rungs))]
        raise PotstillError(
            f"`student`: no candidate can be trained: {reason[0].lower()}{reason[1:]} Choose a student over words."
        )
    sources = tuple(params.sources or candidates.choose_sources(inputs, *params.smallest))
    results = candidates.climb(inputs, possible, sources, params.tolerance)
    rows = [result.row for result in results.values()]
    name = ladder.choose(rows, params.tolerance)
    with files.atomic_write(paths.STUDENT) as folder:
        shutil.copytree(results[name].folder, folder)
        files.write_json(folder / PARAMS, rungs[name].model_dump() | {"sources": sources})
    architectures = {rung: settings.architecture for rung, settings in shown.items()}
    rows = ladder.table(architectures, unavailable, rows, name)
    files.write_json(METRICS / "ladder.json", [asdict(row) for row in rows])
    write_metrics(name, rungs[name], results[name], sources, data)
    for folder in SCRATCH.iterdir():
        if folder != inputs.scratch:
            shutil.rmtree(folder, ignore_errors=True)


def read(data: Dataset) -> Inputs:
    """Return what the candidates learn from."""
    teachers = section("label").load().teachers
    count = len(data.validation)
    predicted = [
        tracking.read_predictions(paths.METRICS / "teacher" / name / "validation.csv", data.labels, count)
        for name in teachers
    ]
    folders = [paths.TEACHER / name for name in teachers]
    # A table of probabilities or an LLM has no weights to begin with.
    checkpoints = (folder for folder in folders if files.read_json(folder / "teacher.json").get("kind") == "checkpoint")
    package = Path(potstill.__file__).parent
    # Not the folders, where Python adds what it compiles.
    code = [file for name in ("runtime", "student") for file in sorted((package / name).rglob("*.py"))]
    key = files.cache_key(*map(files.sha256, [paths.PREPARED, paths.ENSEMBLE, *folders, *code]))
    return Inputs(
        paths.PREPARED, paths.ENSEMBLE, next(checkpoints, None), average(predicted, data.multi_label),
        SCRATCH / key, key,
    )  # fmt: skip


def write_metrics(name: str, params: DistilParams, result: Result, sources: tuple[str, ...], data: Dataset) -> None:
    """Write the metrics and the curves of the student."""
    learned = transfer.read(paths.ENSEMBLE, data.labels, sources)
    with tracking.curves(METRICS) as log:
        for epoch in result.epochs:
            log(epoch)
    truncated = {
        "transfer": truncated_share(learned.texts, params.max_length),
        "validation": truncated_share(data.validation["text"].tolist(), params.max_length),
    }
    summary = tracking.network_metrics(result.best, result.row.parameters or 0, result.row.bytes or 0)
    facts = {"rung": name, "sources": ", ".join(sources), **summary, "truncated": truncated}
    tracking.write_metrics(METRICS, "student", facts)
    truncation.note("student.max_length", truncated)


if __name__ == "__main__":
    run(main)
