"""The tables of a source as they were found, and turning their labels into ids."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from numbers import Integral, Real
from typing import Any

import numpy as np
import pandas as pd

from potstill.errors import PotstillError
from potstill.runtime.decision import JOINT

# Under which names a split goes about, in files and on the hub.
SPLIT_NAMES = {
    "train": ("train",),
    "validation": ("validation", "valid", "val", "dev"),
    "test": ("test",),
}


@dataclass(frozen=True)
class Table:
    """A table that an error message can point into.

    Attributes:
        name: what its owner calls it, such as a file's path.
        rows: the columns `text` and, in a labelled table, `label`, a name or id as a string, or a tuple of them
            where a text may have several; the index is the number under which its owner finds a row.
    """

    name: str
    rows: pd.DataFrame


@dataclass(frozen=True)
class Raw:
    """What a source holds, before any cleaning.

    Attributes:
        splits: the labelled tables by the names of `dataset.SPLITS`; `train` is always there.
        unlabelled: tables with the column `text` only.
        labels: the names of the classes in their order, where the source knows them.
    """

    splits: dict[str, Table]
    unlabelled: list[Table] = field(default_factory=list)
    labels: list[str] | None = None


def by_name(split: str, candidates: Iterable[tuple[str, str]], given: str | None, key: str) -> str | None:
    """Choose the table of a split: the given one, or else the one whose stem names the split.

    Args:
        split: one of `dataset.SPLITS`.
        candidates: stem and full name of every table there is.
        given: the parameter's value.
        key: the parameter's name, for the error.

    Raises:
        PotstillError: two tables go by the split's name.
    """
    if given is not None:
        return given
    found = sorted(name for stem, name in candidates if stem.casefold() in SPLIT_NAMES[split])
    if len(found) > 1:
        raise PotstillError(f"{' and '.join(found)} both look like the {split} split: set `{key}` to one")
    return found[0] if found else None


def columns(frame: pd.DataFrame, name: str, text: str, label: str | None, multi_label: bool = False) -> Table:
    """Pick the columns that count and check every text.

    Args:
        frame: any columns; the index numbers the rows for messages.
        name: what the table is called in messages.
        text: name of the text column.
        label: name of the label column; None for an unlabelled table.
        multi_label: whether a text may have several labels, or none.

    Raises:
        PotstillError: the table is empty, a column is missing, or a text or label is missing.
    """
    wanted = {"text": text} if label is None else {"text": text, "label": label}
    for key, column in wanted.items():
        if column not in frame.columns:
            has = ", ".join(str(known) for known in frame.columns)
            raise PotstillError(f"{name} has no column {column!r} (it has: {has}): set `prepare.{key}`")
    if frame.empty:
        raise PotstillError(f"{name} is empty: it needs at least one row")
    rows = pd.DataFrame({key: frame[column].astype(object) for key, column in wanted.items()})
    for number, value in rows["text"].items():
        if _missing(value):
            raise PotstillError(f"{name}: row {number} has no text: fill it in or remove the row")
        if not isinstance(value, str):
            raise PotstillError(f"{name}: row {number} holds {value!r}, no text: set `prepare.text`")
    if label is not None:
        read = _labels if multi_label else _label
        found = [read(value, f"{name}: row {number}") for number, value in rows["label"].items()]
        rows["label"] = pd.Series(found, rows.index, object)
    return Table(name, rows)


def _missing(value: Any) -> bool:
    if isinstance(value, str):
        return not value.strip()
    return value is None or value is pd.NA or (isinstance(value, Real) and value != value)


def _label(value: Any, where: str) -> str:
    """Make a label a string; an id that a missing neighbour made a float is an id again."""
    if _missing(value):
        raise PotstillError(f"{where} has no label: fill it in or remove the row")
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, bool):
        return str(value)
    if isinstance(value, Integral):
        return str(int(value))
    if isinstance(value, Real) and float(value).is_integer():
        return str(int(float(value)))
    listed = isinstance(value, list | np.ndarray)
    hint = "set `prepare.multi_label` to true for lists of them" if listed else "set `prepare.label`"
    raise PotstillError(f"{where} has the label {value!r}, neither a name nor an id: {hint}")


def _labels(value: Any, where: str) -> tuple[str, ...]:
    """The labels of a text, each once, from a list or from names joined by `JOINT`."""
    if isinstance(value, list | tuple | np.ndarray):
        found = [_label(one, where) for one in value]
    elif _missing(value):
        found = []
    else:
        found = [_label(one, where) for one in (value.split(JOINT) if isinstance(value, str) else [value])]
    for name in found:
        if JOINT in name:
            raise PotstillError(f"{where} has the label {name!r}, but {JOINT} stands between labels: rename it")
    return tuple(dict.fromkeys(found))


def _each(table: Table) -> Iterator[tuple[Any, str]]:
    """Every label of a table, with the number of its row."""
    for number, found in table.rows["label"].items():
        for label in (found,) if isinstance(found, str) else found:
            yield number, label


def encode(raw: Raw, names: list[str] | None) -> tuple[list[str], dict[str, Table]]:
    """Give every class its id.

    Args:
        raw: labels are strings, or tuples of them; those that are whole numbers count as ids if `names` says so.
        names: the names of ids 0, 1, …; None takes the source's order, or else sorts what is there.

    Returns:
        The names of the classes, and the labelled tables with int64 ids for labels, or ascending tuples of them.

    Raises:
        PotstillError: a label is not among the names, an id is out of range, train lacks a class,
            or there are fewer than two classes.
    """
    found = {label for table in raw.splits.values() for _, label in _each(table)}
    numeric = all(re.fullmatch(r"-?[0-9]+", label) for label in found)
    train = raw.splits["train"]
    in_train = {label for _, label in _each(train)}
    for table in raw.splits.values():
        for number, label in _each(table):
            if label not in in_train:
                raise PotstillError(
                    f"{table.name}: row {number} has the label {label!r}, which no row of {train.name} has: "
                    "add examples of it there, or remove it here"
                )
    if len(found) < 2:
        has = f"one label only, {found.pop()!r}" if found else "no label"
        raise PotstillError(f"{train.name} has {has}: it needs at least two")

    if names is None:
        labels = _order(found, raw.labels, numeric)
        ids = {label: id_ for id_, label in enumerate(labels)}
    else:
        labels = names
        by_id = numeric and not found <= set(names)
        ids = {name: id_ for id_, name in enumerate(names)}
        if by_id:
            ids = {label: int(label) for label in found}
        _check_names(raw, names, ids, by_id)
    return labels, {split: _with_ids(table, ids) for split, table in raw.splits.items()}


def _with_ids(table: Table, ids: dict[str, int]) -> Table:
    found = [ids[one] if isinstance(one, str) else tuple(sorted(ids[o] for o in one)) for one in table.rows["label"]]
    kind = object if found and isinstance(found[0], tuple) else "int64"
    return Table(table.name, table.rows.assign(label=pd.Series(found, table.rows.index, kind)))


def _order(found: set[str], known: list[str] | None, numeric: bool) -> list[str]:
    if known is not None:
        return [label for label in known if label in found]
    return sorted(found, key=int) if numeric else sorted(found)


def _check_names(raw: Raw, names: list[str], ids: dict[str, int], by_id: bool) -> None:
    for table in raw.splits.values():
        for number, label in _each(table):
            where = f"{table.name}: row {number} has the label {label!r}"
            if label not in ids:
                raise PotstillError(f"{where}, which `prepare.labels` does not list: add it there")
            if by_id and not 0 <= ids[label] < len(names):
                raise PotstillError(
                    f"{where}, but `prepare.labels` names ids 0 to {len(names) - 1} only: correct one of them"
                )
    used = {ids[label] for _, label in _each(raw.splits["train"])}
    for id_, name in enumerate(names):
        if id_ not in used:
            raise PotstillError(
                f"`prepare.labels` lists {name!r}, which no row of {raw.splits['train'].name} has: remove it"
            )
