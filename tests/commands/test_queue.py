"""What `potstill queue` does with what DVC says of its experiments, without DVC."""

import pytest

from potstill.commands import dvc_internals, queue
from potstill.commands.dvc_internals import Task


@pytest.fixture
def dvc(monkeypatch):
    """A DVC with one task, a clock, and what it was asked to do."""

    class Dvc:
        state, workers, alive, has_result, now = "Running", 1, True, True, 0.0
        started, failed = 0, 0

        def start(self, jobs):
            self.started += 1

        def fail(self, name):
            self.failed += 1

    made = Dvc()
    fakes = {
        "queue_status": lambda: ({"abc": Task("one", made.state)}, made.workers),
        "is_alive": lambda task: made.alive,
        "fetch_result": lambda task: made.has_result,
        "failure_reason": lambda name: "error: why",
        "start_workers": made.start,
        "mark_failed": made.fail,
    }
    for name, fake in fakes.items():
        monkeypatch.setattr(dvc_internals, name, fake)
    monkeypatch.setattr(queue.time, "monotonic", lambda: made.now)
    return made


def update(experiments, dvc, seconds, **changes):
    dvc.now += seconds
    for name, value in changes.items():
        setattr(dvc, name, value)
    return experiments.update()


def test_workers_are_started_again_after_a_while(dvc):
    experiments = queue.Queue(2, earlier=set())
    for seconds, started in ((1, 1), (queue.PATIENCE, 1), (1, 2)):
        assert update(experiments, dvc, seconds, state="Queued", workers=0)
        assert dvc.started == started
    assert update(experiments, dvc, 1000, state="Queued", workers=2)
    assert dvc.started == 2


def test_a_process_that_is_gone_for_long_is_marked_as_failed(dvc, capsys):
    experiments = queue.Queue(1, earlier=set())
    update(experiments, dvc, 1, alive=False)  # it has not started yet
    update(experiments, dvc, 1, alive=True)
    update(experiments, dvc, 1000, alive=False)  # it has ended, and its worker saves the result
    assert not dvc.failed
    update(experiments, dvc, queue.PATIENCE + 1)
    assert dvc.failed
    assert not update(experiments, dvc, 1, state="Failed")
    assert experiments.failures() == {"one": "its worker was killed. Queue it again."}
    assert capsys.readouterr().out == "one: failed\n"


@pytest.mark.parametrize(
    ("state", "has_result", "failures"),
    [("Success", True, {}), ("Success", False, {"one": "its worker was killed. Queue it again."}),
     ("Failed", True, {"one": "error: why"})],
)  # fmt: skip
def test_an_end_is_reported_once(dvc, capsys, state, has_result, failures):
    experiments = queue.Queue(1, earlier=set())
    for _ in range(2):
        assert not update(experiments, dvc, 1, state=state, has_result=has_result)
    assert experiments.failures() == failures
    assert capsys.readouterr().out == f"one: {'failed' if failures else 'success'}\n"


def test_what_had_ended_before_is_not_counted(dvc):
    experiments = queue.Queue(1, earlier={"abc"})
    assert not update(experiments, dvc, 1, state="Failed")
    assert not experiments.tasks
    assert not experiments.failures()
