"""The tables of a source as they were found, and turning their labels into ids."""

import math
import re
import sys
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import accumulate
from numbers import Integral, Real
from typing import Any

import numpy as np
import pandas as pd

from potstill.bulk.asked import Asked, Skipped, alike, difference, look, quoted
from potstill.errors import PotstillError, listed, visible
from potstill.runtime import naming
from potstill.runtime.decision import JOINT

# What is a number beyond doubt: 1e5, without a sign, may be a name.
_DECIMAL = re.compile(r"-0|-?(0|[1-9][0-9]*)(\.[0-9]+(e[+-]?[0-9]{1,3})?|e[+-][0-9]{1,3})", re.IGNORECASE)
_NUMBER = re.compile(r"-?[0-9]{1,300}(\.[0-9]{1,300})?(e[+-]?[0-9]{1,3})?", re.IGNORECASE)

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
            where a text may have several; indexed from 0.
        place: gives the place where its owner finds a row, such as "train.csv: row 8" for 7; None for numbers from 1.
        written: the labels that are strings, as they are written, each with the name of the file that has it first.
    """

    name: str
    rows: pd.DataFrame
    place: Callable[[int], str] | None = None
    written: dict[str, str] = field(default_factory=dict)

    def where(self, i: int) -> str:
        """Name row `i` in a message."""
        return f"{self.name}: row {i + 1}" if self.place is None else self.place(i)


def joined(tables: Sequence[Table]) -> Table:
    """The rows of several tables, one after the other."""
    if len(tables) == 1:
        return tables[0]
    starts = [0, *accumulate(len(table.rows) for table in tables)]

    def place(i: int) -> str:
        part = bisect_right(starts, i) - 1
        return tables[part].where(i - starts[part])

    rows = pd.concat([table.rows for table in tables], ignore_index=True)
    return Table(f"{tables[0].name} … {tables[-1].name}", rows, place, _written(tables))


def _written(tables: Iterable[Table]) -> dict[str, str]:
    found: dict[str, str] = {}
    for table in tables:
        found = table.written | found
    return found


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


def columns(
    frame: pd.DataFrame,
    name: str,
    text: str,
    label: str | None,
    multi_label: bool = False,
    numbers: Sequence[int] | None = None,
    unit: str = "row",
) -> Table:
    """Pick the columns that count and check every text.

    Args:
        frame: any columns.
        name: what the table is called in messages.
        text: name of the text column.
        label: name of the label column; None for an unlabelled table.
        multi_label: whether a text may have several labels, or none.
        numbers: of the rows, for messages; None for 1, 2, …
        unit: what they number.

    Raises:
        PotstillError: the table is empty, a column is missing, or a text or label is missing.
    """
    wanted = {"text": text} if label is None else {"text": text, "label": label}
    for key, column in wanted.items():
        if column not in frame.columns:
            advice = {name: f"Set `prepare.{key}`" for key, name in wanted.items()}
            raise Asked(name, [], Skipped(), advice.__getitem__, unit).missing(column, list(frame.columns))
    if frame.empty:
        raise PotstillError(f"{name} is empty: it needs at least one row")
    found = {key: frame[column].astype(object).reset_index(drop=True) for key, column in wanted.items()}
    known = numbers or range(1, len(frame) + 1)
    table = Table(name, pd.DataFrame(found), lambda i: f"{name}: {unit} {known[i]}")
    rows = table.rows
    for i, value in enumerate(rows["text"]):
        if _missing(value):
            raise PotstillError(f"{table.where(i)} has no text: fill it in or remove the row")
        if not isinstance(value, str):
            raise PotstillError(f"{table.where(i)} holds {value!r}, not a string: set `prepare.text`")
    if label is not None:
        if multi_label:
            check_ids(rows["label"], name)
        read = _labels if multi_label else _label
        named = [read(value, table.where(i)) for i, value in enumerate(rows["label"])]
        for value in rows["label"]:
            for one in _parts(value) if multi_label else [value]:
                if isinstance(one, str):
                    table.written.setdefault(one.strip(), name)
        rows["label"] = pd.Series(named, rows.index, object)
    return table


def _missing(value: Any) -> bool:
    if isinstance(value, str):
        return not value.strip()
    return value is None or value is pd.NA or (isinstance(value, Real) and value != value)


def name_of(value: Any) -> str | None:
    """The name of a class, the same from every format; None if the value is none.

    A string is what it is written as, but for a number with a fraction or a signed exponent: 1.0, the id that a missing
    neighbour made a float, is the class 1, 0.10 the class 0.1, and 1E-5 the class 1e-05. Where a float would lose
    digits, they are kept. A number is written in the fewest digits, and a boolean as JSON has it.
    """
    if isinstance(value, str):
        name = value.strip()
        if _DECIMAL.fullmatch(name) and Decimal(name) == Decimal(repr(float(name))):
            return name_of(float(name)) or name
        return name
    if isinstance(value, bool | np.bool):
        return str(value).lower()
    if isinstance(value, Integral):
        return str(int(value))
    if isinstance(value, Real) and math.isfinite(value):
        number = float(
            str(value) if isinstance(value, np.floating) else value
        )  # of single precision: 2.7 and not 2.70000005
        if abs(number) >= 1 << 53 and number != float(f"{number:.15g}"):
            return None  # a whole number that others share
        return str(int(number)) if number.is_integer() and abs(number) < 1e16 else repr(number)
    return None


def _check_forms(tables: Iterable[Table]) -> None:
    """Print the strings that are read as numbers, and so under another name: 3.10 as 3.1.

    Raises:
        PotstillError: one table has two such as 1.1 and 1.10, versions or sections perhaps, of which each is a class.
    """
    changed: dict[str, str] = {}
    for table in tables:
        forms: dict[str, str] = {}
        for one in sorted(table.written):
            name = str(name_of(one))
            if name != one:
                changed.setdefault(one, table.written[one])
            if "." in one and (other := forms.setdefault(name, one)) != one:
                files = " and ".join(dict.fromkeys((table.written[other], table.written[one])))
                raise PotstillError(
                    f"{files}: the labels {other!r} and {one!r} are the same number: write them alike if they are one "
                    "class, or with a letter (such as v1.10) if they are two"
                )
    if changed:
        files = listed(list(dict.fromkeys(changed.values())))
        found = listed([f"{one!r} is the class {name_of(one)!r}" for one in changed])
        told = f"{files}: labels that are numbers are read as such: {found}. Put a letter before them (as in v3.10) if"
        print(visible(f"{told} they are names"), file=sys.stderr)


def check_ids(values: Iterable[Any], name: str) -> None:
    """Refuse vectors of 0 and 1 for all classes, which as lists of ids are the classes 0 and 1.

    Raises:
        PotstillError: all lists are such vectors.
    """
    lists = [tuple(value) for value in values if isinstance(value, list)]
    even = len(set(map(len, lists))) == 1 and len(lists[0]) > 1
    if even and all(one in (0, 1) for found in lists for one in found) and set(lists) != {(0, 1)}:
        shown = listed(list(map(str, lists[0])))
        raise PotstillError(
            f"{name} has a 0 or 1 for every class in its lists of labels, such as {shown}: list the names or ids of "
            "the classes that a text has"
        )


def _label(value: Any, where: str) -> str:
    if _missing(value):
        raise PotstillError(f"{where} has no label: fill it in or remove the row")
    name = name_of(value)
    if name is not None:
        return name
    if isinstance(value, Real):
        raise PotstillError(
            f"{where} has a number for its label that is infinite, or too large to be read: store labels as strings"
        )
    is_list = isinstance(value, list)
    hint = "set `prepare.multi_label` to true for lists of them" if is_list else "set `prepare.label`"
    raise PotstillError(f"{where} has the label {value!r}, neither a name nor an id: {hint}")


def _labels(value: Any, where: str) -> tuple[str, ...]:
    """The labels of a text, each once, from a list or from names joined by `JOINT`."""
    if isinstance(value, str) and re.fullmatch(r"\s*\[.*\]\s*", value, re.DOTALL):
        raise PotstillError(
            f"{where} has the labels {value!r}, a list as a string: join labels by {JOINT}, or save the table as JSONL "
            "or Parquet"
        )
    parts = _parts(value)
    if any(isinstance(one, list) for one in parts):
        raise PotstillError(f"{where} has lists within its list of labels, {value!r}: list names or ids only")
    found = [_label(one, where) for one in parts]
    for name in found:
        if JOINT in name:
            raise PotstillError(f"{where} has the label {name!r}, but {JOINT} stands between labels: rename it")
    return tuple(dict.fromkeys(found))


def _parts(value: Any) -> list[Any]:
    if isinstance(value, list):
        return list(value)
    if _missing(value):
        return []
    return value.split(JOINT) if isinstance(value, str) else [value]


def _each(table: Table) -> Iterator[tuple[int, str]]:
    """Every label of a table, with the place of its row."""
    for i, found in enumerate(table.rows["label"]):
        for label in (found,) if isinstance(found, str) else found:
            yield i, label


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
    counts = Counter(label for table in raw.splits.values() for _, label in _each(table))
    found = set(counts)
    numeric = all(re.fullmatch(r"-?[0-9]+", label) for label in found)
    train = raw.splits["train"]
    in_train = {label for _, label in _each(train)}
    if names is not None:
        names = _stripped(names, "`prepare.label_names`")
    by_id = names is not None and numeric and not found <= set(names)
    _check_forms(raw.splits.values())
    _check_looks(counts, train.name, by_id)
    if by_id:
        _check_looks(dict.fromkeys(names or (), 0), "`prepare.label_names`", False)
    for table in raw.splits.values():
        for i, label in _each(table):
            if label not in in_train:
                advice = _differs(label, sorted(in_train), train.name) or (
                    f"which no row of {train.name} has: add examples of it there, or remove it here"
                )
                raise PotstillError(f"{table.where(i)} has the label {quoted(label)}, {advice}")
    if len(found) < 2:
        has = f"one label only, {found.pop()!r}" if found else "no label"
        raise PotstillError(f"{train.name} has {has}: it needs at least two")

    if names is None:
        labels = _order(found, None if raw.labels is None else _stripped(raw.labels, train.name))
        ids = {label: id_ for id_, label in enumerate(labels)}
    else:
        labels = names
        ids = {name: id_ for id_, name in enumerate(names)}
        if by_id:
            ids = {label: int(Decimal(label)) for label in found}  # int() refuses strings of thousands of digits
        _check_names(raw, names, ids, by_id)
    if fault := naming.fault(labels):
        raise PotstillError(f"{train.name}: {fault}")
    return labels, {split: _with_ids(table, ids) for split, table in raw.splits.items()}


def _with_ids(table: Table, ids: dict[str, int]) -> Table:
    found = [ids[one] if isinstance(one, str) else tuple(sorted(ids[o] for o in one)) for one in table.rows["label"]]
    kind = object if found and isinstance(found[0], tuple) else "int64"
    return Table(table.name, table.rows.assign(label=pd.Series(found, table.rows.index, kind)), table.place)


def _order(found: set[str], known: list[str] | None) -> list[str]:
    """The classes in the order of their ids: the source's, or as numbers (1 and 01 tie as such), or by name."""
    if known is not None:
        return [label for label in known if label in found]
    numeric = all(_NUMBER.fullmatch(label) for label in found)
    return sorted(found, key=lambda label: (float(label), label)) if numeric else sorted(found)


def _stripped(names: list[str], where: str) -> list[str]:
    """Names as those in the rows are: without white space around them."""
    found = [str(name_of(name)) for name in names]
    for i, name in enumerate(found):
        if name in found[:i]:
            raise PotstillError(f"{where} names the class {name!r} twice: rename or merge them")
    return found


def _check_looks(counts: dict[str, int], where: str, by_id: bool) -> None:
    """Refuse classes that look the same; print those that may be meant to be: equal but for case, or as numbers.

    Args:
        counts: of the rows of each class; 0 where they are not known.
        where: the classes are named.
        by_id: whether labels are ids, of which those that are the same number are one class.
    """
    shown = {label: f"{label!a} ({rows:,} rows)" if rows else ascii(label) for label, rows in sorted(counts.items())}
    for label in shown:
        if not look(label):
            raise PotstillError(f"{where}: the label {shown[label]} shows nothing: rename it")
    forms: list[Callable[[str], Any]] = [look, alike, _quantity]
    for form in forms:
        groups: dict[Any, list[str]] = {}
        for label in shown:
            groups.setdefault(form(label), []).append(label)
        for one, other, *_ in (group for group in groups.values() if len(group) > 1):
            both = f"{shown[one]} and {shown[other]}"
            if form is look:
                raise PotstillError(
                    f"{where}: the labels {both} look alike, and differ in {difference(one, other)}: make them one"
                )
            differ = f"differ in {difference(one, other)} only" if form is alike else "are the same number"
            count = "one class" if by_id and form is _quantity else "two classes"
            print(visible(f"{where}: the labels {both} {differ}; they count as {count}"), file=sys.stderr)


def _quantity(label: str) -> Decimal | str:
    """A form that labels share which are the same number."""
    return Decimal(label) if _NUMBER.fullmatch(label) else label


def _check_names(raw: Raw, names: list[str], ids: dict[str, int], by_id: bool) -> None:
    for table in raw.splits.values():
        for i, label in _each(table):
            where = f"{table.where(i)} has the label {quoted(label)}"
            if label not in ids:
                fault = _differs(label, names, "`prepare.label_names`") or _unquoted(label, names)
                raise PotstillError(f"{where}, {fault or 'which `prepare.label_names` does not list: add it there'}")
            if by_id and not 0 <= ids[label] < len(names):
                raise PotstillError(
                    f"{where}, but `prepare.label_names` names ids 0 to {len(names) - 1} only: correct one of them"
                )
    several = any(isinstance(found, tuple) for found in raw.splits["train"].rows["label"])
    for name in names:
        if several and JOINT in name:
            raise PotstillError(f"`prepare.label_names` lists {name!r}, but {JOINT} stands between labels: rename it")
    used = {ids[label] for _, label in _each(raw.splits["train"])}
    for id_, name in enumerate(names):
        if id_ not in used:
            raise PotstillError(
                f"`prepare.label_names` lists {name!r}, which no row of {raw.splits['train'].name} has: remove it"
            )


def _differs(label: str, names: list[str], whose: str) -> str | None:
    """Say in what an unknown label differs from the class that is probably meant; None if it is like no other."""
    near = next((name for name in names if alike(name) == alike(label)), None)
    if near is None:
        return None
    return f"which differs from {quoted(near)} in {whose} only in {difference(label, near)}: write them alike"


def _unquoted(label: str, names: list[str]) -> str | None:
    """Say that YAML, probably, has read a name as the number that it is; None if no name is it."""
    near = next((name for name in names if _quantity(name) == _quantity(label)), None)
    return near and f"which is {near!r} in `prepare.label_names`: write it alike there, in quotes"
