"""Writing files so that they appear whole or not at all, and hashing them."""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from potstill.errors import PotstillError


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Give a path beside `path` to write a file or a folder to; rename it to `path` at the end.

    What stood at `path` is replaced. If the block raises, `path` stays as it was.
    """
    part = path.with_name(f".{path.name}.part")
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove(part)
    try:
        yield part
        _sync(part)
        if path.is_dir():
            shutil.rmtree(path)
        os.replace(part, path)
    finally:
        _remove(part)


def _sync(path: Path) -> None:
    """Have all of it on the disk, so that not even a power cut leaves a name without its contents."""
    for file in path.rglob("*") if path.is_dir() else [path]:
        if file.is_file():
            with file.open("rb") as stream:
                os.fsync(stream.fileno())


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file."""
    with whole(path) as part:
        part.write_text(text, "utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write `value` as JSON with sorted keys, so that equal values give equal bytes."""
    write_text(path, json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        PotstillError: the file is missing or no JSON; both say which file.
    """
    try:
        return json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise PotstillError(f"{path} is missing: run `dvc repro` (or `dvc pull`) to make it") from None
    except ValueError as error:
        raise PotstillError(f"{path} is not valid JSON ({error}): delete it and run `dvc repro`") from None


def key(*facts: Any) -> str:
    """Name a scratch folder or file by what the work in it depends on: 16 hexadecimal digits."""
    return hashlib.sha256(" ".join(map(str, facts)).encode()).hexdigest()[:16]


def sha256(path: Path) -> str:
    """Hash a file, or a folder's file names and contents, as hexadecimal SHA-256."""
    digest = hashlib.sha256()
    files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    for file in files:
        if path.is_dir():
            digest.update(file.relative_to(path).as_posix().encode() + b"\0")
        with file.open("rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def size(path: Path) -> int:
    """Bytes of a file, or of all files in a folder."""
    return sum(p.stat().st_size for p in path.rglob("*") if p.is_file()) if path.is_dir() else path.stat().st_size


def keep_only(folder: Path, names: list[str]) -> None:
    """Remove the folders of `folder` that are not called one of `names`.

    DVC leaves the output of a stage that is no longer listed; it must not count as an input of another.
    """
    for path in folder.iterdir():
        if path.is_dir() and path.name not in names:
            shutil.rmtree(path)
