"""Queues of experiments, with DVC's own workers: a long one, with bad ones in it, and one whose worker is killed."""

import json
import re

import psutil
import pytest
from ruamel.yaml import YAML

from tests.project import ENVIRONMENT, RAN, run, shown, started, until

pytestmark = [pytest.mark.slow, pytest.mark.faults]

SHARED = ("prepare", "baseline", "teacher@minilm", "pool", "label@minilm", "ensemble", "ablate")
FINISHED = re.compile(r"^(\S+): success$", re.M)


def queue(folder, *options):
    run(folder, "dvc", "exp", "run", "--queue", *options)


def test_twelve_succeed_two_at_a_time_and_those_that_fail_say_why(pulled):
    sizes = [str(size) for size in range(2, 14)]
    queue(pulled, "-S", f"student.hidden={','.join(sizes)}")
    queue(pulled, "--name", "negative", "-S", "student.hidden=-1")
    queue(pulled, "--name", "unknown", "-S", "student.architecture=foo")
    with started(pulled, "make", "-o", "setup", "queue", "JOBS=2") as (process, log):
        process.wait(3000)
    told = log()
    names = FINISHED.findall(told)
    assert len(set(names)) == len(names) == 12, told
    for name, says in (("negative", "`student.hidden` is -1"), ("unknown", "`student.architecture` is 'foo'")):
        (line,) = re.findall(f"^{name}: (error: .*)$", told, re.M)
        assert line.startswith(f"error: params.yaml: {says}")
        logged = run(pulled, "dvc", "queue", "logs", name)
        assert line in logged.splitlines()
        assert "Traceback" not in logged
    assert "error: 2 of 14 experiments failed (see above). `dvc queue logs NAME` shows more." in told
    for name in names:
        logged = run(pulled, "dvc", "queue", "logs", name)
        assert RAN.findall(logged) == ["student", "export", "evaluate", "report"]
        assert all(f"Stage '{stage}' didn't change, skipping" in logged for stage in SHARED)
    rows = {row["student.hidden"]: row for row in shown(pulled) if row["State"] == "Success"}
    assert set(rows) == set(sizes)
    assert all(row["student.accuracy"] for row in rows.values())
    assert len({row["student.parameters"] for row in rows.values()}) == 12


@pytest.mark.parametrize("alone", [True, False])  # or with the experiment that it ran, as when a machine stops
def test_a_queue_outlives_a_worker(pulled, alone):
    queue(pulled, "-S", "student.hidden=2,3")
    folder = pulled / ".dvc/tmp/exps"
    with started(pulled, "python", "-m", "potstill", "queue", "--jobs", "1") as (process, log):
        assert until(lambda: any(path.stat().st_size for path in folder.glob("run/*/*.json")), process), log()
        worker = psutil.Process(json.loads((folder / "celery/dvc-exp-worker-1.json").read_text())["pid"])
        for child in [] if alone else worker.children(recursive=True):
            child.kill()
        worker.kill()
        assert process.wait(900) == (0 if alone else 1), log()
    if not alone:
        (killed,) = re.findall(r"^(\S+): its worker was killed\. Queue it again\.$", log(), re.M)
        (lacking,) = {row["student.hidden"] for row in shown(pulled) if row["Experiment"] == killed}
        queue(pulled, "-S", f"student.hidden={lacking}")
        assert len(FINISHED.findall(run(pulled, "python", "-m", "potstill", "queue"))) == 1
    rows = {row["student.hidden"]: row for row in shown(pulled) if row["State"] == "Success"}
    assert {"2", "3"} <= set(rows)
    assert all(rows[size]["student.accuracy"] for size in ("2", "3"))
    assert len(run(pulled, "git", "for-each-ref", "refs/exps").splitlines()) >= 2  # where DVC looks, not what it says


def test_the_recipe_for_slurm_runs_without_it_too(pulled, monkeypatch):
    monkeypatch.setitem(ENVIRONMENT, "SLURM_SUBMIT_DIR", str(pulled))
    monkeypatch.setitem(ENVIRONMENT, "SLURM_CPUS_PER_TASK", "1")
    assert "Data and pipelines are up to date" in run(pulled, "recipes/slurm.sh", "repro")
    queue(pulled, "-S", "student.hidden=3")
    assert "1 succeeded" in run(pulled, "recipes/slurm.sh", "queue")
    told = run(pulled, "recipes/slurm.sh", "other", fails=True)
    assert told == "error: the step must be repro or queue (found: other)\n"


def test_the_recipe_for_skypilot_is_read(pulled):
    recipe = YAML(typ="safe").load(pulled / "recipes/skypilot.yaml")
    for step in ("setup", "run"):
        run(pulled, "bash", "-n", "-c", recipe[step])
