"""Teachers, transfer sets and students of the benchmarks.

A teacher and the transfer set it labels are a `dvc exp run` in a clone of this repository under `benchmarks/.work/`,
so that this checkout does not change. Its students are then trained by the library, in parallel, with the functions,
threads and seeds of the stages `student` and `baseline`, hence with the same weights as by `dvc exp run`; each row has
that command. Results are kept: a benchmark that is stopped resumes when it is started again.
"""

import argparse
import hashlib
import json
import multiprocessing
import os
import shlex
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from scipy.special import softmax
from tqdm import tqdm

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "src"))

from potstill.baseline.network import train_on_labels
from potstill.baseline.params import BaselineParams
from potstill.core import device, files, tracking
from potstill.data import transfer
from potstill.data.dataset import Dataset
from potstill.evaluate.metrics.scores import scores
from potstill.scoring.tfidf import Tfidf
from potstill.student import distil
from potstill.student.params import DistilParams, StudentParams

WORK = ROOT / "benchmarks" / ".work"
# What the pipeline would fit to the data, and a benchmark keeps the same for all.
FIXED = {"teacher.epochs": 4, "teacher.head_lr_factor": 1, "pool.borrow": 0, "pool.min_texts": 0}
INPUTS = ("prepared", "ensemble")  # the folders of data/ from which students are trained
MAKERS = ("core", "data", "label", "pool", "prepare", "readers", "scoring", "teacher")  # the packages that make them
Row = dict[str, Any]


def parser(docstring: str, data: str = "the folder with train.txt, val.txt, test.txt") -> argparse.ArgumentParser:
    """Return the argument parser of a benchmark with this docstring; `data` is the help of `--data`."""
    made = argparse.ArgumentParser(description=docstring.splitlines()[0])
    made.add_argument("--data", type=Path, required=True, help=data)
    made.add_argument("--jobs", type=int, default=os.cpu_count(), help="students at a time (default: one per core)")
    return made


@dataclass(frozen=True)
class Setting:
    """Data, labels and teacher: changes to params.yaml, after those of `fixed`."""

    name: str
    params: dict[str, Any]
    fixed: dict[str, Any] = field(default_factory=FIXED.copy)

    @property
    def experiment(self) -> str:
        """The name of its experiment."""
        return self.name.replace(",", "").replace(" ", "-")

    def command(self, data: Path | str, section: str | None = None, changes: dict[str, Any] | None = None) -> list[str]:
        """Return the DVC command that makes its transfer set, or with a `section` that of the whole pipeline."""
        params = {"prepare.source": "files", "prepare.path": data, **self.fixed, **self.params}
        params |= {f"{section}.{key}": value for key, value in (changes or {}).items()}
        settings = [part for key, value in params.items() for part in ("-S", f"{key}={_yaml(value)}")]
        return ["dvc", "exp", "run", *settings, *([] if section else ["ensemble"])]


@dataclass(frozen=True)
class Run:
    """A student to train, or a peer of the same setting.

    Attributes:
        setting: the data and the teacher.
        model: its name in the tables.
        training: `hard` labels, or `distilled`; empty for a peer.
        params: changes to params.yaml; of a distilled student also its `sources`, which are not chosen here.
        seed: for weights and batches.
        validation: another setting, whose validation split selects the epoch; None for `setting`.
        texts: the number of texts to sample from the transfer set; None for all.
    """

    setting: Setting
    model: str
    training: str = ""
    params: dict[str, Any] = field(default_factory=dict)
    seed: int = 0
    validation: Setting | None = None
    texts: int | None = None


def _yaml(value: Any) -> str:
    if isinstance(value, list | tuple):
        return f"[{','.join(map(str, value))}]"
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


class Clone:
    """A clone of this repository to run experiments in."""

    def __init__(self, name: str, data: Path) -> None:
        """Make the clone, or check out this repository's commit in an existing one."""
        self.folder = WORK / name
        self.data = data.resolve()
        head = git(ROOT, "rev-parse", "HEAD")
        if git(ROOT, "status", "--porcelain", "--", "src", "dvc.yaml", "params.yaml"):
            print("note: uncommitted changes are not benchmarked", file=sys.stderr)
        if not self.folder.exists():
            git(ROOT, "clone", "--quiet", str(ROOT), str(self.folder))
        git(self.folder, "fetch", "--quiet", "origin")
        git(self.folder, "checkout", "--quiet", "--force", head)

    def prepare(self, setting: Setting) -> Path:
        """Return the folder of a setting's prepared data, transfer set and teacher metrics; make them if needed."""
        command = setting.command(self.data)
        where = WORK / "data" / self.folder.name / setting.experiment
        key = _hash([command, *(files.sha256(ROOT / "src/potstill" / name) for name in MAKERS)])
        if (where / "key").is_file() and (where / "key").read_text() == key:
            return where
        print(f"{setting.name}: teacher and transfer set (minutes)", file=sys.stderr)
        commit = self.run(command, setting.experiment)
        with files.atomic_write(where) as part:
            part.mkdir(parents=True)
            for name in INPUTS:
                self.fetch(setting, f"data/{name}", part / name)
            for path in ("metrics/teacher/minilm/test.csv", "metrics/teacher/minilm/metrics.json"):
                (part / Path(path).name).write_text(git(self.folder, "show", f"{commit}:{path}") + "\n")
            (part / "key").write_text(key)
        return where

    def run(self, command: list[str], name: str, in_place: bool = False) -> str:
        """Run an experiment, replacing one of the same name, and return its commit.

        With `in_place` the clone holds its results, and what a stopped stage resumes from.
        """
        log = self.folder.with_suffix(".log")
        environment = os.environ | {"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", str(os.cpu_count()))}
        subprocess.run(["dvc", "exp", "remove", "--quiet", name], cwd=self.folder, stderr=subprocess.DEVNULL)
        whole = [*command[:3], *([] if in_place else ["--temp"]), "--name", name, *command[3:]]
        with log.open("a") as stream:
            done = subprocess.run(whole, cwd=self.folder, stdout=stream, stderr=stream, env=environment)
        if done.returncode:
            raise SystemExit(f"error: {shlex.join(whole)} failed, see the end of {log}")
        return self._commit(name)

    def fetch(self, setting: Setting, path: str, target: Path) -> Path:
        """Fetch an output of a prepared setting to `target` if it is missing, and return its path."""
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            get = ["dvc", "get", "--quiet", str(self.folder), path, "--out", str(target)]
            subprocess.run([*get, "--rev", self._commit(setting.experiment)], check=True)
        return target

    def resume(self, setting: Setting) -> None:
        """Check out dvc.lock and the metrics of a prepared setting, so that an experiment starts from there."""
        git(self.folder, "checkout", self._commit(setting.experiment), "--", "dvc.lock", "metrics")

    def _commit(self, experiment: str) -> str:
        listing = ("for-each-ref", "--sort=-committerdate", "--format=%(refname) %(objectname)", "refs/exps")
        references = map(str.split, git(self.folder, *listing).splitlines())
        return next(commit for reference, commit in references if reference.endswith(f"/{experiment}"))


def git(folder: Path, *arguments: str) -> str:
    """Run Git, and return its output."""
    return subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


def _hash(parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()


def train_all(runs: Iterable[Run], folders: dict[str, Path], jobs: int) -> list[Row]:
    """Train the students that are missing, `jobs` at a time; return a row per run, with the model file as `file`."""
    # The packages that a student's weights depend on, without the C kernel, which changes only the speed.
    packages = [ROOT / "src" / "potstill" / package for package in ("baseline", "student", "runtime")]
    code = [files.sha256(path) for package in packages for path in sorted(package.rglob("*.py"))]
    keep = WORK / "students"
    keep.mkdir(parents=True, exist_ok=True)
    data = {name: [files.sha256(folder / part) for part in INPUTS] for name, folder in folders.items()}
    wanted = []
    for run in runs:
        hashes = [data[setting.name] for setting in (run.setting, run.validation) if setting]
        wanted.append((run, keep / f"{_hash([run.__dict__, hashes, code])[:24]}.json"))
    todo = [(run, path) for run, path in wanted if not path.is_file()]
    todo.sort(key=lambda item: item[0].seed)  # the first seed of every row first
    with multiprocessing.get_context("spawn").Pool(jobs) as pool:
        for _ in tqdm(pool.imap_unordered(partial(_train, folders), todo), total=len(todo), unit="student"):
            pass
    return [json.loads(path.read_text()) | {"file": str(path.with_suffix(".pot"))} for _, path in wanted]


@cache
def _load(folder: Path, sources: tuple[str, ...] | None) -> tuple[Dataset, transfer.TransferSet]:
    data = Dataset.load(folder / "prepared")
    return data, transfer.read(folder / "ensemble", data.labels, sources)


def _student(changes: dict[str, Any]) -> DistilParams:
    values = StudentParams.load(ROOT / "params.yaml").model_dump()
    (params,) = StudentParams.model_validate(values | changes).candidates().values()
    return params


def _baseline(changes: dict[str, Any]) -> BaselineParams:
    return BaselineParams.model_validate(BaselineParams.load(ROOT / "params.yaml").model_dump() | changes)


def _train(folders: dict[str, Path], item: tuple[Run, Path]) -> None:
    run, path = item
    device.use_threads(1)
    is_distilled = run.training == "distilled"
    changes = run.params | {"seed": run.seed}
    params = _student(changes) if is_distilled else _baseline(changes)
    data, learned = _load(folders[run.setting.name], tuple(changes["sources"]) if is_distilled else None)
    validation = (Dataset.load(folders[run.validation.name] / "prepared") if run.validation else data).validation
    if run.texts is not None:
        order = np.random.default_rng(run.seed).permutation(len(learned.texts))
        learned = learned.subset(np.sort(order[: run.texts]))
    if isinstance(params, DistilParams):
        trained = distil.distil(data.labels, learned.texts, learned.logits, validation, params)
    else:
        trained = train_on_labels(data.labels, data.train, validation, params)
    tested = scores(data.test["label"].to_numpy(), trained.student.predict_proba(data.test["text"]))
    trained.student.save(path.with_suffix(".pot"))
    files.write_json(
        path,
        result(
            run,
            trained.student.parameters,
            rows=(len(data.train), len(validation), len(data.test)),
            validation=trained.best["validation_accuracy"],
            tested=tested,
            command=shlex.join(run.setting.command("$DATA", params.section, changes)),
            size=len(trained.student.to_bytes()),
            transfer_texts=len(learned.texts) if is_distilled else 0,
        ),
    )


def result(
    run: Run,
    parameters: int,
    *,
    rows: tuple[int, int, int],
    validation: float,
    tested: Mapping[str, Any],
    command: str,
    size: int | None = None,
    transfer_texts: int = 0,
) -> Row:
    """Return a row of the results.

    Args:
        run: the student or the peer.
        parameters: their number.
        rows: of train, validation and test.
        validation: accuracy on validation, a fraction.
        tested: `accuracy` and `matthews` on test.
        command: reproduces the row.
        size: bytes of the model file, if there is one.
        transfer_texts: the number of texts of its transfer set.
    """
    labels, validation_rows, test_rows = rows
    return {
        "setting": run.setting.name,
        "labels": labels,
        "model": run.model,
        "training": run.training,
        "parameters": parameters,
        "bytes": size,
        "seed": run.seed,
        "validation_rows": validation_rows,
        "validation_accuracy": round(float(validation), 6),
        "test_accuracy": tested["accuracy"],
        "test_matthews": tested["matthews"],
        "test_rows": test_rows,
        "transfer_texts": transfer_texts,
        "command": command,
    }


def time_in_turns(engines: Mapping[str, Callable[[], Any]], rounds: int) -> tuple[dict[str, list[float]], Row]:
    """Call all functions in turns; return by name the seconds of each round, and the result of the last."""
    seconds: dict[str, list[float]] = {name: [] for name in engines}
    results = {}
    for _ in range(rounds):
        for name, call in engines.items():
            start = perf_counter()
            results[name] = call()
            seconds[name].append(perf_counter() - start)
    return seconds, results


def ratios(numerators: Iterable[float], denominators: Iterable[float], digits: int = 2) -> tuple[float, float, float]:
    """Return the median, the lowest and the highest of the rounds' ratios."""
    found = [one / other for one, other in zip(numerators, denominators, strict=True)]
    return round(statistics.median(found), digits), round(min(found), digits), round(max(found), digits)


def measure(clone: Clone, runs: Sequence[Run], jobs: int, compared: bool) -> list[Row]:
    """Make missing settings and students; return a row per run, after those of the peers if `compared`."""
    settings = {setting.name: setting for run in runs for setting in (run.setting, run.validation) if setting}
    folders = {name: clone.prepare(setting) for name, setting in settings.items()}
    names = dict.fromkeys(run.setting.name for run in runs) if compared else ()
    return [row for name in names for row in peers(settings[name], folders[name])] + train_all(runs, folders, jobs)


def committed(rows: Sequence[Row]) -> list[Row]:
    """Return the rows without the paths of model files, which exist on this machine only."""
    return [{key: value for key, value in row.items() if key != "file"} for row in rows]


def peers(setting: Setting, folder: Path) -> list[Row]:
    """Return the rows of the teacher and of TF-IDF with logistic regression."""
    data = Dataset.load(folder / "prepared")
    logits = tracking.read_predictions(folder / "test.csv", data.labels, len(data.test))
    facts = files.read_json(folder / "metrics.json")["minilm"]
    tfidf = Tfidf.fit(data.train, 1.0, None)
    right = tfidf.predict_proba(data.validation["text"].tolist()).argmax(1) == data.validation["label"]
    tested = tfidf.predict_proba(data.test["text"].tolist())
    models = {
        "TF-IDF + logistic regression": (tested, tfidf.parameters, right.mean()),
        "MiniLM (teacher)": (softmax(logits, axis=1), facts["parameters"], facts["validation_accuracy"]),
    }
    return [
        result(
            Run(setting, model),
            parameters,
            rows=(len(data.train), len(data.validation), len(data.test)),
            validation=validation,
            tested=scores(data.test["label"].to_numpy(), probabilities),
            command=shlex.join(setting.command("$DATA")),
        )
        for model, (probabilities, parameters, validation) in models.items()
    ]
