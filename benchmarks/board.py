"""The default pipeline on eight tasks, and what else could be used instead: `make benchmark-board`.

Nothing is set but the data and, after the first, the seeds. The peers learn from the same prepared splits: TF-IDF with
logistic regression and the student's network on hard labels are stages of the pipeline; fastText and model2vec have an
environment of their own, `speed/requirements.txt`. A task is done seed by seed: what is in `board/results.json` is not
computed again, and a pipeline that was stopped resumes.
"""

import argparse
import json
import random
import re
import shlex
import shutil
import statistics
import subprocess
import sys
from pathlib import Path

import numpy as np
import tables
from runs import ROOT, WORK, Clone, Row, Setting, git
from speed import PEERS_PYTHON, Worker, make_environment, measure_rates

from potstill.core import files, paths
from potstill.core.errors import PotstillError
from potstill.data.dataset import Dataset
from potstill.evaluate.metrics import measures
from potstill.evaluate.metrics.scores import mcnemar, scores
from potstill.evaluate.predictions import Predictions
from potstill.scoring import hub
from potstill.student.params import PARAMS, DistilParams

RESULTS = ROOT / "benchmarks" / "board"
# The files of unlabelled texts of each task.
TASKS: dict[str, list[str]] = {
    "emotion": ["unlabeled/carer_balanced.txt"],
    "sst2": ["unlabeled.txt"],
    "cola": [],
    "trec": [],
    "clinc150": [],
    "stackoverflow": [],
    "tweeteval_hate": [],
    "tweeteval_irony": [],
}
SEEDS = (0, 1, 2)
SEEDED = ("baseline", "teacher", "pool", "student")  # the splits are the same for all seeds
TEACHER = "minilm"
# By name: how its process loads it, and its file in the clone.
OURS = {
    "student": ("potstill", "models/export/student.pot"),
    "teacher": ("teacher", f"models/teacher/{TEACHER}"),
    "tfidf": ("tfidf", "models/baseline/tfidf"),
    "hard": ("potstill", "models/baseline/hard/student.pot"),
}
PEERS = {"fasttext": "fasttext", "model2vec": "pipeline"}
SPLITS = ("validation", "test")
FASTTEXT_SECONDS = 120
ROUNDS = 5
TEXTS, SLOW = 4000, 500  # texts to time a model on, and a Transformer


def setting(task: str, seed: int) -> Setting:
    """Return what a task and a seed change in params.yaml."""
    unlabelled = {"prepare.unlabelled": TASKS[task]} if TASKS[task] else {}
    return Setting(f"board-{task}-{seed}", unlabelled | {f"{stage}.seed": seed for stage in SEEDED if seed}, fixed={})


def normalize(text: str) -> str:
    """Return a text as fastText's tutorial prepares it: in lower case, with spaces around punctuation."""
    return " ".join(re.sub(r"([.!?,'/()])", r" \1 ", text).lower().split())


def train_peers(data: Dataset, seed: int, folder: Path) -> dict[str, Path]:
    """Train the peers that are missing on the prepared splits; return their models by name."""
    make_environment()
    folder.mkdir(parents=True, exist_ok=True)
    for split in ("train", "validation"):
        table = data.split(split)
        rows = [[text, str(label)] for text, label in zip(table["text"], table["label"], strict=True)]
        files.write_json(folder / f"{split}.json", rows)
        files.write_text(
            folder / f"{split}.txt", "".join(f"__label__{label} {normalize(text)}\n" for text, label in rows)
        )
    suffixes = {"fasttext": ".txt", "model2vec": ".json"}
    options = {"fasttext": FASTTEXT_SECONDS, "model2vec": hub.find("sentence-transformers/all-MiniLM-L6-v2")}
    for name, suffix in suffixes.items():
        if not (folder / name).exists():
            print(f"training {name}", file=sys.stderr)
            inputs = [folder / f"{split}{suffix}" for split in ("train", "validation")]
            with files.atomic_write(folder / name) as part:
                command = [PEERS_PYTHON, RESULTS / "peers.py", name, *inputs, part, seed, options[name]]
                with (folder / f"{name}.log").open("w") as log:
                    if subprocess.run(list(map(str, command)), stdout=log, stderr=log).returncode:
                        raise SystemExit(f"error: {name} failed, see the end of {log.name}")
    return {name: folder / name for name in suffixes}


def read_predictions(clone: Path) -> dict[str, dict[str, np.ndarray]]:
    """Return the ids that the models of the pipeline predict, by split and name."""
    names = {name: TEACHER if name == "teacher" else name for name in OURS}
    found = {split: Predictions.load(clone / f"data/evaluate/{split}.parquet") for split in SPLITS}
    return {split: {name: table.predicted(key) for name, key in names.items()} for split, table in found.items()}


def read_student(clone: Path) -> Row:
    """Return what only the rows of students have."""
    ladder = measures.read(measures.Ladder, clone / "metrics/student/ladder.json")
    chosen = next(rung for rung in ladder if rung["status"] == "chosen")
    params = DistilParams.model_validate(files.read_json(clone / "models/student" / PARAMS))
    stages = {"teacher": f"teacher/{TEACHER}", "label": f"label/{TEACHER}", "student": "student"}
    used = {stage: files.read_json(clone / paths.RESOURCES / f"{name}.json") for stage, name in stages.items()}
    keys = ("rung", "status", "bytes", "validation_accuracy", "difference")
    return {
        "verdict": files.read_json(clone / "metrics/evaluate/verdict.json", "decision", kind=str),
        "rung": chosen["rung"],
        "kind": params.kind,
        "seconds": {stage: resources["seconds"] for stage, resources in used.items()},
        "ladder": [{key: rung[key] for key in keys} for rung in ladder],
    }


def predict(worker: Worker, data: Dataset, where: Path) -> dict[str, np.ndarray]:
    """Return the ids that a peer predicts, by split."""
    found = {}
    for split in SPLITS:
        write_texts(worker, data.split(split)["text"].tolist(), where)
        found[split] = np.array(worker.ask(labels=True)["labels"], int)
    return found


def write_texts(worker: Worker, texts: list[str], where: Path) -> None:
    """Let a model read texts; fastText's are prepared, at no cost for it."""
    files.write_json(where, list(map(normalize, texts)) if worker.kind == "fasttext" else texts)
    worker.ask(texts=str(where))


def measure(task: str, seed: int, data: Path) -> list[Row]:
    """Run the pipeline, train the peers and time all models; return a row per model."""
    clone, chosen = Clone(f"board-{task}", data / task), setting(task, seed)
    clone.run(chosen.command(clone.data, "student", {}), chosen.name, in_place=True)
    folder, where = clone.folder, WORK / "board" / f"{task}-{seed}"
    prepared = Dataset.load(folder / "data/prepared")
    predicted, student = read_predictions(folder), read_student(folder)
    models = train_peers(prepared, seed, where / "models")
    slow = {"teacher", *(["student"] if student["kind"] == "transformer" else [])}
    texts = prepared.test["text"].tolist()
    texts = random.Random(0).sample(texts, min(TEXTS, len(texts)))
    own, theirs = Path(sys.executable), PEERS_PYTHON
    workers = [
        *(
            Worker(name, own, kind, folder / path, SLOW if name in slow else TEXTS)
            for name, (kind, path) in OURS.items()
        ),
        *(Worker(name, theirs, kind, models[name], TEXTS) for name, kind in PEERS.items()),
    ]
    try:
        for worker in workers:
            worker.ask(load=texts[0])
            if worker.name in PEERS:
                for split, ids in predict(worker, prepared, where / "texts.json").items():
                    predicted[split][worker.name] = ids
            write_texts(worker, texts[: worker.texts], where / "texts.json")
        rates = measure_rates(workers, ROUNDS)
    finally:
        for worker in workers:
            worker.process.kill()
    truth = {split: prepared.split(split)["label"].to_numpy() for split in SPLITS}
    for split, ids in predicted.items():
        found = {name: list(map(int, values)) for name, values in {"label": truth[split], **ids}.items()}
        files.write_json(where / f"{split}.json", found)
    sizes = {worker.name: files.size(worker.path) for worker in workers}
    commands = {name: shlex.join(chosen.command(f"$DATA/{task}", "student", {})) for name in OURS}
    commands |= dict.fromkeys(PEERS, f"make benchmark-board DATA=$DATA TASKS={task} SEEDS={seed}")
    commit = git(folder, "rev-parse", "--short", "HEAD")
    teacher = float((predicted["test"]["teacher"] == truth["test"]).mean())
    rows = []
    for name, command in commands.items():
        tested = scores(truth["test"], np.eye(len(prepared.labels))[predicted["test"][name]])
        right, of_student = (predicted["test"][key] == truth["test"] for key in (name, "student"))
        test = mcnemar(right, of_student)
        rows.append({
            "task": task,
            "model": name,
            "seed": seed,
            "validation_accuracy": round(float((predicted["validation"][name] == truth["validation"]).mean()), 6),
            "test_accuracy": tested["accuracy"],
            "macro_f1": tested["macro_f1"],
            "matthews": tested["matthews"],
            "teacher_accuracy": round(teacher, 6),
            "versus_student": None if name == "student" else {
                end: test[key] for end, key in
                (("difference", "difference"), ("low", "difference_low"), ("high", "difference_high"))
            },
            "test_rows": len(right),
            "bytes": sizes[name],
            "texts_per_second": round(statistics.median(rates[name])),
            "verdict": None,
            **(student if name == "student" else {}),
            "command": command,
            "commit": commit,
        })  # fmt: skip
    shutil.rmtree(where / "models")  # fastText's can be a gigabyte
    return rows


def main() -> None:
    """Measure what is missing, and write `benchmarks/board/` after each seed of a task."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--data", type=Path, required=True, help="the folder with a folder per task")
    options.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS), help="do these alone (default: all)")
    options.add_argument("--seeds", nargs="+", type=int, default=SEEDS, help="of the models (default: 0 1 2)")
    options.add_argument("--again", action="store_true", help="measure again what has been measured")
    arguments = options.parse_args()
    for task in arguments.tasks:
        if not (arguments.data / task).is_dir():
            raise SystemExit(f"error: {arguments.data}: no folder {task} in it. Set DATA to the folder that has it.")
    path = RESULTS / "results.json"
    rows: list[Row] = json.loads(path.read_text()) if path.is_file() else []
    for seed in arguments.seeds:
        for task in arguments.tasks:
            finished = [row for row in rows if (row["task"], row["seed"]) == (task, seed)]
            if finished and not arguments.again:
                print(f"{task}, seed {seed}: done at commit {finished[0]['commit']}", file=sys.stderr)
                continue
            print(f"{task}, seed {seed}", file=sys.stderr)
            try:
                measured = measure(task, seed, arguments.data)
            except PotstillError as error:
                raise SystemExit(f"error: {error}") from None
            rows = [row for row in rows if row not in finished] + measured
            rows.sort(key=lambda row: (list(TASKS).index(row["task"]), row["seed"]))
            files.write_json(path, rows)
            tables.board(rows, RESULTS)
    if rows:
        tables.board(rows, RESULTS)


if __name__ == "__main__":
    main()
