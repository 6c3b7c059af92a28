"""A project of potstill's with tiny data in a scratch folder, and the real commands in it."""

import csv
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

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
    "demo.train": ("train: 1500", "train: 240"),
    "demo.validation": ("validation: 500", "validation: 60"),
    "demo.test": ("test: 3000", "test: 60"),
    "demo.unlabelled": ("unlabelled: 8000", "unlabelled: 200"),
    "label.workers": ("workers: 0", "workers: 1"),
    "ablate.steps": ("steps: 1000", "steps: 10"),
    "ablate.architectures": ("architectures: [mlp, cnn]", "architectures: [mlp]"),
    "ablate.transfer_shares": ("transfer_shares: [0.03, 0.1, 0.3]", "transfer_shares: [0.3]"),
    "ablate.label_shares": ("label_shares: [0.1, 0.3]", "label_shares: [0.3]"),
    "evaluate.timing_seconds": ("timing_seconds: 2.0", "timing_seconds: 0.2"),
}
RAN = re.compile(r"Running stage '([^']+)'")


def run(folder, *command, fails=False):
    """Run a command in a folder; give what it printed."""
    done = subprocess.run(command, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, timeout=600)
    output = done.stdout + done.stderr
    assert bool(done.returncode) == fails, f"{command} exited with {done.returncode}:\n{output[-4000:]}"
    return output


def free():
    """A port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def at(folder, revision, path):
    """A JSON file of a commit or an experiment."""
    return json.loads(run(folder, "git", "show", f"{revision}:{path}"))


def experiment(folder, name):
    """The Git ref of a named experiment."""
    return run(folder, "git", "for-each-ref", "--format=%(refname)", f"refs/exps/**/{name}").split()[-1]


def hashes(folder):
    """The hash of every cached output, by path, as dvc.lock has it."""
    found = re.findall(r"- path: (\S+)\n\s+hash: md5\n\s+md5: (\S+)", (folder / "dvc.lock").read_text())
    return {path: md5 for path, md5 in found if path.startswith(("data/", "models/"))}


def shown(folder, *options):
    """What `dvc exp show` shows: a dictionary per row."""
    return list(csv.DictReader(run(folder, "dvc", "exp", "show", "--csv", *options).splitlines()))


def sources():
    """The files of this checkout, or of the source distribution that this was unpacked from."""
    if (ROOT / ".git").exists():
        listed = run(ROOT, "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard").split("\0")
    else:
        listed = (ROOT / "src/potstill.egg-info/SOURCES.txt").read_text().splitlines()
    return [name for name in listed if (ROOT / name).is_file() and ".egg-info/" not in name]


def make(folder, store, checkpoint):
    """This checkout in a repository of its own, with a tiny teacher and tiny data, reproduced and pushed.

    Args:
        folder, store: empty ones, for the repository and for its DVC remote.
        checkpoint: the teacher's.
    """
    for name in sources():
        if not name.startswith(("metrics/", "dvc.lock")):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    params = (folder / "params.yaml").read_text()
    for old, new in SMALL.values():
        assert params.count(old) == 1, old
        params = params.replace(old, new)
    params = params.replace(
        "sentence-transformers/all-MiniLM-L6-v2, learning_rate: 1.0e-4", f"{checkpoint}, learning_rate: 3.0e-3"
    )
    params = re.sub(r"threads: 0", "threads: 1", params)
    params = re.sub(r"\bepochs: \d+", "epochs: 2", params)
    (folder / "params.yaml").write_text(params)

    run(folder, "git", "init", "--quiet", "--initial-branch=main")
    run(folder, "dvc", "remote", "add", "--default", "store", str(store))
    run(folder, "git", "add", "--all")
    run(folder, "git", "commit", "--quiet", "-m", "before the first run")
    run(folder, "dvc", "repro")
    run(folder, "git", "add", "--all")
    run(folder, "git", "commit", "--quiet", "-m", "after it")
    run(folder, "dvc", "push")
