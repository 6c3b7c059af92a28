"""Heartbeats of trials, so that the trials of a process that has died are run again.

Optuna's heartbeat (`RDBStorage(heartbeat_interval=…)` with `RetryHeartbeatStaleTrialCallback`) works only in databases,
inside `Study.optimize`, and requires synchronised clocks; `JournalStorage` has none (Optuna 5.0).
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import optuna
from optuna.trial import FrozenTrial, TrialState

HEARTBEAT_INTERVAL, GRACE_PERIOD = 10.0, 60.0  # seconds
MAX_ATTEMPTS = 3  # at one student, whose training may be what kills its process


@contextmanager
def heartbeat(trial: optuna.Trial) -> Iterator[None]:
    """Write a heartbeat every `HEARTBEAT_INTERVAL` during the block."""
    stop = threading.Event()
    thread = threading.Thread(target=_beat, args=(trial, stop), daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _beat(trial: optuna.Trial, stop: threading.Event) -> None:
    beats = 0
    while not stop.wait(HEARTBEAT_INTERVAL):
        beats += 1
        with suppress(Exception):  # a storage that is away for a moment; the grace period covers several heartbeats
            trial.set_user_attr("beats", beats)


class StaleTrials:
    """Detects running trials whose heartbeat has stopped, by this machine's monotonic clock."""

    def __init__(self) -> None:
        self._last_beat: dict[int, tuple[int, float]] = {}  # trial number: heartbeats, and when their number changed

    def retry(self, study: optuna.Study) -> None:
        """End stale trials, and enqueue the same students again, at most `MAX_ATTEMPTS` times each."""
        for trial in study.get_trials(deepcopy=False, states=[TrialState.RUNNING]):
            if not self._is_stale(trial):
                continue
            ended = study.tell(trial.number, state=TrialState.FAIL, skip_if_finished=True)
            attempts = trial.user_attrs.get("attempts", 1)
            if ended.state is TrialState.FAIL and attempts < MAX_ATTEMPTS:
                params = trial.system_attrs.get("fixed_params", trial.params)
                study.enqueue_trial(params, {"attempts": attempts + 1})

    def _is_stale(self, trial: FrozenTrial) -> bool:
        beats = trial.user_attrs.get("beats", 0)
        last, since = self._last_beat.get(trial.number, (None, 0.0))
        if beats != last:
            since = time.monotonic()
            self._last_beat[trial.number] = beats, since
        return time.monotonic() - since > GRACE_PERIOD
