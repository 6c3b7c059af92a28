"""What the settings of the rungs are worth, on the validation splits of the board's tasks: `make benchmark-settings`.

Trains rungs, and variants of them, on the transfer sets that `make benchmark-board` left in its clones, one thread
each. What they are compared by is the divergence from the teacher on validation, see `ladder.divergence`: it is less a
matter of chance than accuracy, which is given too. A row that is in `board/settings.json` is not computed again.
"""

import argparse
import json
import os
import tempfile
import time
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import tables
from runs import ROOT, WORK, Row, git
from tqdm import tqdm

from potstill.core import device, files, paths, tracking
from potstill.data import transfer
from potstill.data.dataset import Dataset
from potstill.student import ladder
from potstill.student.distil import distil
from potstill.student.params import DistilParams, StudentParams

RESULTS = ROOT / "benchmarks" / "board" / "settings.json"
TASKS = ("trec", "tweeteval_irony", "stackoverflow", "clinc150")
TEACHER = "minilm"
# Rung and changes; the first of a rung is what it is compared with.
_MORE_WORDS = {"vocab_size": 6000, "embedding_dim": 24, "hidden": 48, "weight_bits": 3, "fingerprint_bits": None}
VARIANTS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("medium", {}),
    ("medium", {"word_dropout": 0.15}),
    ("medium", {"word_dropout": 0.3}),
    ("medium", {"dropout": 0.4}),
    ("medium", {"epochs": 20}),
    ("medium", {"architecture": "cnn", "hidden": 128}),
    ("medium", _MORE_WORDS),
    ("medium", _MORE_WORDS | {"word_dropout": 0.15}),
    ("medium", _MORE_WORDS | {"word_dropout": 0.15, "hidden": 32}),
    ("large", {}),
    ("large", {"word_dropout": 0.0, "epochs": 10}),
    ("large", {"epochs": 10}),
    ("large", {"hidden": 32}),
)


def settings(rung: str, changes: dict[str, Any]) -> DistilParams:
    """Return the settings of a rung of params.yaml with changes."""
    return StudentParams.load(ROOT / paths.PARAMS).rungs()[rung].model_copy(update=changes)


def train(item: tuple[str, str, dict[str, Any]]) -> Row:
    """Train a rung with changes on a task's transfer set; return its row."""
    task, rung, changes = item
    device.use_threads(1)
    folder = WORK / f"board-{task}"
    data = Dataset.load(folder / paths.PREPARED, unlabelled=False)
    learned = transfer.read(folder / paths.ENSEMBLE, data.labels)
    started = time.perf_counter()
    teacher = folder / paths.TEACHER / TEACHER
    params = settings(rung, changes)
    trained = distil(data.labels, learned.texts, learned.logits, data.validation, params, teacher)
    seconds = time.perf_counter() - started
    logits = trained.student.decision_function(data.validation["text"].tolist())
    path = folder / paths.METRICS / "teacher" / TEACHER / "validation.csv"
    soft = tracking.read_predictions(path, data.labels, len(data.validation))
    with tempfile.TemporaryDirectory() as where:
        size = trained.save(Path(where) / "student")
    return {
        "task": task,
        "rung": rung,
        "changes": changes,
        "divergence": ladder.divergence(logits, soft, data.multi_label),
        "validation_accuracy": round(float((logits.argmax(1) == data.targets("validation")).mean()), 6),
        "teacher_accuracy": ladder.teacher_accuracy(soft, data.targets("validation")),
        "bytes": size,
        "seconds": round(seconds, 1),
        "commit": git(ROOT, "rev-parse", "--short", "HEAD"),
    }


def _item(row: Row) -> tuple[str, str, dict[str, Any]]:
    return row["task"], row["rung"], row["changes"]


def main() -> None:
    """Train what is missing, and write `board/settings.json` and `board/settings.md` after each student."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS), help="of these (default: all)")
    options.add_argument("--jobs", type=int, default=os.cpu_count(), help="students at a time (default: one per core)")
    arguments = options.parse_args()
    rows: list[Row] = json.loads(RESULTS.read_text()) if RESULTS.is_file() else []
    items = [(task, rung, changes) for rung, changes in VARIANTS for task in TASKS]
    done = list(map(_item, rows))
    todo = [item for item in items if item[0] in arguments.tasks and item not in done]
    with get_context("spawn").Pool(arguments.jobs) as pool:
        for row in tqdm(pool.imap(train, todo), total=len(todo), unit="student"):
            rows = sorted([*rows, row], key=lambda one: items.index(_item(one)))
            files.write_json(RESULTS, rows)
            tables.settings(rows, RESULTS.parent)


if __name__ == "__main__":
    main()
