"""Run the queued experiments: `make queue`, or `make queue JOBS=4`. Ends with a line for each that failed.

Does what `dvc queue start` does, and stays with it. DVC's workers die of a race in the files through which they are
spoken to (iterative/dvc#10673), or are killed: those that are missing are started again. What such a worker ran counts
as running for ever; if it came to an end nevertheless, its result is fetched, which DVC would say it has, and has not.
"""

from potstill.start import run

import json
import os
import re
import subprocess
import time
from pathlib import Path

from potstill.errors import PotstillError, visible
from potstill.terminal import Parser

TASK = re.compile(r"^(\w{7}) +(\S+) .* (Queued|Running|Success|Failed) *$", re.M)
WORKERS = re.compile(r"Worker status: (\d+) active, (\d+) idle")
DONE = ("Success", "Failed")
PAUSE = 5  # seconds between looks: each of them speaks to the workers
PATIENCE = 60  # seconds for a worker to be there, to start an experiment, and to keep its result


def main() -> None:
    """Start workers until nothing is queued or running."""
    parser = Parser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=2, help="experiments at a time (%(default)s)")
    jobs = parser.parse_args().jobs
    if jobs < 1:
        raise PotstillError("--jobs is at least 1")
    if not Path(".dvc").is_dir():
        raise PotstillError(".dvc is missing: run this in the project's folder")
    tasks, _ = status()
    old = {task for task, (_, state) in tasks.items() if state in DONE}
    told = set(old)
    ended: dict[str, float] = {}
    killed, lost, again = set(), set(), 0.0
    while True:
        tasks, workers = status()
        for task, (name, state) in tasks.items():
            if state in DONE and task not in told:
                told.add(task)
                if state == "Success" and not kept(task):
                    lost.add(task)
                    state = "Failed"
                print(f"{name}: {state.lower()}", flush=True)
            if state == "Running" and not runs(task):
                ended.setdefault(task, time.monotonic())
            if state == "Running" and time.monotonic() - ended.get(task, time.monotonic()) > PATIENCE:
                killed.add(task)
                # DVC takes it for done then, unless a worker says that it still has it.
                subprocess.run(["dvc", "queue", "kill", "--force", name], capture_output=True)
        states = [state for _, state in tasks.values()]
        if not {"Queued", "Running"} & set(states):
            break
        if "Queued" in states and workers < jobs and time.monotonic() > again:
            again = time.monotonic() + PATIENCE  # or two of a kind would be started
            # Not with a pipe, which the workers would keep open.
            subprocess.run(
                ["dvc", "queue", "start", "-j", str(jobs)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
        time.sleep(PAUSE)
    end(workers)
    new = {task: found for task, found in tasks.items() if task not in old}
    failed = {task: name for task, (name, state) in new.items() if state == "Failed" or task in lost}
    for task, name in failed.items():
        print(f"{name}: {'its worker was killed: queue it again' if task in killed | lost else visible(reason(name))}")
    if failed:
        raise PotstillError(f"{len(failed)} of {len(new)} experiments failed, see above and `dvc queue logs NAME`")
    print(f"{len(new)} succeeded: see them with `make show` or `make compare`")


def status() -> tuple[dict[str, tuple[str, str]], int]:
    """The name and the state of each task, and how many workers there are."""
    for _ in range(10):  # DVC fails if it reads what is being written
        done = subprocess.run(["dvc", "queue", "status"], capture_output=True, text=True)
        if done.returncode == 0:
            workers = WORKERS.search(done.stdout)
            tasks = {task: (name, state) for task, name, state in TASK.findall(done.stdout)}
            return tasks, sum(map(int, workers.groups())) if workers else 0
        time.sleep(1)
    raise PotstillError(f"`dvc queue status` fails: {done.stderr or done.stdout}")


def end(workers: int) -> None:
    """Wait for the workers to end, which takes ten seconds: what is queued just then would be lost with them."""
    patience = time.monotonic() + PATIENCE
    while workers and time.monotonic() < patience:
        time.sleep(1)
        _, workers = status()


def note(task: str, kind: str) -> dict:
    """What DVC wrote down of an experiment: `json` of its process, `run` of its result; empty before there is any."""
    try:
        (path,) = Path(".dvc/tmp/exps/run").glob(f"{task}*/{task}*.{kind}")
        return json.loads(path.read_text())
    except ValueError:
        return {}


def runs(task: str) -> bool:
    """Whether the process of an experiment lives."""
    try:
        pid = note(task, "json")["pid"]
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (KeyError, ProcessLookupError):
        return False
    except OSError:
        return True


def kept(task: str) -> bool:
    """Whether the result of an experiment is in Git, fetched from where it ran if its worker did not come to that."""
    found = note(task, "run")
    ref = found.get("result_ref")
    if not ref or subprocess.run(["git", "rev-parse", "--quiet", "--verify", ref], capture_output=True).returncode == 0:
        return bool(ref)
    return (
        subprocess.run(["git", "fetch", "--quiet", found["git_url"], f"{ref}:{ref}"], capture_output=True).returncode
        == 0
    )


def reason(name: str) -> str:
    """Why an experiment failed: what a stage or, where none says it, DVC said last."""
    log = subprocess.run(["dvc", "queue", "logs", name], capture_output=True, text=True).stdout
    said = re.findall("^error: .*", log, re.M) or re.findall("^ERROR: .*", log, re.M)
    return said[-1] if said else "ended without a word"


if __name__ == "__main__":
    run(main)
