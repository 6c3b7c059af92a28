"""Searching for the best student within a budget, in parameters or in bytes."""

import json
import math
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Literal

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial, TrialState

from potstill.errors import PotstillError
from potstill.params.student import StudentParams
from potstill.runtime.networks import Shape
from potstill.storage import Journal, PostgreSQL
from potstill.student.rounding import bits_of
from potstill.student.vocabulary import layout

Unit = Literal["parameters", "bytes"]

# Rice's code of a gap takes about so many bits more than the logarithm of the mean gap.
RICE_BITS = 1.5
STRING_BITS = 26.0  # of a word of a sorted list, deflated
FIXED_BYTES = 30  # of a file: header, checksum, steps

# Seconds between looks for what to do, between signs of life, and without one until a trial is given up.
WAIT, BEAT, DEAD = 1.0, 10.0, 60.0
TRIES = 3  # of a student whose processes die

# What is tried first: recurrent students, which are best where order counts, and a convolution, which is faster.
_GRU = {
    "architecture": "bigru",
    "informative_share": 0.9,
    "learning_rate": 0.01,
    "dropout": 0.0,
    "weight_bits": 3,
    "fingerprint_bits": 4,
}
FIRST = (
    {**_GRU, "hidden": 8, "embedding_dim": 3, "sharing": 1.0, "share": 1.0},
    {**_GRU, "hidden": 6, "embedding_dim": 3, "sharing": 2.0, "share": 0.5},
    {**_GRU, "hidden": 4, "embedding_dim": 2, "sharing": 2.0, "share": 0.25},
    {**_GRU, "architecture": "cnn", "hidden": 16, "embedding_dim": 4, "sharing": 1.0, "share": 1.0},
)
ARCHITECTURES = ("bigru", "cnn", "attention", "mlp")


@dataclass(frozen=True)
class Result:
    """One student that was tried.

    Attributes:
        params: its settings.
        parameters: how many.
        bytes: of its file.
        score: on the validation split, a fraction: the accuracy, or what else `student.metric` is.
    """

    params: dict[str, Any]
    parameters: int
    bytes: int
    score: float


def settings(params: StudentParams) -> dict[str, Any]:
    """What is searched, of a student's settings."""
    names = {
        "vocab_size",
        "embedding_rows",
        "architecture",
        "informative_share",
        "learning_rate",
        "dropout",
        "hidden",
        "max_ngram",
    }
    if params.architecture in ("bigru", "cnn"):
        names.add("embedding_dim")
    return params.model_dump(include=names | {"weight_bits", "fingerprint_bits"})


def expected_size(params: StudentParams, classes: int, unit: Unit) -> float:
    """The size of a student before it is trained: its parameters, or about the bytes of its file."""
    shape = Shape(params.architecture, params.embedding_dim, params.hidden)
    rows = params.embedding_rows or params.vocab_size
    weights = {name: math.prod(size) for name, size in shape.weights(rows, classes).items()}
    if unit == "parameters":
        return sum(weights.values())
    bits = sum(
        count * (bits_of(name, params.weight_bits) if params.weight_bits else 32) for name, count in weights.items()
    )
    buckets, word = 0, STRING_BITS
    if params.fingerprint_bits is not None:
        buckets, width = layout(params.vocab_size - 1, params.fingerprint_bits)
        word = math.log2(2**width / (params.vocab_size - 1)) + RICE_BITS
    word += math.log2(rows) if params.embedding_rows else 0
    return FIXED_BYTES + 10 * classes + buckets + (bits + params.vocab_size * word) / 8


def fill(params: StudentParams, classes: int, budget: float, unit: Unit, sharing: float = 1.0) -> StudentParams | None:
    """Give a student as many words as its budget allows, `sharing` on a row; None if that leaves it next to none."""

    def of(words: int) -> StudentParams:
        return params.model_copy(
            update={"vocab_size": words, "embedding_rows": round(words / sharing) if sharing > 1 else None}
        )

    low, high = 8, max(8, 8 * int(budget))  # a word is at least a bit
    if expected_size(of(low), classes, unit) > budget:
        return None
    while low < high:
        middle = (low + high + 1) // 2
        if expected_size(of(middle), classes, unit) <= budget:
            low = middle
        else:
            high = middle - 1
    return of(low)


def suggest(trial: optuna.Trial, base: StudentParams, classes: int, budget: int, unit: Unit) -> StudentParams | None:
    """Draw a student that fills some share of the budget; None if none fits with these widths."""
    architecture = trial.suggest_categorical("architecture", ARCHITECTURES)
    room = trial.suggest_float("share", 0.1, 1.0, log=True) * budget
    params = base.model_copy(update={"architecture": architecture, "max_ngram": 1, "embedding_dim": 1, "hidden": 2})

    def widest(key: str, limit: int, share: float) -> int:
        """As wide as leaves a share of the room for words."""
        wider = (params.model_copy(update={key: width}) for width in range(limit, 1, -1))
        return next((getattr(p, key) for p in wider if fill(p, classes, share * room, unit)), 2)

    def draw(**changes: Any) -> None:
        nonlocal params
        params = params.model_copy(update=changes)

    if unit == "bytes":
        draw(
            weight_bits=trial.suggest_int("weight_bits", 2, 5),
            fingerprint_bits=trial.suggest_int("fingerprint_bits", 3, 6),
        )
    draw(hidden=trial.suggest_int("hidden", 2, widest("hidden", 64, 0.5), log=True))
    if architecture in ("bigru", "cnn"):
        draw(embedding_dim=trial.suggest_int("embedding_dim", 1, widest("embedding_dim", 16, 0.8), log=True))
    if architecture == "mlp":
        draw(max_ngram=trial.suggest_int("max_ngram", 1, 3))
    sharing = trial.suggest_float("sharing", 1.0, 4.0, step=0.25)
    draw(
        informative_share=round(trial.suggest_float("informative_share", 0.5, 1.0, step=0.05), 2),
        learning_rate=round(trial.suggest_float("learning_rate", 0.002, 0.03, log=True), 4),
        dropout=round(trial.suggest_float("dropout", 0.0, 0.3, step=0.05), 2),
    )
    return fill(params, classes, room, unit, sharing)


def search(
    train: Callable[[StudentParams], Result],
    base: StudentParams,
    classes: int,
    budget: int,
    unit: Unit,
    trials: int,
    storage: Journal | PostgreSQL,
    name: str,
    progress: Callable[[Result, int], None] = lambda result, done: None,
) -> list[Result]:
    """Try students until there are `trials` results, those of all processes that share the storage.

    Score and size are two goals (multi-objective TPE, Ozaki et al. 2020), so that small students are looked for as
    hard as good ones. No more trials run than are wanted; those of a process that dies are run again.

    Args:
        train: trains a student and measures it.
        base: the settings that are not searched.
        classes: how many there are.
        budget: the most that a student may have.
        unit: of the budget.
        trials: how many results in all.
        storage: where results are kept.
        name: of the search, one of several that the storage may hold.
        progress: called after each with it and the number of results so far.

    Returns:
        All results within the budget.

    Raises:
        PotstillError: the budget is too small for any student, or the storage fails.
    """
    opened = storage.open()
    with storage.turn():
        study = optuna.create_study(
            study_name=name, storage=opened, directions=["maximize", "minimize"], load_if_exists=True
        )
        for first in FIRST:
            study.enqueue_trial(first, skip_if_exists=True)
    watch = Watch()
    while True:
        with storage.turn():
            running = study.get_trials(deepcopy=False, states=[TrialState.RUNNING])
            lost = [one for one in running if watch.is_dead(one)]
            for one in lost:
                give_up(study, one)
            done = results(study, unit, budget)
            if len(done) >= trials:
                return done
            trial = params = None
            if len(done) + len(running) - len(lost) < trials:
                trial = study.ask()
                # By the number, so that no two draw the same.
                study.sampler = optuna.samplers.TPESampler(seed=base.seed + trial.number)
                with warnings.catch_warnings():
                    # The first may be wider than what suits a small budget; `fill` sees to it that they fit.
                    warnings.filterwarnings("ignore", "Fixed parameter")
                    params = suggest(trial, base, classes, budget, unit)
                if params is None:
                    study.tell(trial, state=TrialState.FAIL)
                    if not done and trial.number >= 50:
                        raise PotstillError(f"no student fits into {budget:,} {unit}: raise BUDGET")
        if trial is None or params is None:
            time.sleep(WAIT if trial is None else 0)
            continue
        with living(trial):
            result = train(params)
        with storage.turn(), suppress(UpdateFinishedTrialError):  # given up after a long pause, and run again elsewhere
            trial.set_user_attr("result", json.dumps(result.__dict__))
            study.tell(trial, [result.score, math.log(getattr(result, unit))])
            progress(result, len(results(study, unit, budget)))


@contextmanager
def living(trial: optuna.Trial) -> Iterator[None]:
    """Give signs of life during the block. Optuna does so only where it calls the objective, and for databases."""
    end = threading.Event()

    def beat() -> None:
        beats = 0
        while not end.wait(BEAT):
            beats += 1
            with suppress(Exception):  # the next will do
                trial.set_user_attr("beats", beats)

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        end.set()
        thread.join()


class Watch:
    """Notices that a trial's process has died, by this machine's clock alone."""

    def __init__(self) -> None:
        self.seen: dict[int, tuple[int, float]] = {}

    def is_dead(self, trial: FrozenTrial) -> bool:
        """Whether a running trial gave no sign of life for long."""
        beats = trial.user_attrs.get("beats", 0)
        before, since = self.seen.get(trial.number, (None, 0.0))
        if beats != before:
            since = time.monotonic()
            self.seen[trial.number] = beats, since
        return time.monotonic() - since > DEAD


def give_up(study: optuna.Study, trial: FrozenTrial) -> None:
    """End a trial whose process has died, and have the same student tried again, unless it kills whoever does."""
    if study.tell(trial.number, state=TrialState.FAIL, skip_if_finished=True).state is not TrialState.FAIL:
        return
    tries = trial.user_attrs.get("tries", 1)
    if tries < TRIES:
        study.enqueue_trial(trial.system_attrs.get("fixed_params", trial.params), {"tries": tries + 1})


def results(study: optuna.Study, unit: Unit, budget: int) -> list[Result]:
    """What a study has found so far, within the budget."""
    complete = study.get_trials(deepcopy=False, states=[TrialState.COMPLETE])
    found = [result for result in map(_result, complete) if result]
    return [result for result in found if getattr(result, unit) <= budget]


def _result(trial: FrozenTrial) -> Result | None:
    """What a trial has found; None if another version wrote that down."""
    try:
        return Result(**json.loads(trial.user_attrs["result"]))
    except (LookupError, RecursionError, TypeError, ValueError):
        return None


def front(results: Sequence[Result], unit: Unit) -> list[Result]:
    """The results than which none is both smaller and at least as good, from small to large."""
    best: list[Result] = []
    for result in sorted(results, key=lambda r: (getattr(r, unit), -r.score)):
        if not best or result.score > best[-1].score:
            best.append(result)
    return best


def recommend(results: Sequence[Result], unit: Unit, teacher: float, max_loss: float) -> Result | None:
    """The smallest student that loses at most `max_loss` against its teacher on validation, if there is one."""
    good = [result for result in front(results, unit) if teacher - result.score <= max_loss]
    return good[0] if good else None


def markdown(rows: Sequence[Result], chosen: Result) -> str:
    """A table of results; the chosen one in bold."""
    lines = ["| parameters | bytes | validation, % | settings |", "| ---: | ---: | ---: | --- |"]
    for row in rows:
        bold = "**" if row is chosen else ""
        shown = " ".join(f"{key}={_short(value)}" for key, value in row.params.items())
        lines.append(
            f"| {bold}{row.parameters:,}{bold} | {bold}{row.bytes:,}{bold} | {bold}{100 * row.score:.2f}{bold} "
            f"| {shown} |"
        )
    return "\n".join(lines) + "\n"


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
