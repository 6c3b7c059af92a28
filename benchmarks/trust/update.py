"""How much faster a teacher is updated than fine-tuned from scratch, and whether it is as accurate: `potstill update`.

Classes are held back; a teacher is fine-tuned on the others. Then ten texts of each of these classes are added, and the
teacher is fine-tuned from scratch or continued, with the defaults. All are tested on the test texts of the classes that
they know; seconds are those of a processor, validation included. Data: what `make benchmark-board` left in its clones.
A row holds the means of its draws.
"""

import argparse
import math
import resource
import sys
import tempfile
from contextlib import nullcontext
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).parents[1]))

from runs import WORK, Row
from trust import rows as results

from potstill.commands.update import SHARE
from potstill.core.params import section
from potstill.data.dataset import Dataset
from potstill.evaluate.metrics.scores import mcnemar
from potstill.scoring import model
from potstill.teacher.make import Progress, make

NAME = "minilm"
ADDED = 10  # texts of each held-back class
VALIDATION = 120  # texts at most: no weight depends on them, and they are read after each epoch
LOSS = 0.01  # of accuracy against a teacher from scratch, which an update may have
ALPHA = 0.05  # of the test whether known classes got worse, in each draw


class Task(NamedTuple):
    """How many classes of a task are used, how many of them are held back, and how many train texts the others have."""

    classes: int
    held: int
    texts: int


TASKS = {"clinc150": Task(12, 3, 450), "trec": Task(6, 1, 450)}


def draw(data: Dataset, task: Task, seed: int) -> tuple[Dataset, Dataset, list[str]]:
    """Return the data before and after rows were added, and the names of the new classes."""
    rng = np.random.default_rng(seed)
    names = [data.labels[i] for i in rng.permutation(len(data.labels))[: task.classes]]
    new = names[: task.held]
    tables = {}
    for split in ("train", "validation", "test"):
        rows = data.split(split)
        rows = rows.assign(label=[data.labels[i] for i in rows["label"]])
        tables[split] = rows[rows["label"].isin(names)].sample(frac=1, random_state=seed)
    train, tables["validation"] = tables["train"], tables["validation"].head(VALIDATION)
    old = train[~train["label"].isin(new)][: task.texts]
    few = train[train["label"].isin(new)].groupby("label").head(ADDED)
    after = made(names, pd.concat([old, few]), tables["validation"], tables["test"])
    known = [rows[~rows["label"].isin(new)] for rows in (old, tables["validation"], tables["test"])]
    return made(names[task.held :], *known), after, new


def made(names: list[str], *tables: pd.DataFrame) -> Dataset:
    """Return the data set of the tables of train, validation and test, whose labels are names."""
    labels = sorted(names)
    splits = [rows.assign(label=rows["label"].map(labels.index)).reset_index(drop=True) for rows in tables]
    return Dataset(labels, *splits, pd.DataFrame({"text": []}, dtype="str"))


def seconds() -> float:
    """Return the processor time of this process and of those that it has waited for."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def teach(data: Dataset, folder: Path, **changes: object) -> tuple[float, np.ndarray]:
    """Fine-tune a teacher into a folder, with changes to its preset; return its seconds, and its answers on test."""
    prepared = folder.with_suffix(".data")
    data.save(prepared)
    params = section("teacher")()
    preset = params.presets[NAME].model_copy(update=changes)
    params = params.model_copy(update={"presets": {NAME: preset}}).for_preset(NAME)
    folder.mkdir()
    start = seconds()
    silent = Progress(lambda: nullcontext(lambda epoch: None), lambda epoch: None, bar=False)
    make(folder, prepared, NAME, params, folder.with_suffix(".scratch"), silent)
    spent = seconds() - start
    return spent, model.load(folder).logits(data.test["text"].tolist()).argmax(1)


def measure(task: str, seed: int) -> Row:
    """Compare an updated teacher with one from scratch, on the same test texts."""
    data = Dataset.load(WORK / f"board-{task}" / "data" / "prepared")
    before, after, new = draw(data, TASKS[task], seed)
    labels = after.targets("test")
    is_new = np.isin(labels, [after.labels.index(name) for name in new])
    with tempfile.TemporaryDirectory() as scratch:
        places = Path(scratch)
        _, earlier = teach(before, places / "before")
        usual, answers = teach(after, places / "scratch")
        epochs = section("teacher")().epochs_for(len(before.train), len(before.labels))
        start = {"checkpoint": str(places / "before"), "epochs": math.ceil(SHARE * epochs)}
        spent, updated = teach(after, places / "update", **start)
    right = {"_scratch": answers == labels, "": updated == labels}
    row: Row = {"texts": len(after.train), "tested": len(labels), "seconds_scratch": usual, "seconds": spent}
    row["difference"] = right[""].mean() - right["_scratch"].mean()
    # Of the same texts in the same order.
    once, now = earlier == before.targets("test"), right[""][~is_new]
    row |= {"known_before": once.mean(), "known_worse": now.mean() < once.mean() and mcnemar(now, once)["p"] < ALPHA}
    for name, correct in right.items():
        row |= {f"known{name}": correct[~is_new].mean(), f"new{name}": correct[is_new].mean()}
    print(task, seed, row, flush=True)
    return row


def main() -> None:
    """Measure, and write the rows."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument("--draws", type=int, default=1, help="of classes that are held back, and of texts")
    arguments = parser.parse_args()
    rows = []
    for task in arguments.tasks:
        found = pd.DataFrame([measure(task, seed) for seed in range(arguments.draws)])
        held = float((found["difference"] >= -LOSS).mean())
        row: Row = {"task": task, "what": "update of a teacher", "target": -LOSS, "held": held}
        row["draws"] = arguments.draws
        rows.append(row | {key: round(value, 4) for key, value in found.mean().items()})
    results.write(rows)


if __name__ == "__main__":
    main()
