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
    queue = Queue(args.jobs, earlier={task for task, found in tasks.items() if found.state in ENDED})
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
        self.tasks = {task: found for task, found in tasks.items() if task not in self.earlier}
        for task, found in self.tasks.items():
            if found.state in ENDED and task not in self.reported:
                self.report(task, found)
            if found.state == "Running":
                self.check_process(task, found)
        states = {found.state for found in self.tasks.values()}
        if "Queued" in states and workers < self.jobs and time.monotonic() > self.next_start:
            self.next_start = time.monotonic() + PATIENCE  # or DVC would start a second worker of the same name
            internals.start_workers(self.jobs)
        return not states.isdisjoint(("Queued", "Running"))

    def report(self, task: str, found: internals.Task) -> None:
        """Print that a task has ended, once its result is in Git."""
        self.reported.add(task)
        if found.state == "Success" and not internals.fetch_result(task):
            self.lost.add(task)
        print(f"{found.name}: {'failed' if task in self.lost else found.state.lower()}", flush=True)

    def check_process(self, task: str, found: internals.Task) -> None:
        """Mark a running task as failed if it has long had no process."""
        if internals.is_alive(task):
            self.dead_since.pop(task, None)
        elif time.monotonic() - self.dead_since.setdefault(task, time.monotonic()) > PATIENCE:
            self.killed.add(task)
            internals.mark_failed(found.name)

    def failures(self) -> dict[str, str]:
        """Return the reason by the name of each experiment that failed."""
        return {
            found.name: "its worker was killed. Queue it again."
            if task in self.killed | self.lost
            else internals.failure_reason(found.name)
            for task, found in self.tasks.items()
            if found.state == "Failed" or task in self.lost
        }
