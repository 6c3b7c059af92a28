"""Run a search for the best students within a budget."""

import json
import math
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import TrialState

from potstill.core.errors import PotstillError
from potstill.search.heartbeat import StaleTrials, heartbeat
from potstill.search.results import Result
from potstill.search.space import INITIAL_TRIALS, SearchSpace
from potstill.search.storage import Journal, PostgreSQL
from potstill.student.params import StudentParams

POLL_INTERVAL = 1.0  # seconds
MAX_MISSES = 50  # students that do not fit, before a budget is too small


def search(
    train: Callable[[StudentParams], Result],
    space: SearchSpace,
    trials: int,
    storage: Journal | PostgreSQL,
    name: str,
    progress: Callable[[Result, int], None] = lambda result, done: None,
) -> list[Result]:
    """Train students until the storage holds `trials` results, of all processes that share it.

    Score and size are two objectives (multi-objective TPE, Ozaki et al. 2020), so that small students are searched as
    thoroughly as good ones. No more trials start than are wanted; those of a process that dies are run again.

    Args:
        train: trains a student and measures it.
        space: what students are drawn from.
        trials: the number of results.
        storage: where results are kept.
        name: of the study in the storage, which may hold several.
        progress: called after each training with its result and the number of results so far.

    Returns:
        All results within the budget.

    Raises:
        PotstillError: the budget is too small for any student, or the storage fails.
    """
    opened = storage.open()
    with storage.lock():
        study = optuna.create_study(
            study_name=name, storage=opened, directions=["maximize", "minimize"], load_if_exists=True
        )
        for first in INITIAL_TRIALS:
            study.enqueue_trial(first, skip_if_exists=True)
    stale = StaleTrials()
    while True:
        with storage.lock():
            stale.retry(study)
            finished = results(study, space)
            if len(finished) >= trials:
                return finished
            running = study.get_trials(deepcopy=False, states=[TrialState.RUNNING])
            start = len(finished) + len(running) < trials
            trial, params = _ask(study, space) if start else (None, None)
        if trial is None:
            time.sleep(POLL_INTERVAL)
        elif params is not None:
            with heartbeat(trial):
                result = train(params)
            # A trial that was stale, since its process was paused, has ended, and is run again elsewhere.
            with storage.lock(), suppress(UpdateFinishedTrialError):
                trial.set_user_attr("result", json.dumps(asdict(result)))
                study.tell(trial, [result.score, math.log(result.size(space.unit))])
                progress(result, len(results(study, space)))


def _ask(study: optuna.Study, space: SearchSpace) -> tuple[optuna.Trial, StudentParams | None]:
    """Start a trial; its student is None if none fits, and the trial has then failed."""
    trial = study.ask()
    # A seed of its own per trial, so that no two processes draw the same; its number is known only now.
    study.sampler = optuna.samplers.TPESampler(seed=space.base.seed + trial.number)
    with warnings.catch_warnings():
        # One of `INITIAL_TRIALS` may be wider than what suits a small budget; it then gets fewer words.
        warnings.filterwarnings("ignore", "Fixed parameter")
        params = space.suggest(trial)
    if params is None:
        study.tell(trial, state=TrialState.FAIL)
        if trial.number >= MAX_MISSES and not results(study, space):
            raise PotstillError(f"--budget: no student fits into {space.budget:,} {space.unit}. Raise it.")
    return trial, params


def results(study: optuna.Study, space: SearchSpace) -> list[Result]:
    """Return the results within the budget that a study has so far."""
    finished = []
    for trial in study.get_trials(deepcopy=False, states=[TrialState.COMPLETE]):
        with suppress(LookupError, RecursionError, TypeError, ValueError):  # another version of potstill wrote it
            finished.append(Result(**json.loads(trial.user_attrs["result"])))
    return [result for result in finished if result.size(space.unit) <= space.budget]
