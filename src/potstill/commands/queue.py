"""Run the queued experiments, and say why one failed.

Does what `dvc queue start` does, waits for the end, and starts again the workers that have died.
"""

import argparse
import time
from dataclasses import dataclass, field
from pathlib import Path

from potstill.commands import dvc_internals as internals
from potstill.commands.common import count
from potstill.core.errors import PotstillError, visible
from potstill.terminal import Parser

ENDED = ("Success", "Failed")
POLL = 5  # seconds between looks, each of which sends messages to the workers
PATIENCE = 60  # seconds for a worker to start, to begin an experiment, and to record its result


def arguments(parser: Parser) -> None:
    """Add the options."""
    jobs = "experiments to run in parallel (default: %(default)s)"
    parser.add_argument("--jobs", type=count, metavar="N", default=2, help=jobs)


def run(args: argparse.Namespace) -> None:
    """Run experiments until none is queued or running.

    Raises:
        PotstillError: some failed.
    """
    if not Path(".dvc").is_dir():
        raise PotstillError(".dvc: no such folder. Run `dvc init` in the project's folder.")
    tasks, _ = internals.queue_status()
    queue = Queue(args.jobs, earlier={task_id for task_id, task in tasks.items() if task.state in ENDED})
    while queue.update():
        time.sleep(POLL)
    wait_for_workers()
    failures = queue.failures()
    for name, reason in failures.items():
        print(f"{name}: {visible(reason)}")
    if failures:
        raise PotstillError(
            f"{len(failures)} of {len(queue.tasks)} experiments failed (see above). `dvc queue logs NAME` shows more."
        )
    print(f"{len(queue.tasks)} succeeded. `make show` and `potstill compare` list them.")


def wait_for_workers() -> None:
    """Wait until idle workers end, ten seconds later: they would take along what is queued at that moment."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and internals.queue_status()[1]:
        time.sleep(1)


@dataclass
class Queue:
    """The experiments of one run of the queue.

    Attributes:
        jobs: experiments to run in parallel.
        earlier: the tasks that had ended before.
        tasks: the others.
        reported: those whose end was printed.
        dead_since: by running task without a process, when that was first seen (monotonic, in seconds).
        killed: those that were marked as failed, since their process had ended.
        lost: those that ended, but whose result is nowhere.
        next_start: when workers may be started again (monotonic, in seconds).
    """

    jobs: int
    earlier: set[str]
    tasks: dict[str, internals.Task] = field(default_factory=dict)
    reported: set[str] = field(default_factory=set)
    dead_since: dict[str, float] = field(default_factory=dict)
    killed: set[str] = field(default_factory=set)
    lost: set[str] = field(default_factory=set)
    next_start: float = 0.0

    def update(self) -> bool:
        """Look at the tasks, report those that ended, and start workers; return whether any is left to wait for."""
        tasks, workers = internals.queue_status()
        self.tasks = {task_id: task for task_id, task in tasks.items() if task_id not in self.earlier}
        for task_id, task in self.tasks.items():
            if task.state in ENDED and task_id not in self.reported:
                self.report(task_id, task)
            if task.state == "Running":
                self.check_process(task_id, task)
        states = {task.state for task in self.tasks.values()}
        if "Queued" in states and workers < self.jobs and time.monotonic() > self.next_start:
            self.next_start = time.monotonic() + PATIENCE  # or DVC would start a second worker of the same name
            internals.start_workers(self.jobs)
        return not states.isdisjoint(("Queued", "Running"))

    def report(self, task_id: str, task: internals.Task) -> None:
        """Print that a task has ended, once its result is in Git."""
        self.reported.add(task_id)
        if task.state == "Success" and not internals.fetch_result(task_id):
            self.lost.add(task_id)
        print(f"{task.name}: {'failed' if task_id in self.lost else task.state.lower()}", flush=True)

    def check_process(self, task_id: str, task: internals.Task) -> None:
        """Mark a running task as failed if it has long had no process."""
        if internals.is_alive(task_id):
            self.dead_since.pop(task_id, None)
        elif time.monotonic() - self.dead_since.setdefault(task_id, time.monotonic()) > PATIENCE:
            self.killed.add(task_id)
            internals.mark_failed(task.name)

    def failures(self) -> dict[str, str]:
        """Return the reason by the name of each experiment that failed."""
        return {
            task.name: "its worker was killed. Queue it again."
            if task_id in self.killed | self.lost
            else internals.failure_reason(task.name)
            for task_id, task in self.tasks.items()
            if task.state == "Failed" or task_id in self.lost
        }
