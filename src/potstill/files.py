"""Writing files so that they appear whole or not at all, and hashing them."""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from potstill.errors import PotstillError, said


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


@contextmanager
def reading(path: Any) -> Iterator[None]:
    """Name the file that is missing, damaged or of another shape, of which libraries say so by errors of many types.

    Args:
        path: the file. All that the block does is to read it, and to check what it holds.

    Raises:
        PotstillError: the block has raised anything but a lack of memory or of a permission.
    """
    try:
        yield
    except (PotstillError, MemoryError, PermissionError):
        raise
    except FileNotFoundError:
        raise PotstillError(f"{path} is missing: run `dvc repro` (or `dvc pull`) to make it") from None
    except Exception as error:
        raise PotstillError(
            f"{path} cannot be read ({said(error)}): if a stage wrote it, run `make verify`, then `dvc repro`"
        ) from None


def read_json(path: Path, *keys: str, kind: Any = dict) -> Any:
    """Read a JSON file, or what it holds under some keys, one inside the other, a value of type `kind`.

    Raises:
        PotstillError: the file is missing, not JSON, or holds no value of this kind there; all say which file.
    """
    with reading(path):
        value = json.loads(path.read_text("utf-8"))
        for key in keys:
            if not isinstance(value, dict) or key not in value:
                raise ValueError(f"no key {key!r}")
            value = value[key]
        if not isinstance(value, kind):
            raise ValueError(f"{type(value).__name__} instead of {getattr(kind, '__name__', kind)}")
        return value


def read_names(path: Path, *keys: str) -> list[str]:
    """Read a list of strings from a JSON file, as `read_json` does."""
    names = read_json(path, *keys, kind=list)
    with reading(path):
        if not all(isinstance(name, str) for name in names):
            raise ValueError("a name that is not a string")
    return names


def kept(path: Path, valid: Callable[[Any], bool]) -> Any:
    """Read the JSON file that an earlier run left to go on from.

    Returns:
        What it holds; None where there is none, or one that is damaged or not `valid`, which is said, and removed.
    """
    if not path.exists():
        return None
    with suppress(PotstillError):
        value = read_json(path, kind=object)
        if valid(value):
            return value
    discard(path)
    return None


def discard(path: Path) -> None:
    """Remove what an earlier run left to go on from, and say that it is made again."""
    print(f"note: {path} is damaged, or of another version, and is made again")
    _remove(path)


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
