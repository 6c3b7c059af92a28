"""Errors of the machine are one line that says what to do."""

from potstill.core.start import run

import errno
import sys

import numpy as np
import pandas as pd
import pytest
import torch
from dvc.repo import Repo
from safetensors.numpy import load_file

from potstill.core import errors


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


@pytest.mark.slow
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
