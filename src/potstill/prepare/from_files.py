"""Read the user's files: CSV, TSV, JSONL, Parquet, and .txt with lines of `text;label`."""

import os
import re
from pathlib import Path
from typing import Any

import pandas as pd

from potstill.core.errors import PotstillError
from potstill.core.labels import JOINT
from potstill.data.dataset import SPLITS
from potstill.prepare.params import PrepareParams
from potstill.readers import formats, propose
from potstill.readers.problems import Problems
from potstill.readers.read import read as read_table
from potstill.readers.request import Advise, Location, row_unit
from potstill.readers.tables import RawData, Table, concatenate, find_split, make_table

# How the files of a sharded split are named; some data sets add a hash.
SHARD = re.compile(r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})(?P<hash>-[0-9a-f]+)?")

# What the names of files begin with that hold labels given later.
LABEL_FILES = ("to_label", "suspects")
SPREADSHEETS = (".xlsx", ".xls", ".ods", ".numbers")
# The report puts an apostrophe before a text that a spreadsheet would take for a formula.
ESCAPE = re.compile(r"^'(?=[=+\-@\t\r])")

# A table of more than LARGE bytes in memory, and RATIO times the bytes of its file, is a decompression bomb. A row
# takes about ROW bytes in addition to its characters.
LARGE, RATIO, ROW = 1 << 28, 300, 50


def read(params: PrepareParams) -> RawData:
    """Read the files that `prepare.path` holds.

    Raises:
        PotstillError: a file is missing, outside `prepare.path`, ambiguous, empty, not UTF-8 or not of its format, or
            has no such column, or a row with a text but no label.
    """
    folder = Path(params.path)
    if not folder.is_dir():
        _check_file(folder, "Set `prepare.path` to your folder or file.")
        for key in ("train", "validation", "test", "unlabelled"):
            if getattr(params, key):
                raise PotstillError(
                    f"`prepare.{key}` is set, but `prepare.path` is the single file {folder}. Set `prepare.path` to "
                    f"the folder that holds both, or `prepare.{key}` to null."
                )
        return RawData({"train": _split(folder, params, "train")})

    tables = _tables(folder)
    first = {names[0]: names for names in tables.values()}
    folders = [(stem, names[0]) for stem, names in _tables(folder, folders=True).items()]
    splits = {}
    for split in SPLITS:
        key, given = f"prepare.{split}", getattr(params, split)
        name = find_split(split, [(stem, names[0]) for stem, names in tables.items()], given, key)
        if name is None and (name := find_split(split, folders, None, key)):
            _inside(folder, name, key)  # raises, as it is a folder
        if name is not None:
            names = [name] if given is not None else _shards(folder, split, first[name])
            splits[split] = concatenate([_split(_inside(folder, one, key), params, split) for one in names])
    if "train" not in splits:
        raise PotstillError(
            f"{folder}: no train split (a file named train with the ending {formats.NAMED}). Set `prepare.train` to "
            "the name of your file."
        )
    texts = [_inside(folder, name, "prepare.unlabelled") for name in params.unlabelled]
    return RawData(splits, [_unlabelled(path, params) for path in texts])


def read_unlabelled(path: Path, params: PrepareParams) -> Table:
    """Read a file of unlabelled texts, wherever it is.

    Raises:
        PotstillError: as `read`.
    """
    _check_file(path, "Name another file.")
    return _unlabelled(path, params)


def read_labels(params: PrepareParams) -> Table | None:
    """Read the rows with a label of the label files that `prepare.path` holds; None if there are none.

    These are the files whose names begin with `to_label` or `suspects`, in the order of their names, with the columns
    of a report's files whatever those of the data are. A multi-label text without a label has `|` as its label.

    Raises:
        PotstillError: as `read`.
    """
    folder = Path(params.path)
    if not folder.is_dir():
        return None
    for path in folder.iterdir():
        if path.name.casefold().startswith(LABEL_FILES) and path.suffix.lower() in SPREADSHEETS:
            raise PotstillError(f"{path}: a spreadsheet, which cannot be read. Save it as CSV, and move it away.")
    found = [names for stem, names in _tables(folder).items() if stem.casefold().startswith(LABEL_FILES)]
    tables = [_filled_in(_inside(folder, name, "prepare.path"), params) for names in found for name in names]
    filled_in = [table for table in tables if table is not None]
    if filled_in and params.label is None:
        raise PotstillError(
            f"{filled_in[0].name}: it has labels, but `prepare.label` is null, so train has none. Remove it, or set "
            "`prepare.label` and add its rows to a train file."
        )
    return concatenate(filled_in) if filled_in else None


def _filled_in(path: Path, params: PrepareParams) -> Table | None:
    """Return the rows of a label file that have a label; None if there are none."""
    if _format(path) == "txt":
        raise PotstillError(f"{path}: must be a table with the columns text and label. Save it as CSV, or rename it.")
    columns_of = params.model_copy(update={"text": ["text"]})
    problems = Problems()
    numbers, (texts, labels) = _load(path, columns_of, problems, "label", lambda _: "Add it, or rename the file")
    kept = [i for i, label in enumerate(labels) if label is not None and label == label and str(label).strip()]
    if not kept:
        problems.check()
        return None
    given = [ESCAPE.sub("", label) if isinstance(label, str) else label for label in labels]
    chosen: list[Any] = [[] if params.multi_label and given[i] == JOINT else given[i] for i in kept]
    known = [ESCAPE.sub("", texts[i] or "") for i in kept]
    frame = pd.DataFrame({"text": known, "label": pd.Series(chosen, dtype=object)}, dtype=object)
    unit = row_unit(_format(path))
    return make_table(frame, str(path), params.multi_label, [numbers[i] for i in kept], unit, problems)


def _tables(folder: Path, folders: bool = False) -> dict[str, list[str]]:
    """Return the names of a folder's tables by their stems; the shards of a split share one.

    With `folders`, return the names of folders that are named like tables.
    """
    found: dict[str, list[str]] = {}
    for path in sorted(folder.iterdir()):
        if path.is_dir() == folders and (name := formats.parse(path.name)):
            shard = SHARD.fullmatch(name.stem)
            found.setdefault(shard["stem"] if shard else name.stem, []).append(path.name)
    return found


def _shards(folder: Path, split: str, names: list[str]) -> list[str]:
    """Return the files of a split that was found by its name, all shards of it in their order."""
    shards = [shard for shard in (SHARD.match(name) for name in names) if shard]
    if not shards and len(names) == 1:
        return names
    if len(shards) < len(names):
        raise PotstillError(f"{folder}: both {' and '.join(names)} could be {split}. Set `prepare.{split}` to one.")
    count = max(int(shard["count"]) for shard in shards)
    present = [(int(shard["number"]), int(shard["count"])) for shard in shards]
    expected = [(number, count) for number in range(count)]
    if missing := sorted(set(expected) - set(present)):
        shard = f"{shards[0]['stem']}-{missing[0][0]:05d}-of-{count:05d} (found: {len(present)} of {count} shards)"
        raise PotstillError(f"{folder}: no {shard}. Add it, or set `prepare.{split}` to one file.")
    if present != expected:
        both = " and ".join(names)
        raise PotstillError(f"{folder}: {both} are shards of more than one {split} split. Keep those of one.")
    return names


def _inside(folder: Path, name: str, key: str) -> Path:
    # Links are not resolved: to DVC, too, a link inside the folder is inside the folder.
    path = folder / name
    if not Path(os.path.abspath(path)).is_relative_to(os.path.abspath(folder)):
        raise PotstillError(
            f"`{key}`: {path} is outside `prepare.path` ({folder}), so DVC would not notice changes of it. Move it "
            "there, or set `prepare.path` to a folder that holds all files."
        )
    _check_file(path, f"Set `{key}` to a file in {folder}.")
    return path


def _check_file(path: Path, advice: str) -> None:
    """Raise an error for what is not a regular file, since DVC could not track it."""
    if path.is_file():
        return
    fault = "no such file"
    if path.is_dir():
        fault = "it is a folder"
    elif path.exists():
        fault = "it is a pipe or a device"
    elif path.is_symlink():
        fault = f"it is a link to {os.readlink(path)}, which does not exist"
    raise PotstillError(f"{path}: {fault}. {advice}")


def _split(path: Path, params: PrepareParams, split: str) -> Table:
    label = params.label_of(split)
    return _unlabelled(path, params) if label is None else _labelled(path, params, label)


def _labelled(path: Path, params: PrepareParams, label: str) -> Table:
    problems, unit = Problems(), row_unit(_format(path))
    numbers, columns = _load(path, params, problems, label)
    if _format(path) == "txt":
        lines = list(zip(numbers, *columns, strict=True))
        for number, line in lines:
            if ";" not in line:
                fault = "has no semicolon. Write every line of a labelled .txt as `text;label`."
                problems.add(Location(str(path), unit, number), fault)
        numbers = [number for number, line in lines if ";" in line]
        parts = [line.rpartition(";") for _, line in lines if ";" in line]
        columns = [[text for text, _, _ in parts], [label for _, _, label in parts]]
    frame = pd.DataFrame(dict(zip(("text", "label"), columns, strict=True)), dtype=object)
    return make_table(frame, str(path), params.multi_label, numbers, unit, problems)


def _unlabelled(path: Path, params: PrepareParams) -> Table:
    problems = Problems()
    numbers, [texts] = _load(path, params, problems)
    frame = pd.DataFrame({"text": texts}, dtype=object)
    return make_table(frame, str(path), False, numbers, row_unit(_format(path)), problems)


def _format(path: Path) -> formats.Format:
    parsed = formats.parse(path.name)
    if not parsed:
        raise PotstillError(f"{path}: unknown format. Save it as one of {formats.NAMED}.")
    return parsed.format


def _load(
    path: Path,
    params: PrepareParams,
    problems: Problems,
    label: str | None = None,
    advise: Advise | None = None,
) -> tuple[list[int], list[list[Any]]]:
    """Return the numbers of a table's rows, their texts and the column of labels, if it is named; or the lines of .txt.

    Blank lines of a .txt are skipped.
    """
    kind = _format(path)
    wanted = params.text if label is None else [*params.text, label]
    numbers: list[int] = []
    columns: list[list[Any]] = [[] for _ in (["lines"] if kind == "txt" or label is None else ["text", "label"])]
    size, limit = 0, max(LARGE, RATIO * path.stat().st_size)
    keys = dict.fromkeys(params.text, "prepare.text") | (
        {} if label is None else {label: "prepare.label" if params.label else "prepare.test_label"}
    )
    advise = advise or propose.advise(str(path), kind, keys, propose.parameter)
    with problems.collecting():
        for batch in read_table(str(path), kind, wanted, problems, len(params.text), advise=advise):
            texts = batch.texts if kind != "parquet" else batch.texts.to_pylist()
            kept = [i for i, text in enumerate(texts) if kind != "txt" or text.strip()]
            for column, values in zip((numbers, *columns), (batch.numbers, texts, *batch.others), strict=True):
                column.extend(values[i] for i in kept)
            size += sum(map(len, texts)) + ROW * len(texts)
            if size > limit:
                raise PotstillError(
                    f"{path}: it unpacks to more than {RATIO} times its {path.stat().st_size:,} bytes. It may be "
                    "made to exhaust memory."
                )
    return numbers, columns
