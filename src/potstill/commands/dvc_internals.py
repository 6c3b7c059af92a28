"""Access to the internals of DVC, for faults that its commands do not handle.

Each fault has a test in `tests/commands/test_dvc_internals.py` that fails once DVC has mended it, so that what works
around it can be removed:

- A write-protected file of the cache, or a file whose size and time have not changed, is never hashed again, so that
  damage is checked out (#5978, #9561). `potstill verify` hashes them all.
- `dvc push` takes a truncated file in the remote for the whole one (#10498), and all files of a folder for present if
  its `.dir` object is (#7532, #11011). `potstill push` compares sizes or hashes first.
- A killed `dvc push` leaves an incomplete index of what there is to push, which the next one takes for complete (no
  issue known). `potstill push` drops it.
- Queue workers talk through files that can be read half-written, which ends them (#10673, treeverse/dvc-task#73).
  `potstill queue` starts them again.
- An experiment whose worker was killed stays "Running" (#8702). `potstill queue` has DVC mark it as failed.
- An experiment whose worker was killed after the last stage counts as "Success", although its commit was not fetched
  (no issue known). `potstill queue` fetches it.
"""

import errno
import json
import os
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dvc.exceptions import DvcException
from dvc.output import Output
from dvc.repo import Repo
from dvc_data.hashfile.db import HashFileDB, get_index
from dvc_data.hashfile.hash import file_md5
from dvc_data.hashfile.hash_info import HashInfo
from dvc_data.hashfile.tree import Tree
from dvc_objects.executors import ThreadPoolExecutor

from potstill.core.errors import PotstillError

HASH = re.compile(r"[0-9a-f]{32}(\.dir)?")  # only what matches becomes a path in the cache
TASK = re.compile(r"^(\w{7}) +(\S+) .* (Queued|Running|Success|Failed) *$", re.M)
WORKERS = re.compile(r"Worker status: (\d+) active, (\d+) idle")
STATUS_ATTEMPTS = 10  # `dvc queue status` fails when it reads a half-written file


@contextmanager
def repository() -> Iterator[Repo]:
    """Open the DVC repository.

    Raises:
        PotstillError: DVC refuses; where a file of its own is damaged, with the command that restores it.
    """
    try:
        with Repo() as repo:
            yield repo
    except DvcException as error:
        message = str(error).rstrip(".")
        damaged = re.search(r"'(?:\./)?([^']*(?:dvc\.lock|dvc\.yaml|\.dvc))'", message)
        advice = f". Restore it with `git checkout {damaged[1]}`." if damaged else ""
        raise PotstillError(f"{message}{advice}") from error


# The cache and the workspace


@dataclass(frozen=True)
class CacheObject:
    """A file of the cache.

    Attributes:
        path: where it is.
        hash_name: how it is hashed.
        value: the hash that it should have.
        name: the path that it is recorded under in the project, or else its hash.
    """

    path: Path
    hash_name: str
    value: str
    name: str

    @property
    def is_intact(self) -> bool:
        """Whether the file has the hash that it should have."""
        return file_hash(self.path, self.hash_name) == self.value.removesuffix(".dir")


def outputs(repo: Repo) -> list[Output]:
    """Return what stages and `dvc add` keep in the cache, inside the project and with a hash of the contents.

    Raises:
        PotstillError: DVC cannot use the values in `params.yaml` where `dvc.yaml` needs them.
    """
    try:
        outs = list(repo.index.outs)
    except (AssertionError, AttributeError, TypeError, ValueError) as error:
        raise PotstillError(
            f"dvc.yaml: cannot be read with this params.yaml ({str(error) or type(error).__name__}). "
            "A list may have no brackets, or a value be null. See `git diff params.yaml`."
        ) from error
    cached = (out for out in outs if out.use_cache and out.is_in_repo and out.hash_info)
    return [out for out in cached if out.hash_name in ("md5", "md5-dos2unix")]


def cache_objects(repo: Repo) -> list[CacheObject]:
    """Return what the cache should hold.

    That is everything in a cache inside the project. A cache elsewhere, also one that is only linked into the project,
    may be shared with others: of that, what this project has recorded.
    """
    objects: dict[Path, CacheObject] = {}
    for cache, value, name in [*_recorded(repo), *_cached(repo)]:
        if HASH.fullmatch(value):
            path = Path(cache.oid_to_path(value))
            objects.setdefault(path, CacheObject(path, cache.hash_name, value, name))
    return [each for each in objects.values() if each.path.is_file()]


def _recorded(repo: Repo) -> Iterator[tuple[HashFileDB, str, str]]:
    """Yield cache, hash and path of every output and of every file in one."""
    for out in outputs(repo):
        root = os.path.relpath(out.fs_path)
        yield out.cache, out.hash_info.value, root
        for path, value in (folder_hashes(out.cache, out.hash_info.value) or {}).items():
            yield out.cache, value, os.path.join(root, path)


def _cached(repo: Repo) -> Iterator[tuple[HashFileDB, str, str]]:
    """Yield cache and hash, as name too, of every file in a cache inside the project."""
    for cache in (repo.cache.local, repo.cache.legacy):
        if is_within(repo, Path(cache.path)) and Path(cache.path).is_dir():
            for value in cache.all():
                yield cache, value, value


def output_files(out: Output) -> list[Path]:
    """Return the files of an output that exist in the workspace."""
    root = Path(out.fs_path)
    candidates = map(Path, out.dvcignore.find(out.fs, out.fs_path)) if root.is_dir() else [root]
    return [path for path in candidates if path.is_file()]


def folder_hashes(cache: HashFileDB, value: str) -> dict[str, str] | None:
    """Return the hashes of the files in a folder by path; None for a file, or if the cache has no intact list."""
    path = Path(cache.oid_to_path(value))
    if not HASH.fullmatch(value) or not value.endswith(".dir") or not path.is_file():
        return None
    if file_hash(path, cache.hash_name) != value.removesuffix(".dir"):
        return None
    try:
        return {member["relpath"]: member["md5"] for member in json.loads(path.read_bytes())}
    except (ValueError, TypeError, LookupError):
        return None


def folder_hash(root: Path, hashes: dict[Path, str | None], name: str) -> str:
    """Return the hash that DVC gives to a folder with these files: that of the list of their hashes."""
    tree = Tree()
    for path, value in hashes.items():
        tree.add(path.relative_to(root).parts, None, HashInfo(name, value))
    tree.digest()
    return tree.oid


def file_hash(path: Path, name: str) -> str | None:
    """Return the hash of a file by the method of that name; None if the disk cannot read it."""
    try:
        return file_md5(str(path), name=name)
    except OSError as error:
        if error.errno != errno.EIO:
            raise
        return None


def record_hash(repo: Repo, path: Path, name: str) -> None:
    """Tell DVC the hash of a file, which it would not compute while size and time are those of another content."""
    info = repo.fs.info(str(path))
    repo.state.save(str(path), repo.fs, HashInfo(name, file_hash(path, name) or "unreadable"), info)


def is_within(repo: Repo, folder: Path) -> bool:
    """Return whether a folder lies in the project once links are followed."""
    return folder.resolve().is_relative_to(Path(repo.root_dir).resolve())


# The remote


def remote_store(repo: Repo, name: str | None) -> HashFileDB:
    """Return the store of a remote.

    Raises:
        PotstillError: the plugin for remotes of its kind is not installed.
    """
    try:
        return repo.cloud.get_remote_odb(name, command="push")
    except ImportError as error:
        if not (plugin := re.search(r"dvc-\w+", str(error))):
            raise
        message = f"the remote {name}: {plugin[0]} is not installed. Run `pip install {plugin[0]}`."
        raise PotstillError(message) from error


def repair(cache: HashFileDB, remote: HashFileDB, intact: list[str], *, hashed: bool) -> list[str]:
    """Replace objects that are damaged in a remote, and add those that are missing from its folders.

    Nothing else is removed: others may share the remote.

    Args:
        cache: the local cache.
        remote: the store of the remote.
        intact: the hashes of the intact objects in the cache.
        hashed: whether to read the remote, which finds damage that keeps the size.

    Returns:
        The hashes of what was replaced or added.
    """
    with ThreadPoolExecutor(remote.fs.jobs, cancel_on_error=True) as pool:
        states = list(pool.map(lambda value: _is_intact_in(remote, cache, value, hashed), intact))
    damaged = {value for value, state in zip(intact, states, strict=True) if state is False}
    missing = {value for value, state in zip(intact, states, strict=True) if state is None}
    folders = (folder_hashes(cache, value) or {} for value in intact if value not in missing)
    lacking = {value for folder in folders for value in folder.values() if value in missing}
    for value in damaged:
        remote.fs.remove(remote.oid_to_path(value))
    repaired = sorted(damaged | lacking)
    for is_list in (False, True):  # a folder's list comes after its files, since DVC infers them from it
        values = [value for value in repaired if value.endswith(".dir") == is_list]
        remote.add([cache.oid_to_path(value) for value in values], cache.fs, values, check_exists=False)
    if repaired:
        get_index(remote).clear()
    return repaired


def _is_intact_in(remote: HashFileDB, cache: HashFileDB, value: str, hashed: bool) -> bool | None:
    """Return whether an object is intact in a remote; None if it is not there."""
    path = remote.oid_to_path(value)
    try:
        size = remote.fs.info(path)["size"]
        if size is not None and size != Path(cache.oid_to_path(value)).stat().st_size:
            return False
        return not hashed or file_md5(path, remote.fs) == value.removesuffix(".dir")
    except FileNotFoundError:
        return None


# The queue


@dataclass(frozen=True)
class Task:
    """An experiment in the queue; `state` is Queued, Running, Success or Failed."""

    name: str
    state: str


def queue_status() -> tuple[dict[str, Task], int]:
    """Return the tasks by identifier, and the number of workers.

    Raises:
        PotstillError: DVC fails again and again.
    """
    for _ in range(STATUS_ATTEMPTS):
        done = subprocess.run(["dvc", "queue", "status"], capture_output=True, text=True)
        if done.returncode == 0:
            workers = WORKERS.search(done.stdout)
            tasks = {task_id: Task(name, state) for task_id, name, state in TASK.findall(done.stdout)}
            return tasks, sum(map(int, workers.groups())) if workers else 0
        time.sleep(1)
    raise PotstillError(f"`dvc queue status` fails: {done.stderr or done.stdout}")


def start_workers(jobs: int) -> None:
    """Have DVC start the workers that are missing."""
    # Without pipes, which the workers would keep open.
    command = ["dvc", "queue", "start", "-j", str(jobs)]
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def mark_failed(name: str) -> None:
    """Have DVC mark an experiment without a process as failed, unless a worker still has it."""
    subprocess.run(["dvc", "queue", "kill", "--force", name], capture_output=True)


def is_alive(task_id: str) -> bool:
    """Return whether the process of a task runs."""
    try:
        pid = _task_file(task_id, "json")["pid"]
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (KeyError, ProcessLookupError):
        return False
    except OSError:
        return True


def fetch_result(task_id: str) -> bool:
    """Fetch the commit of a task from where it ran, if its worker has not; return whether Git has it now."""
    info = _task_file(task_id, "run")
    if not (ref := info.get("result_ref")):
        return False
    return _git("rev-parse", "--quiet", "--verify", ref) or _git("fetch", "--quiet", info["git_url"], f"{ref}:{ref}")


def failure_reason(name: str) -> str:
    """Return the last error in the log of an experiment: that of a stage or else of DVC."""
    log = subprocess.run(["dvc", "queue", "logs", name], capture_output=True, text=True).stdout
    errors = re.findall("^error: .*", log, re.M) or re.findall("^ERROR: .*", log, re.M)
    return errors[-1] if errors else "ended without an error message"


def _task_file(task_id: str, suffix: str) -> dict[str, Any]:
    """Return what DVC recorded of a task_id: `json` of its process, `run` of its result; empty before it does."""
    try:
        (path,) = Path(".dvc/tmp/exps/run").glob(f"{task_id}*/{task_id}*.{suffix}")
        return json.loads(path.read_text())
    except ValueError:
        return {}


def _git(*command: str) -> bool:
    return subprocess.run(["git", *command], capture_output=True).returncode == 0
