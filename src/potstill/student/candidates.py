"""Training the candidates of a ladder: in parallel, with results that are kept, so that a killed run resumes."""

import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field, fields
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from joblib import cpu_count
from tqdm import tqdm
from transformers import AutoConfig

from potstill.core import device, files
from potstill.core.labels import is_answered
from potstill.core.workers import workers
from potstill.data import transfer
from potstill.data.dataset import Dataset
from potstill.data.transfer import TransferSet
from potstill.student import encoder, ladder
from potstill.student.distil import distil
from potstill.student.ladder import HOPELESS, Row, Status
from potstill.student.params import DistilParams

STUDENT = "student"  # in the folder of a candidate
_PAUSE = 30  # seconds between two lines on a training whose epochs take long


@dataclass(frozen=True)
class Inputs:
    """What all candidates learn from.

    Attributes:
        prepared: the folder of the prepared data.
        ensemble: the folder of the transfer set.
        teacher: the folder of a fine-tuned teacher that labelled it, see `distil`; None if all are tables or LLMs.
        teacher_logits: the mean logits of all teachers for the validation texts, with NaN where a teacher has none.
        scratch: the folder of the results.
        key: a hash of the data, the teacher and the code.
        tell: called with the line of every epoch; it can be pickled.
        several_teachers: whether more than one teacher labelled the transfer set.
    """

    prepared: Path
    ensemble: Path
    teacher: Path | None
    teacher_logits: np.ndarray = field(compare=False)
    scratch: Path
    key: str
    tell: Callable[[str], object] = field(default=tqdm.write, compare=False)
    several_teachers: bool = False


@dataclass(frozen=True)
class Task:
    """A candidate to train.

    Attributes:
        name: the name of its rung.
        params: its settings, with the sources of the transfer set to train on.
        goal: the validation accuracy that it should reach; it is given up where that is hopeless. None: never.
    """

    name: str
    params: DistilParams
    goal: float | None = None

    def folder(self, inputs: Inputs) -> Path:
        """Return the folder of its result, which is the same for every goal that it reaches."""
        settings = self.params.model_dump_json(exclude={"threads"})
        return inputs.scratch / files.cache_key(inputs.key, self.name, settings)

    def results(self, inputs: Inputs) -> tuple[Path, Path]:
        """Return the files of its result: if it was trained to its end, and if it was given up."""
        folder = self.folder(inputs)
        return folder / "result.json", folder / f"given-up-{self.goal}.json"


@dataclass(frozen=True)
class Result:
    """A candidate that was trained.

    Attributes:
        row: its row of the ladder.
        divergence: its KL divergence from the teacher on validation, see `ladder.divergence`; None without predictions.
        epochs: the metrics of each epoch, see `training.fit`.
        best: those of the epoch whose weights it has.
        folder: where its files are, see `distil.Trained.save`; of a candidate that was given up there are none.
    """

    row: Row
    divergence: float | None
    epochs: list[dict[str, float]]
    best: dict[str, float]
    folder: Path


class _GivenUp(Exception):
    """A candidate is hopeless."""


class _Unwanted(Exception):
    """A smaller candidate keeps its teacher's accuracy, so that nobody waits for this one."""


def with_sources(
    inputs: Inputs,
    rungs: Mapping[str, DistilParams],
    smallest: tuple[str, DistilParams],
    tell: Callable[[str], object] = tqdm.write,
) -> dict[str, DistilParams]:
    """Return the settings of candidates by name, with the sources of the transfer set that each learns from.

    Those that are set by hand stay. A table learns from what suits the smallest of them. All others learn from every
    source: they begin with what the teacher knows of words and have room for more texts; on the tasks of
    `benchmarks/board.py` they came closer to their teacher so, also where a small table did not.

    Args:
        inputs: what they learn from.
        rungs: the settings by name.
        smallest: the name and the settings of the table that is trained on each set of sources.
        tell: called with a line for each of these.
    """
    every = ladder.source_sets(transfer.sources(inputs.ensemble))[-1]
    undecided = [name for name, params in rungs.items() if not params.sources]
    for_tables = every
    if any(rungs[name].kind == "table" for name in undecided):
        for_tables = choose_sources(inputs, *smallest, tell)
    chosen = {name: for_tables if rungs[name].kind == "table" else every for name in undecided}
    return {
        name: params.model_copy(update={"sources": chosen[name]}) if name in chosen else params
        for name, params in rungs.items()
    }


def choose_sources(
    inputs: Inputs, name: str, params: DistilParams, tell: Callable[[str], object] = tqdm.write
) -> tuple[str, ...]:
    """Return the sources of the transfer set whose student is closest to its teacher on validation.

    Args:
        inputs: what it learns from.
        name, params: the candidate that is trained on each set of sources, see `ladder.source_sets`.
        tell: called with a line for each set.
    """
    sets = ladder.source_sets(transfer.sources(inputs.ensemble))
    if len(sets) == 1:
        return sets[0]
    tasks = [Task(name, params.model_copy(update={"sources": sources})) for sources in sets]
    with closing(train(inputs, tasks)) as results:
        scores = [
            result.best["validation_loss"] if result.divergence is None else result.divergence for result in results
        ]
    for sources, score in zip(sets, scores, strict=True):
        tell(f"{name} on {', '.join(sources)}: {score:.4f} nats from its teacher on validation")
    return sets[int(np.argmin(scores))]


def excluded(
    rungs: Mapping[str, DistilParams], skippable: Mapping[str, DistilParams], inputs: Inputs
) -> dict[str, tuple[Status, str]]:
    """Return the status and the reason of the candidates that are not trained, by name.

    Args:
        rungs: the settings of all by name.
        skippable: those of the candidates that need not be trained if that is not worthwhile.
        inputs: what they learn from.
    """
    found: dict[str, tuple[Status, str]] = {
        name: ("unavailable", reason) for name, params in rungs.items() if (reason := obstacle(params, inputs))
    }
    possible = {name: params for name, params in skippable.items() if name not in found}
    return found | {name: ("not needed", reason) for name, reason in not_worthwhile(possible, inputs).items()}


def obstacle(params: DistilParams, inputs: Inputs) -> str | None:
    """Return why a candidate cannot be trained, as a sentence; None if it can."""
    if params.kind == "table":
        return None
    if inputs.teacher is None:
        return "It begins with a Transformer's weights, and the teacher is a table or an LLM."
    if params.kind == "subwords":
        return None
    config = AutoConfig.from_pretrained(inputs.teacher)
    if problem := encoder.obstacle(config):
        return f"{problem[0].upper()}{problem[1:]}."
    if params.layers > config.num_hidden_layers:
        return f"It begins with {params.layers} layers of the teacher, which has {config.num_hidden_layers}."
    return None


def not_worthwhile(rungs: Mapping[str, DistilParams], inputs: Inputs) -> dict[str, str]:
    """Return why some Transformers of a ladder are not trained although they could be, as sentences by name.

    Where a candidate with all of the teacher's layers, which needs no training, follows one with more than half of
    them, that one saves little. On `benchmarks/board.py`, four of MiniLM's six layers had 83% of the size, and their
    training took up to half of the ladder's time. With several teachers, none is skipped: it learns from their mean,
    while all layers are those of one.

    Args:
        rungs: the settings of those that can be trained by name.
        inputs: what they learn from.
    """
    transformers = {name: params for name, params in rungs.items() if params.kind == "transformer"}
    whole = next((name for name, params in transformers.items() if not params.layers), None)
    if whole is None or inputs.teacher is None or inputs.several_teachers:
        return {}
    total = AutoConfig.from_pretrained(inputs.teacher).num_hidden_layers
    return {
        name: f"It has {params.layers} of the teacher's {total} layers; {whole} has all of them and needs no training. "
        f"Set student.rung to {name} to train it."
        for name, params in transformers.items()
        if 2 * params.layers > total
    }


def climb(
    inputs: Inputs,
    rungs: Mapping[str, DistilParams],
    tolerance: float,
    tell: Callable[[str], object] = tqdm.write,
) -> dict[str, Result]:
    """Train candidates until one keeps its teacher's accuracy, and return the results of those that were trained.

    Args:
        inputs: what they learn from.
        rungs: their settings by name, in ascending order of size, see `with_sources`.
        tolerance: see `ladder.keeps`.
        tell: called with a line for each.
    """
    goal = ladder.teacher_accuracy(_teacher_logits(inputs), _data(inputs).targets("validation"))
    last = list(rungs)[-1]  # is trained to its end, as the last resort
    tasks = [
        Task(name, params, None if goal is None or name == last else goal - tolerance) for name, params in rungs.items()
    ]
    results: dict[str, Result] = {}
    with closing(train(inputs, tasks)) as trained:
        for result in trained:
            results[result.row.rung] = result
            tell(ladder.describe(result.row))
            if ladder.keeps(result.row, tolerance):
                break
    return results


def train(inputs: Inputs, tasks: Sequence[Task]) -> Generator[Result]:
    """Train candidates, as many at once as there are threads, and yield their results in the order of the tasks.

    Those that are no longer wanted when the iterator is closed are stopped after their present epoch. A Transformer is
    trained alone, with all threads.
    """
    stop = inputs.scratch / f"stop-{time.time_ns()}"
    small = [task for task in tasks if task.params.kind != "transformer" and _kept(inputs, task) is None]
    jobs = min(len(small), tasks[0].params.threads or cpu_count()) if tasks else 0
    try:
        if jobs > 1:
            with workers(jobs) as pool:
                running = {task: pool.submit(_result, inputs, task, stop) for task in small}
                try:
                    for task in tasks:
                        yield running[task].result() if task in running else _result(inputs, task, stop)
                finally:
                    files.write_text(stop, "")
        else:
            for task in tasks:
                yield _result(inputs, task, stop)
    finally:
        stop.unlink(missing_ok=True)


def _result(inputs: Inputs, task: Task, stop: Path) -> Result:
    """Train one candidate, unless its result is there from an earlier run."""
    if kept := _kept(inputs, task):
        return kept
    folder, (path, given_up) = task.folder(inputs), task.results(inputs)
    data, learned = _data(inputs), _transfer_set(inputs, task.params.sources)
    every = sum(transfer.count(inputs.ensemble).values())
    # As many steps, whatever the sources.
    epochs = max(1, round(task.params.epochs * every / len(learned.texts)))
    params = task.params.model_copy(update={"epochs": epochs})
    device.use_threads(params.threads if params.kind == "transformer" else 1)
    log = _Log(task, epochs, stop, inputs.tell, "agreement" if data.by_teacher else "accuracy")
    try:
        trained = distil(
            data.labels, learned.texts, learned.logits, data.validation, params, inputs.teacher, log, log.progress
        )
    except _GivenUp:
        best = max(log.epochs, key=lambda epoch: epoch["validation_accuracy"])
        accuracy = round(best["validation_accuracy"], 6)
        row = Row(task.name, params.architecture, "stopped early", validation_accuracy=accuracy)
        result, path = Result(row, None, log.epochs, best, folder / STUDENT), given_up
    else:
        size = trained.save(folder / STUDENT)
        logits = trained.student.decision_function(data.validation["text"].tolist())
        labels = data.targets("validation")
        row = Row(task.name, params.architecture, "too inaccurate", trained.student.parameters, size)
        row = ladder.measure(row, logits, labels, _teacher_logits(inputs))
        distance = ladder.divergence(logits, _teacher_logits(inputs), data.multi_label)
        result = Result(row, distance, log.epochs, trained.best, folder / STUDENT)
    folder.mkdir(parents=True, exist_ok=True)
    files.write_json(path, {key: value for key, value in asdict(result).items() if key != "folder"})
    return result


def _kept(inputs: Inputs, task: Task) -> Result | None:
    """Return the result of a candidate from an earlier run, if there is one."""
    folder = task.folder(inputs) / STUDENT
    finished, given_up = task.results(inputs)
    for path in (finished, given_up) if folder.is_dir() else (given_up,):
        if (kept := files.read_checkpoint(path, _is_result)) is not None:
            return Result(**kept | {"row": Row(**kept["row"]), "folder": folder})
    return None


@cache
def _data(inputs: Inputs) -> Dataset:
    return Dataset.load(inputs.prepared, unlabelled=False).labelled_by({"validation": inputs.teacher_logits})


def _teacher_logits(inputs: Inputs) -> np.ndarray:
    """Return the teacher's logits for the validation texts of `_data`, which has all of them if they have labels."""
    logits = inputs.teacher_logits
    return logits[is_answered(logits)] if _data(inputs).by_teacher else logits


@cache
def _transfer_set(inputs: Inputs, sources: tuple[str, ...] | None) -> TransferSet:
    return transfer.read(inputs.ensemble, _data(inputs).labels, sources)


class _Log:
    """Keeps and prints the metrics of each epoch, and ends a training that is hopeless or no longer wanted."""

    def __init__(self, task: Task, epochs: int, stop: Path, tell: Callable[[str], object], score: str) -> None:
        self.epochs: list[dict[str, float]] = []
        self._task, self._last, self._stop, self._tell, self._score = task, epochs, stop, tell, score
        self._started = self._told = time.monotonic()

    def progress(self, share: float) -> None:
        """Tell twice a minute how much of the training is done."""
        now = time.monotonic()
        if now - self._told > _PAUSE and share < 1:
            self._told = now
            left = (now - self._started) * (1 - share) / share
            self._tell(f"{self._task.name}: {share:.0%} trained, {left:.0f} s left")

    def __call__(self, metrics: dict[str, float]) -> None:
        self.epochs.append(metrics)
        number, task = len(self.epochs), self._task
        left = (time.monotonic() - self._started) / number * (self._last - number)
        score = f"validation {self._score} {metrics['validation_accuracy']:.4g}"
        shown = f"{task.name}, epoch {number} of {self._last}: loss {metrics['loss']:.4g}, {score}"
        self._tell(f"{shown}, {left:.0f} s left" if number < self._last else shown)
        if self._stop.exists():
            raise _Unwanted
        behind = task.goal is not None and task.goal - HOPELESS > max(one["validation_accuracy"] for one in self.epochs)
        if behind and self._last // 2 < number < self._last:
            raise _GivenUp


def _is_result(value: Any) -> bool:
    """Return whether a value read from JSON is a `Result`."""
    return (
        isinstance(value, dict)
        and set(value) == {item.name for item in fields(Result)} - {"folder"}
        and isinstance(value["row"], dict)
        and set(value["row"]) == {item.name for item in fields(Row)}
    )
