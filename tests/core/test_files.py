from potstill.core.start import run

import errno
import os
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import pandas as pd
import pytest
import torch
from dvc.repo import Repo
from safetensors.numpy import load_file

from potstill.core import errors, files
from potstill.core.errors import PotstillError
from potstill.core.workers import workers
from tests.project import ROOT


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_what_fails_leaves_the_old_and_nothing_else(tmp_path, kind):
    target = tmp_path / "out"

    def write(content, fail=False):
        with files.atomic_write(target) as part:
            if kind == "folder":
                part.mkdir()
                (part / "x").write_text(content)
            else:
                part.write_text(content)
            if fail:
                raise RuntimeError

    write("one")
    with pytest.raises(RuntimeError):
        write("two", fail=True)
    read = (target / "x" if kind == "folder" else target).read_text()
    assert read == "one"
    assert list(tmp_path.iterdir()) == [target]
    write("three")
    assert (target / "x" if kind == "folder" else target).read_text() == "three"


def test_json_is_the_same_for_the_same_value(tmp_path):
    files.write_json(tmp_path / "a", {"b": 1, "a": "ü"})
    files.write_json(tmp_path / "b", {"a": "ü", "b": 1})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert files.read_json(tmp_path / "a") == {"a": "ü", "b": 1}


def test_a_missing_or_broken_json_file_is_named(tmp_path):
    with pytest.raises(PotstillError, match="none: no such file"):
        files.read_json(tmp_path / "none")
    (tmp_path / "broken").write_text("{")
    with pytest.raises(PotstillError, match="broken: it cannot be read"):
        files.read_json(tmp_path / "broken")


def test_a_folders_hash_sees_names_and_contents(tmp_path):
    hashes = set()
    for name, content in (("a", "1"), ("b", "1"), ("a", "2")):
        folder = tmp_path / f"{name}{content}"
        folder.mkdir()
        (folder / name).write_text(content)
        hashes.add(files.sha256(folder))
    assert len(hashes) == 3


def test_folders_that_are_not_used_are_printed_and_kept(capsys, tmp_path):
    for name in ("a", "b", ".c.0123.part"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "mine.csv").touch()
    (tmp_path / "link").symlink_to("b")
    (tmp_path / ".gitignore").touch()
    files.warn_unused(tmp_path, ["a", "d"], "label.teachers")
    assert capsys.readouterr().err == (
        f"note: `label.teachers` does not list {tmp_path}/b, {tmp_path}/link. "
        "Move away what is not needed, as DVC treats it as an input.\n"
    )
    assert all((tmp_path / name / "mine.csv").is_file() for name in ("a", "b", ".c.0123.part", "link"))
    files.warn_unused(tmp_path, ["a", "b", "link"], "label.teachers")
    assert not capsys.readouterr().err


def test_a_user_error_is_one_line_and_a_defect_a_traceback(capsys, tmp_path):
    def mistake():
        raise PotstillError("this is wrong:\n do that")

    def unwritable():
        (tmp_path / "none" / "file").write_text("")

    def defect():
        raise ValueError

    for main, says in ((mistake, "error: this is wrong: do that"), (unwritable, "none/file: No such file")):
        with pytest.raises(SystemExit, match=says):
            run(main)
    with pytest.raises(ValueError):  # noqa: PT011
        run(defect)


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.EDQUOT, "Disk quota exceeded", "models/file"),
        RuntimeError("I/O error: No space left on device (os error 28)"),  # safetensors
        RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 64 vs 0"),  # torch
    ],
)
def test_a_full_disk_is_reported_as_one(error):
    def full():
        raise error

    def handled():
        try:
            full()
        except Exception:
            raise ValueError from None

    for main in (full, handled):
        with pytest.raises(SystemExit, match=r"^error: the disk is full, or a quota is reached\. Free some space"):
            run(main)


@pytest.mark.parametrize(
    ("error", "name"),
    [
        (OSError(errno.EFBIG, "File too large"), "a file"),
        (OSError(errno.EFBIG, "File too large", "models/file"), "models/file"),
        (OSError("Error writing bytes to file. Detail: [errno 27] File too large"), "a file"),  # pyarrow
        (RuntimeError("I/O error: File too large (os error 27)"), "a file"),  # safetensors
    ],
)
def test_a_limit_on_file_size_is_reported_as_one(error, name):
    assert errors.error_line(error) == (
        f"error: {name}: it would exceed the limit on file size. Raise the limit (`ulimit -f`)."
    )


def test_a_database_of_dvc_that_cannot_be_written_is_one_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path / "site"))
    Repo.init(no_scm=True).close()
    for path in (tmp_path / "site").rglob("cache.db"):
        path.unlink()
        path.mkdir()
    with pytest.raises(
        SystemExit, match=r"^error: DVC cannot use its database of file states .*set DVC_SITE_CACHE_DIR to another"
    ):
        run(Repo)


@pytest.mark.parametrize("allocate", [np.empty, torch.empty])
def test_too_little_memory_is_reported_as_such(allocate):
    with pytest.raises(SystemExit, match=r"^error: out of memory\. Free some, or raise the limit \(`ulimit -v`\)\.$"):
        run(lambda: allocate(1 << 58))


@pytest.mark.parametrize(
    "error", [MemoryError(), OSError("Failed to launch worker thread"), RuntimeError("std::bad_alloc")]
)
def test_a_file_is_not_damaged_where_memory_is_short(error):
    def read():
        with files.reading("a.parquet"):
            raise error

    with pytest.raises(SystemExit, match=r"^error: out of memory\. Free some"):
        run(read)


@pytest.mark.parametrize(
    ("command", "advice"),
    [
        ("src/teacher.py", "more `gradient_accumulation_steps`"),
        ("src/ablate.py", "a smaller `n_jobs`"),
        ("potstill", None),
    ],
)
def test_what_to_do_about_memory_fits_the_command(command, advice, monkeypatch):
    monkeypatch.setattr(sys, "argv", [command])
    said = errors.error_line(MemoryError())
    assert said.startswith("error: out of memory. ")
    assert ("Set " in said) == bool(advice)
    assert (advice or "Free some") in said


@pytest.mark.parametrize("name", ["pool.parquet", "model.safetensors"])
def test_a_damaged_file_is_reported_as_one(tmp_path, name):
    (tmp_path / name).write_bytes(b"PAR1 and nothing of use")
    read = pd.read_parquet if name == "pool.parquet" else load_file
    with pytest.raises(SystemExit, match=r"^error: a file is damaged \(.*\)\. Run `make verify` to find it"):
        run(lambda: read(tmp_path / name))


def die(number):
    if number:
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(60)


@pytest.mark.slow
def test_a_worker_that_is_killed_is_a_mistake_of_size_and_noticed_at_once(monkeypatch):
    start = ProcessPoolExecutor._adjust_process_count

    def slowly(pool):
        time.sleep(0.2)  # by now the pool's thread watches what is there
        start(pool)

    monkeypatch.setattr(ProcessPoolExecutor, "_adjust_process_count", slowly)
    began = time.monotonic()
    killed = pytest.raises(PotstillError, match="one of 2 processes was killed, most likely for lack of memory")
    with killed, workers(2) as pool:
        list(pool.map(die, range(2)))
    assert time.monotonic() - began < 30


@pytest.mark.parametrize("script", sorted((ROOT / "src").glob("*.py")), ids=lambda path: path.stem)
@pytest.mark.slow
def test_a_stage_in_the_wrong_folder_says_so(script, tmp_path):
    needed = ["--budget", "1000"] if script.stem == "search" else []
    done = subprocess.run([sys.executable, script, *needed], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["minilm2", "", "../../x", "\x1b[31m", "minilm"])
@pytest.mark.slow
def test_only_a_teacher_that_labels_can_be_labelled_with(name, tmp_path):
    shutil.copy(ROOT / "params.yaml", tmp_path)
    (tmp_path / "dvc.yaml").touch()
    (tmp_path / "data" / "pool").mkdir(parents=True)
    pd.DataFrame({"text": ["a"], "source": "train"}).to_parquet(tmp_path / "data" / "pool" / "pool.parquet")
    command = [sys.executable, ROOT / "src" / "label.py", name]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1
    said = done.stderr.splitlines()[-1]
    if name == "minilm":  # which is not trained yet
        assert said == "error: models/teacher/minilm: no such file. Run `dvc repro` (or `dvc pull`) to create it."
    else:
        assert done.stderr == "error: usage: python src/label.py NAME, one of minilm\n"
        assert not (tmp_path / "metrics").exists()
