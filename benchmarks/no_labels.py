"""Teachers and students of texts without labels, on tasks whose test labels are known: `make benchmark-no-labels`.

All labels of train and validation are hidden; those of test only measure. The teacher is given the names of the labels,
and nothing else but the texts. A row that is in `no_labels/results.json` is not computed again.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import tables
from runs import ROOT, WORK, Row, git

from potstill import DistilledClassifier
from potstill.core import files
from potstill.evaluate.metrics.scores import interval
from potstill.prepare import from_files
from potstill.prepare.params import PrepareParams

RESULTS = ROOT / "benchmarks" / "no_labels" / "results.json"
# By task, the names of its labels where those in its files are abbreviated.
NAMES: dict[str, dict[str, str]] = {
    "emotion": {},
    "stackoverflow": {},
    "sst2": {},
    "trec": {
        "abbr": "abbreviation", "desc": "description", "enty": "entity", "hum": "human", "loc": "location",
        "num": "number",
    },
}  # fmt: skip


def measure(task: str, folder: Path, checkpoint: str, texts: int | None, params: dict[str, Any]) -> Row:
    """Distil a student of a task without labels, and return its row."""
    raw = from_files.read(PrepareParams(source="files", path=str(folder)))
    train, test = (raw.splits[split].rows for split in ("train", "test"))
    train = train.sample(min(texts or len(train), len(train)), random_state=0)
    written = sorted({*test["label"], *raw.splits["train"].rows["label"]})
    names = [NAMES[task].get(label, label) for label in written]
    truth = test["label"].map(dict(zip(written, names, strict=True))).tolist()
    classifier = DistilledClassifier(checkpoint, cache_dir=WORK / "no_labels" / task, params=params)
    classifier.fit(train["text"].tolist(), label_names=names, test=(test["text"].tolist(), truth))
    evaluation = classifier.evaluate()
    rows = {row["name"]: row for row in evaluation.scores}
    student = rows.pop("student")
    [teacher] = rows.values()
    agrees = round(student["agreement"] * len(truth))
    low, high = interval(agrees, len(truth))
    return {
        "task": task,
        "checkpoint": checkpoint,
        "texts": len(train),
        "test_texts": len(truth),
        "majority": round(max(np.unique(truth, return_counts=True)[1]) / len(truth), 6),
        "teacher_accuracy": teacher["accuracy"],
        "student_accuracy": student["accuracy"],
        "agreement": student["agreement"],
        "agreement_low": low,
        "agreement_high": high,
        "rung": next(row["rung"] for row in classifier.ladder_ if row["status"] == "chosen"),
        "bytes": student["bytes"],
        "decision": evaluation.verdict.decision,
        "params": params,
        "commit": git(ROOT, "rev-parse", "--short", "HEAD"),
    }


def main() -> None:
    """Measure what is missing, and write `no_labels/results.json` and `no_labels/table.md` after each task."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--data", type=Path, required=True, help="the folder with a folder for each task")
    options.add_argument("--tasks", nargs="+", choices=NAMES, default=list(NAMES), help="of these (default: all)")
    options.add_argument("--teacher", default="minilm", help="a sentence-embedding checkpoint (default: %(default)s)")
    options.add_argument("--texts", type=int, help="to learn from, drawn at random (default: all)")
    options.add_argument("--params", type=json.loads, default={}, help="changed parameters by section, as JSON")
    arguments = options.parse_args()
    rows: list[Row] = json.loads(RESULTS.read_text()) if RESULTS.is_file() else []
    for task in arguments.tasks:
        key = {"task": task, "checkpoint": arguments.teacher, "params": arguments.params}
        if any(key.items() <= row.items() for row in rows):
            continue
        folder = arguments.data / task
        rows.append(measure(task, folder, arguments.teacher, arguments.texts, arguments.params))
        files.write_json(RESULTS, rows)
        tables.no_labels(rows, RESULTS.parent)


if __name__ == "__main__":
    main()
