"""What happens when something dies half-way: the real thing is killed or broken, in scratch clones."""

import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import time

import psutil
import pytest

from potstill.core import paths
from tests.project import ENVIRONMENT, RAN, hashes, kill, run, started, until

pytestmark = [pytest.mark.slow, pytest.mark.faults]

STAGES = (
    "prepare", "baseline", "teacher", "pool", "label", "ensemble", "student", "export", "ablate", "evaluate", "report",
)  # fmt: skip


def seconds(origin):
    """How long each stage took where nothing disturbed it."""
    found = {}
    for stage in STAGES:
        folder = origin / paths.RESOURCES
        (path, *_) = [*folder.glob(f"{stage}.json"), *folder.glob(f"{stage}/*.json")]
        found[stage] = json.loads(path.read_text())["seconds"]
    return found


def running(log):
    """The stage that DVC says it runs, without what follows an @."""
    return (RAN.findall(log()) or [""])[-1].split("@")[0]


def test_killed_in_every_stage_it_ends_with_the_same_outputs(origin, clone):
    (clone / "dvc.lock").unlink()  # as before the first run
    rng = random.Random(os.environ.get("POTSTILL_SEED"))
    left, killed = dict.fromkeys(STAGES), []
    took = seconds(origin)
    while left:
        with started(clone, "dvc", "repro") as (process, log):
            if not until(lambda: running(log) in left, process):
                assert process.returncode == 0, log()
                break
            stage = running(log)
            time.sleep(rng.uniform(0, 0.5 + took[stage]))
            kill(process)
            killed.append((stage, running(log)))
            del left[stage]
        # What is there is whole, or is not used: a leading dot is never an output.
        assert not [path for path in (clone / "models").rglob("*.part") if not path.name.startswith(".")]
    run(clone, "dvc", "repro")
    assert [stage for stage, _ in killed] == list(STAGES), killed
    assert hashes(clone) == hashes(origin)
    assert run(clone, "git", "status", "--porcelain") == " M dvc.lock\n"
    assert not list(clone.rglob("*.part"))


def test_the_same_parameters_give_the_same_bytes(origin, clone):
    (clone / "dvc.lock").unlink()
    run(clone, "dvc", "repro")
    assert hashes(clone) == hashes(origin)
    assert run(clone, "git", "status", "--porcelain") == " M dvc.lock\n"  # which has the hashes of the speeds


def test_a_pause_changes_nothing(origin, clone):
    (clone / "dvc.lock").unlink()
    with started(clone, "dvc", "repro") as (process, log):
        for stage in ("teacher", "student"):  # a laptop's lid is closed and opened
            assert until(lambda stage=stage: running(log) == stage, process), log()
            kill(process, signal.SIGSTOP)
            before = log()
            time.sleep(3)
            assert log() == before
            kill(process, signal.SIGCONT)
        assert process.wait(300) == 0, log()
    assert hashes(clone) == hashes(origin)
    assert run(clone, "git", "status", "--porcelain") == " M dvc.lock\n"


def test_two_at_once_do_not_disturb_each_other(origin, clone):
    (clone / "dvc.lock").unlink()
    with started(clone, "dvc", "repro") as (process, log):
        assert until(lambda: running(log) == "teacher", process), log()
        second = run(clone, "dvc", "repro", fails=True)
        assert f"(PID {process.pid})" in second
        assert "Traceback" not in second
        assert process.wait(300) == 0, log()
    assert hashes(clone) == hashes(origin)


@pytest.fixture
def small_disk(origin, tmp_path):
    """A clone, pulled, on a disk of its own, and a function that leaves so many kilobytes of room there."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=100m", "tmpfs", disk], capture_output=True).returncode:
        pytest.skip("making a disk takes root")
    folder, ballast = disk / "clone", disk / "ballast"

    def leave(kilobytes):
        ballast.unlink(missing_ok=True)
        ballast.write_bytes(bytes(max(0, shutil.disk_usage(disk).free - 1024 * kilobytes)))

    run(disk, "git", "clone", "--quiet", str(origin), folder)
    run(folder, "dvc", "pull")
    yield folder, leave
    subprocess.run(["umount", disk], check=True)


@pytest.mark.parametrize("kilobytes", [0, 250])  # not even a line; and some files, of the teacher not all
def test_a_full_disk_ends_in_one_line_and_leaves_nothing_half_written(origin, small_disk, kilobytes):
    folder, leave = small_disk
    for stage in STAGES:
        leave(kilobytes)
        before = {path: path.read_bytes() for path in folder.glob("models/*/*") if path.is_file()}
        script = ["python", f"src/{stage}.py", *(["minilm"] if stage in ("teacher", "label") else [])]
        done = subprocess.run(script, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, timeout=300)
        if done.returncode or not kilobytes:
            assert done.returncode == 1
            (line,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
            assert line == "error: the disk is full, or a quota is reached. Free some space, and run this again."
            assert "Traceback" not in done.stderr
            after = {path: path.read_bytes() for path in folder.glob("models/*/*") if path.is_file()}
            assert after == before
        assert not list(folder.rglob("*.part"))
        leave(60_000)
        run(folder, "git", "checkout", "--quiet", "metrics")
        run(folder, "dvc", "checkout", "--force")
    leave(60_000)
    (folder / "dvc.lock").unlink()
    run(folder, "dvc", "repro", "--force")
    assert hashes(folder) == hashes(origin)


def test_a_worker_that_the_system_kills_is_reported(pulled):
    def busy():
        children = psutil.Process(process.pid).children(recursive=True)
        return [child for child in children if "spawn_main" in " ".join(child.cmdline())]

    with started(pulled, "python", "src/ablate.py") as (process, log):
        assert until(lambda: len(busy()) == 2, process), log()
        busy()[-1].kill()  # as a system does that runs out of memory
        assert process.wait(60) == 1, log()
    assert "error: one of 2 processes was killed, most likely for lack of memory. Run fewer at a time." in log()
    assert "Traceback" not in log()


@pytest.mark.parametrize("where", ["cache", "workspace"])
def test_a_damaged_file_is_found_and_replaced(origin, pulled, where):
    assert "files checked" in run(pulled, "python", "-m", "potstill", "verify")
    student = pulled / "models/export/student.pot"
    digest = hashlib.md5(student.read_bytes()).hexdigest()
    damaged = pulled / ".dvc/cache/files/md5" / digest[:2] / digest[2:] if where == "cache" else student
    mode, times = damaged.stat().st_mode, damaged.stat()
    damaged.chmod(0o644)
    content = damaged.read_bytes()
    damaged.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    damaged.chmod(mode)  # DVC believes in files of its cache that nobody may write to
    os.utime(damaged, ns=(times.st_atime_ns, times.st_mtime_ns))
    told = run(pulled, "python", "-m", "potstill", "verify", fails=True)
    said = {"cache": "damaged in the cache, and moved to .dvc/cache/damaged", "workspace": "and kept"}
    assert f"{said[where]}: models/export/student.pot. " in told
    assert damaged.exists() == (where == "workspace")
    run(pulled, "dvc", "pull", "--force")
    assert student.read_bytes() == (origin / "models/export/student.pot").read_bytes()
    assert "files checked" in run(pulled, "python", "-m", "potstill", "verify")
