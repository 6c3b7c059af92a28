"""Run real commands in a scratch project with tiny data."""

import csv
import functools
import json
import operator
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager, suppress
from pathlib import Path

from ruamel.yaml import YAML

ROOT = Path(__file__).parents[1]
_SCRATCH = tempfile.TemporaryDirectory()
# The stages' `python` and `dvc` are those that run the tests; one thread each, since some run side by side.
ENVIRONMENT = os.environ | {
    "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    "OMP_NUM_THREADS": "1",
    "DVC_SITE_CACHE_DIR": _SCRATCH.name,  # not in /var/tmp, which others clean
    "GIT_AUTHOR_NAME": "t",
    "GIT_AUTHOR_EMAIL": "t@example.org",
    "GIT_COMMITTER_NAME": "t",
    "GIT_COMMITTER_EMAIL": "t@example.org",
}
SMALL = {
    "prepare.demo.train": 240,
    "prepare.demo.validation": 60,
    "prepare.demo.test": 60,
    "prepare.demo.unlabelled": 200,
    "baseline.epochs": 2,
    "baseline.threads": 1,
    "teacher.epochs": 2,
    "teacher.threads": 1,
    "pool.min_texts": 0,
    "pool.borrow": 0,
    "label.workers": 1,
    "student.ladder": {
        "tiny": {"architecture": "mlp", "vocab_size": 200, "epochs": 2},
        "gru": {"vocab_size": 500, "epochs": 2},
    },
    "student.threads": 1,
    "ablate.steps": 10,
    "ablate.architectures": ["mlp"],
    "ablate.transfer_shares": [0.3],
    "ablate.label_shares": [0.3],
    "evaluate.timing_seconds": 0.2,
}
RAN = re.compile(r"Running stage '([^']+)'")


def begin(folder, monkeypatch):
    """Make a folder the current one, with Git and DVC and nothing else."""
    from dvc.repo import Repo  # slow to import

    monkeypatch.chdir(folder)
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    subprocess.run(["git", "init", "--quiet", "--initial-branch=main"], check=True)
    Repo.init().close()


def run(folder, *command, fails=False):
    """Run a command in a folder; return its output."""
    done = subprocess.run(command, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, timeout=600)
    output = done.stdout + done.stderr
    assert bool(done.returncode) == fails, f"{command} exited with {done.returncode}:\n{output[-4000:]}"
    return output


def free():
    """Return a free port."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def at(folder, revision, path):
    """Return a JSON file of a commit or an experiment."""
    return json.loads(run(folder, "git", "show", f"{revision}:{path}"))


def experiment(folder, name):
    """Return the Git ref of a named experiment."""
    return run(folder, "git", "for-each-ref", "--format=%(refname)", f"refs/exps/**/{name}").split()[-1]


def hashes(folder):
    """Return the hash of every cached output by path, from dvc.lock; `data/evaluate` holds speeds and is left out."""
    found = re.findall(r"- path: (\S+)\n\s+hash: md5\n\s+md5: (\S+)", (folder / "dvc.lock").read_text())
    return {path: md5 for path, md5 in found if path.startswith(("data/", "models/")) and path != "data/evaluate"}


def shown(folder, *options):
    """Return the rows of `dvc exp show` as dictionaries."""
    return list(csv.DictReader(run(folder, "dvc", "exp", "show", "--csv", *options).splitlines()))


def sources():
    """Return the files of this checkout, or of the source distribution that it was unpacked from."""
    if (ROOT / ".git").exists():
        listed = run(ROOT, "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard").split("\0")
    else:
        listed = (ROOT / "src/potstill.egg-info/SOURCES.txt").read_text().splitlines()
    return [name for name in listed if (ROOT / name).is_file() and ".egg-info/" not in name]


def set_params(folder, changes):
    """Set values in `params.yaml` by their dotted keys, which must exist; comments stay."""
    yaml = YAML()
    yaml.width = 1000  # no line is wrapped
    yaml.default_flow_style = None  # lists stay within a line
    params = yaml.load(folder / "params.yaml")
    for dotted, value in changes.items():
        *parents, key = dotted.split(".")
        section = functools.reduce(operator.getitem, parents, params)
        assert key in section, dotted
        section[key] = value
    yaml.dump(params, folder / "params.yaml")


def make(folder, store, checkpoint):
    """Copy this checkout into a repository with a tiny teacher and tiny data, run the pipeline, and push.

    Args:
        folder, store: Empty folders, for the repository and for its DVC remote.
        checkpoint: Folder of the teacher's checkpoint.
    """
    for name in sources():
        if not name.startswith(("metrics/", "dvc.lock")):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    params = YAML(typ="safe").load(folder / "params.yaml")
    changes = dict(SMALL)
    for name, preset in params["teacher"]["presets"].items():
        if "MiniLM" in preset["checkpoint"]:
            changes[f"teacher.presets.{name}.checkpoint"] = str(checkpoint)
            changes[f"teacher.presets.{name}.learning_rate"] = 3.0e-3
    set_params(folder, changes)

    run(folder, "git", "init", "--quiet", "--initial-branch=main")
    run(folder, "dvc", "remote", "add", "--default", "store", str(store))
    run(folder, "git", "add", "--all")
    run(folder, "git", "commit", "--quiet", "-m", "before the first run")
    run(folder, "dvc", "repro")
    run(folder, "git", "add", "--all")
    run(folder, "git", "commit", "--quiet", "-m", "after it")
    run(folder, "dvc", "push")


@contextmanager
def started(folder, *command):
    """Start a command in its own session; yield the process and a function that returns its output; then kill it."""
    log = folder.parent / f"{folder.name}.log"
    with log.open("w") as stream:
        process = subprocess.Popen(
            command, cwd=folder, env=ENVIRONMENT | {"PYTHONUNBUFFERED": "1"}, stdout=stream, stderr=stream,
            start_new_session=True,
        )  # fmt: skip
    try:
        yield process, log.read_text
    finally:
        kill(process)


def kill(process, how=signal.SIGKILL):
    """Signal a whole session, so that DVC and its stage end at once."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, how)
    if how == signal.SIGKILL:
        process.wait()


def until(condition, process):
    """Wait for a condition while a process runs; return whether it was met."""
    while process.poll() is None:
        if condition():
            return True
        time.sleep(0.01)
    return bool(condition())
