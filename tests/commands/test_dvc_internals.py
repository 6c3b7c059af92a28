"""The faults of DVC that `potstill.commands.dvc_internals` works around are still there.

A test that fails here means that DVC has mended the fault: remove what works around it, and the test.
"""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from dvc.repo import Repo
from dvc.repo.experiments.executor.base import ExecutorInfo, TaskStatus
from dvc.repo.experiments.refs import ExpRefInfo
from dvc_data import index
from kombu import Connection

from tests.project import ENVIRONMENT

pytestmark = pytest.mark.slow

REMOTE = Path("remote")
FOLDER, FILE = Path("folder"), Path("folder/file")


@pytest.fixture(autouse=True)
def repo(tmp_path, monkeypatch):
    """A repository with a folder of one file, which is pushed."""
    (tmp_path / "project").mkdir()
    monkeypatch.chdir(tmp_path / "project")
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path / "site"))
    FOLDER.mkdir()
    FILE.write_text("content")
    with Repo.init(no_scm=True) as made, made.config.edit() as config:
        config["remote"]["store"] = {"url": str(REMOTE.absolute())}
        config["core"]["remote"] = "store"
    with Repo() as opened:
        opened.add([str(FOLDER)])
        opened.push()
        yield opened


def objects(repo, store):
    """The list of the folder's files, and the file, in a store."""
    value = next(out.hash_info.value for out in repo.index.outs)
    path = Path(repo.cache.local.oid_to_path(value))
    [member] = json.loads(path.read_bytes())
    return [store / "files/md5" / name[:2] / name[2:] for name in (value, member["md5"])]


def overwrite(path, content, mode=0o444):
    path.chmod(0o644)
    path.write_text(content)
    path.chmod(mode)


def mended(issue, workaround):
    return f"DVC has mended {issue}: remove {workaround} from potstill"


def test_damage_in_the_cache_is_checked_out(repo):
    _, cached = objects(repo, Path(repo.cache.local_cache_dir))
    overwrite(cached, "damaged")
    shutil.rmtree(FOLDER)
    with Repo() as again:
        again.checkout()
    assert FILE.read_text() == "damaged", mended("#5978", "`clean_cache`")


def test_damage_that_keeps_size_and_time_is_not_noticed(repo):
    before = FILE.stat()
    overwrite(FILE, "CONTENT", before.st_mode)
    os.utime(FILE, ns=(before.st_atime_ns, before.st_mtime_ns))
    with Repo() as again:
        assert not again.status(), mended("#9561", "`check_workspace` and `record_hash`")


def test_a_push_takes_half_a_file_for_the_whole(repo):
    stored = objects(repo, REMOTE)[1]
    overwrite(stored, "con")
    with Repo() as again:
        again.push()
    assert stored.read_text() == "con", mended("#10498", "the sizes that `repair` compares")


def test_a_push_does_not_look_into_a_folder_that_the_remote_has(repo):
    stored = objects(repo, REMOTE)[1]
    stored.unlink()
    with Repo() as again:
        again.push()
    assert not stored.exists(), mended("#11011", "`lacking` in `repair`")


def test_a_killed_push_leaves_an_index_that_the_next_one_believes(repo, monkeypatch):
    shutil.rmtree(REMOTE)
    Path("notes").write_text("more")
    collected = []

    def collect(*args, **kwargs):
        collected.append(args)
        if len(collected) == 2:
            raise KeyboardInterrupt
        real(*args, **kwargs)

    real = index.collect._collect_from_index
    with Repo() as again:
        again.add(["notes"])
    with monkeypatch.context() as patch, Repo() as again:
        patch.setattr(index.collect, "_collect_from_index", collect)
        with pytest.raises(KeyboardInterrupt):
            again.push()
    with Repo() as again:
        again.push()
        assert pushed() < 3, mended("the index of a killed push", "`drop_data_index` in `potstill push`")
        again.drop_data_index()
        again.push()
    assert pushed() == 3


def pushed():
    return sum(path.is_file() for path in REMOTE.rglob("*"))


def test_a_worker_can_read_half_an_exchange(tmp_path):
    """A new file is empty until its writer has the lock; reading it then ends a worker."""
    options = {name: str(tmp_path) for name in ("data_folder_in", "data_folder_out", "control_folder")}
    (tmp_path / "reply.celery.pidbox.exchange").touch()
    with Connection("filesystem://", transport_options=options) as connection:
        try:
            connection.default_channel.get_table("reply.celery.pidbox")
        except ValueError:
            return
    pytest.fail(mended("#10673 (treeverse/dvc-task#73)", "the restarts of workers in `potstill queue`"))


@pytest.fixture
def queue(tmp_path, monkeypatch):
    """DVC's queue with one experiment in it, as a worker leaves it that was killed after it had taken it."""
    (tmp_path / "queued").mkdir()
    monkeypatch.chdir(tmp_path / "queued")
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    Path("params.yaml").write_text("a: 1\n")
    Path("dvc.yaml").write_text(json.dumps({"stages": {"train": {"cmd": "true", "params": ["a"]}}}))
    for command in ("git init -q", "dvc init -q", "git add -A", "git commit -qm one", "dvc exp run --queue -S a=2"):
        subprocess.run(command.split(), check=True, capture_output=True)
    with Repo() as opened:
        broker = Path(opened.experiments.celery_queue.wdir) / "broker"
        [message] = (broker / "in").iterdir()
        message.rename(broker / "processed" / message.name)
        yield opened.experiments.celery_queue


def test_an_experiment_whose_worker_was_killed_stays_running(queue):
    assert not queue.worker_status()
    [task] = queue.status()
    assert task["status"] == "Running", mended("#8702", "`is_alive` and `mark_failed`")


def test_an_experiment_whose_commit_was_not_fetched_is_a_success(queue):
    [(message, entry)] = queue._iter_processed()
    queue.celery.backend.store_result(message.headers["id"], None, "SUCCESS")
    ref = ExpRefInfo(entry.baseline_rev, "lost")
    result = {"result_hash": "0" * 64, "result_ref": str(ref), "status": TaskStatus.SUCCESS}
    info = ExecutorInfo("git", entry.baseline_rev, "local", ".", ".dvc", name="lost", **result)
    info.dump_json(queue.get_infofile_path(entry.stash_rev))
    [task] = queue.status()
    assert task["status"] == "Success", mended("the success of lost experiments", "`fetch_result`")
    assert not queue.scm.get_ref(str(ref))
