"""The user's own files: CSV, TSV, JSONL, Parquet, and `text;label` lines without a header."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from potstill.bulk import formats
from potstill.bulk.asked import BadRows, row_unit
from potstill.bulk.read import read as read_table
from potstill.corpus.dataset import SPLITS
from potstill.corpus.tables import Raw, Table, by_name, columns, joined
from potstill.errors import PotstillError
from potstill.params.prepare import PrepareParams

# How data sets name the parts of a split; some add a hash.
SHARD = re.compile(r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})(?P<hash>-[0-9a-f]+)?")

# A table that takes more bytes of memory than this, and so many times its file's, is a bomb. A row takes some on top of
# its characters.
LARGE, RATIO, ROW = 1 << 28, 300, 50


def read(params: PrepareParams) -> Raw:
    """Read the files that `prepare.path` holds.

    Raises:
        PotstillError: a file is missing, outside `prepare.path`, ambiguous, empty, not UTF-8 or not
            of its format, or lacks a column, a text or a label.
    """
    folder = Path(params.path)
    if not folder.is_dir():
        _check_file(folder, "set `prepare.path` to your folder or file")
        for key in ("train", "validation", "test", "unlabelled"):
            if getattr(params, key):
                raise PotstillError(
                    f"`prepare.{key}` is set, but `prepare.path` is the single file {folder}: "
                    f"set `prepare.path` to the folder that holds both, or `prepare.{key}` to null"
                )
        return Raw({"train": _labelled(folder, params)})

    there = _there(folder)
    first = {names[0]: names for names in there.values()}
    folders = [(stem, names[0]) for stem, names in _there(folder, folders=True).items()]
    splits = {}
    for split in SPLITS:
        key, given = f"prepare.{split}", getattr(params, split)
        name = by_name(split, [(stem, names[0]) for stem, names in there.items()], given, key)
        if name is None and (name := by_name(split, folders, None, key)):
            _inside(folder, name, key)  # refuses it
        if name is not None:
            names = [name] if given is not None else _parts(folder, split, first[name])
            splits[split] = joined([_labelled(_inside(folder, one, key), params) for one in names])
    if "train" not in splits:
        raise PotstillError(
            f"{folder} holds no train split, a file train with the ending {formats.NAMED}: "
            "set `prepare.train` to your file's name"
        )
    texts = [_inside(folder, name, "prepare.unlabelled") for name in params.unlabelled]
    return Raw(splits, [_unlabelled(path, params) for path in texts])


def _there(folder: Path, folders: bool = False) -> dict[str, list[str]]:
    """The names of a folder's tables by their stems, those of the parts of a split under one.

    With `folders`, those of folders that are called like tables.
    """
    found: dict[str, list[str]] = {}
    for path in sorted(folder.iterdir()):
        if path.is_dir() == folders and (name := formats.parse(path.name)):
            shard = SHARD.fullmatch(name.stem)
            found.setdefault(shard["stem"] if shard else name.stem, []).append(path.name)
    return found


def _parts(folder: Path, split: str, names: list[str]) -> list[str]:
    """The files of a split that was found by its name, all parts of it in their order."""
    parts = [part for part in (SHARD.match(name) for name in names) if part]
    if not parts and len(names) == 1:
        return names
    if len(parts) < len(names):
        raise PotstillError(f"{' and '.join(names)} both look like the {split} split: set `prepare.{split}` to one")
    count = max(int(part["count"]) for part in parts)
    found = [(int(part["number"]), int(part["count"])) for part in parts]
    expected = [(number, count) for number in range(count)]
    if lacking := sorted(set(expected) - set(found)):
        raise PotstillError(
            f"{folder}: part {lacking[0][0]} of {parts[0]['stem']}, {parts[0]['stem']}-{lacking[0][0]:05d}-of-"
            f"{count:05d}, is missing ({len(found)} of {count} files are there). Fetch it, or set `prepare.{split}` to "
            "one file"
        )
    if found != expected:
        raise PotstillError(
            f"{folder}: {' and '.join(names)} are parts of more than one {split} split: keep those of one"
        )
    return names


def _inside(folder: Path, name: str, key: str) -> Path:
    # Not resolved, because a link inside the folder is inside the folder, to DVC too.
    path = folder / name
    if not Path(os.path.abspath(path)).is_relative_to(os.path.abspath(folder)):
        raise PotstillError(
            f"`{key}` names {path}, which is outside `prepare.path` ({folder}), where DVC would not see "
            "it change: move it there, or set `prepare.path` to a folder that holds all files"
        )
    _check_file(path, f"set `{key}` to a file in {folder}")
    return path


def _check_file(path: Path, advice: str) -> None:
    """Refuse what is no regular file, which DVC could not watch."""
    if path.is_file():
        return
    what = "does not exist"
    if path.is_dir():
        what = "is a folder"
    elif path.exists():
        what = "is a pipe or a device"
    elif path.is_symlink():
        what = f"is a link to {os.readlink(path)}, which does not exist"
    raise PotstillError(f"{path} {what}: {advice}")


def _labelled(path: Path, params: PrepareParams) -> Table:
    if _format(path) != "txt":
        wanted = [params.text, params.label]
        numbers, values = _load(path, wanted)
        frame = pd.DataFrame(dict(zip(("text", "label"), values, strict=True)), dtype=object)
        return columns(frame, str(path), "text", "label", params.multi_label, numbers, row_unit(_format(path)))
    numbers, [lines] = _load(path, ["text"])
    split = [line.rpartition(";") for line in lines]
    for number, (_, semicolon, _) in zip(numbers, split, strict=True):
        if not semicolon:
            raise PotstillError(
                f"{path}: line {number} has no semicolon. Every line of a .txt with labels is `text;label`"
            )
    frame = pd.DataFrame([(text, label) for text, _, label in split], columns=["text", "label"], dtype=object)
    return columns(frame, str(path), "text", "label", params.multi_label, numbers, "line")


def _unlabelled(path: Path, params: PrepareParams) -> Table:
    numbers, [texts] = _load(path, [params.text])
    frame = pd.DataFrame({"text": texts}, dtype=object)
    return columns(frame, str(path), "text", None, False, numbers, row_unit(_format(path)))


def _format(path: Path) -> formats.Format:
    found = formats.parse(path.name)
    if not found:
        raise PotstillError(f"{path} is of no known format. Known endings: {formats.NAMED}")
    return found.format


def _load(path: Path, wanted: list[str]) -> tuple[list[int], list[list[Any]]]:
    """The numbers of a table's rows, and its columns; blank lines of a .txt are passed over."""
    kind = _format(path)
    keys = ("text", "label")
    numbers: list[int] = []
    values: list[list[Any]] = [[] for _ in wanted]
    size, most = 0, max(LARGE, RATIO * path.stat().st_size)
    for part, columns_ in _batches(path, kind, wanted, lambda column: f"Set `prepare.{keys[wanted.index(column)]}`"):
        numbers.extend(part)
        for column, more in zip(values, columns_, strict=True):
            column.extend(more)
        size += sum(map(len, columns_[0])) + ROW * len(columns_[0])
        if size > most:
            raise PotstillError(
                f"{path} unpacks to more than {RATIO} times its {path.stat().st_size:,} bytes. Such a file is made to "
                "exhaust memory"
            )
    if not numbers:
        raise PotstillError(f"{path} is empty: it needs at least one row")
    return numbers, values


def _batches(path: Path, kind: formats.Format, wanted: list[str], advice: Any) -> Iterator[tuple[Any, list[Any]]]:
    for batch in read_table(str(path), kind, wanted, BadRows(advice="Correct it or remove the row"), advice):
        texts = batch.texts if kind != "parquet" else batch.texts.to_pylist()
        if kind == "txt":
            kept = [(number, text) for number, text in zip(batch.numbers, texts, strict=True) if text.strip()]
            yield [number for number, _ in kept], [[text for _, text in kept]]
        else:
            yield batch.numbers, [texts, *batch.others]
