"""Teachers and the students distilled from them: `make benchmark-teachers FOLDERS="folder …"`.

Each folder is a project in which the pipeline, or its part up to the stage `label`, has run with one teacher, such as
those that `make benchmark-board` left under `benchmarks/.work/`. For MPNet, which takes hours on two cores:

    git clone . mpnet-trec && cd mpnet-trec
    dvc exp run -S prepare.source=files -S prepare.path=DATA/trec \
        -S 'teacher.checkpoints=[mpnet]' -S 'label.teachers=[mpnet]'

Nothing is run here: the rows are what the stages wrote to `metrics/`. Rows of other folders stay, and those of the same
task, teacher and seed with another `student.rung`.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import pandas as pd
import tables
from runs import ROOT, Row, git
from sklearn.metrics import matthews_corrcoef

from potstill.core import files, paths
from potstill.evaluate.metrics.scores import interval
from potstill.label.params import LabelParams
from potstill.prepare.params import PrepareParams
from potstill.student.params import StudentParams
from potstill.teacher.params import TeacherParams

RESULTS = ROOT / "benchmarks" / "teachers"


def read(folder: Path) -> Row:
    """Return the row of a project: its teacher, and its student if there is one yet."""
    metrics = folder / "metrics"
    [name] = LabelParams.load(folder / "params.yaml").teachers
    facts = files.read_json(metrics / "teacher" / name / "metrics.json", name)
    tested = pd.read_csv(metrics / "teacher" / name / "test.csv", keep_default_na=False)
    right = int((tested["actual"] == tested["predicted"]).sum())
    low, high = interval(right, len(tested))
    row = {
        "task": Path(PrepareParams.load(folder / "params.yaml").path).name,
        "teacher": name,
        "seed": TeacherParams.load(folder / "params.yaml").for_preset(name).seed,
        "asked": StudentParams.load(folder / "params.yaml").rung,
        "commit": git(folder, "rev-parse", "--short", "HEAD"),
        "parameters": facts["parameters"],
        "validation_accuracy": facts["validation_accuracy"],
        "test_rows": len(tested),
        "accuracy": round(right / len(tested), 6),
        "accuracy_low": low,
        "accuracy_high": high,
        "matthews": round(float(matthews_corrcoef(tested["actual"], tested["predicted"])), 6),
        "seconds": {stage: _seconds(folder, f"{stage}/{name}") for stage in ("teacher", "label")},
        "student": None,
    }
    evaluated = files.read_json(metrics / "evaluate" / "metrics.json", "models")
    if name not in evaluated:  # the file is that of the commit, not of this run
        return row
    student = evaluated["student"]
    keys = ("accuracy", "accuracy_low", "accuracy_high", "matthews", "bytes", "versus_teacher")
    ladder = files.read_json(metrics / "student" / "ladder.json", kind=list)
    row["student"] = {key: student[key] for key in keys} | {
        "rung": next(rung["rung"] for rung in ladder if rung["status"] == "chosen"),
        "verdict": files.read_json(metrics / "evaluate" / "verdict.json", "decision", kind=str),
        "seconds": _seconds(folder, "student"),
        "ladder": [{key: rung[key] for key in ("rung", "bytes", "validation_accuracy", "status")} for rung in ladder],
    }
    return row


def _seconds(folder: Path, stage: str) -> float | None:
    """Return the seconds that a stage took in a project; None if it has not run there."""
    path = folder / paths.RESOURCES / f"{stage}.json"
    return files.read_json(path)["seconds"] if path.is_file() else None


def _key(row: Row) -> tuple[Any, ...]:
    return tuple(row[key] for key in ("task", "teacher", "seed", "asked"))


def main() -> None:
    """Read the folders, and write `benchmarks/teachers/`."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("folders", nargs="+", type=Path, help="projects in which the pipeline has run")
    path = RESULTS / "results.json"
    rows: dict[Any, Row] = {}
    for row in json.loads(path.read_text()) if path.is_file() else []:
        rows[_key(row)] = row
    for folder in options.parse_args().folders:
        row = read(folder)
        rows[_key(row)] = row
    found = sorted(rows.values(), key=lambda row: (row["task"], row["parameters"], row["seed"], row["asked"]))
    files.write_json(path, found)
    tables.teachers(found, RESULTS)


if __name__ == "__main__":
    main()
