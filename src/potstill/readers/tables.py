"""Check the tables of a source, and encode their labels as ids."""

import math
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from numbers import Integral, Real
from typing import Any

import numpy as np
import pandas as pd

from potstill.core import naming
from potstill.core.errors import PotstillError, join_names, visible
from potstill.core.labels import JOINT
from potstill.readers.problems import Problems
from potstill.readers.request import NO_TEXT, Location, describe_difference, folded, quoted, rendered

# Labels that are numbers; unlike fields (`rows.NUMBER`) they are short enough for float(), without + and spaces.
# A decimal is a number beyond doubt: 1e5, without a sign, may be a name.
_DECIMAL = re.compile(r"-0|-?(0|[1-9][0-9]*)(\.[0-9]+(e[+-]?[0-9]{1,3})?|e[+-][0-9]{1,3})", re.IGNORECASE)
_NUMBER = re.compile(r"-?[0-9]{1,300}(\.[0-9]{1,300})?(e[+-]?[0-9]{1,3})?", re.IGNORECASE)
_BOOLEANS = ("True", "False", "TRUE", "FALSE")  # as strings

# The names of a split in files and on the hub.
SPLIT_NAMES = {"train": ("train",), "validation": ("validation", "valid", "val", "dev"), "test": ("test",)}


@dataclass(frozen=True)
class Origin:
    """Where the rows of a table come from.

    Attributes:
        name: of the file, or of the split of a data set.
        unit: how it counts rows, `row` or `line`.
        numbers: of the rows.
    """

    name: str
    unit: str
    numbers: Sequence[int]


@dataclass(frozen=True)
class Table:
    """A table whose rows an error message can locate.

    Attributes:
        name: what messages call it, such as a file's path.
        rows: the columns `text` and, in a labelled table, `label`: a name or id as a string, or for multi-label tasks a
            tuple of them; indexed from 0.
        origins: where the rows come from, in their order; none if rows are numbered from 1.
        written: the labels that are strings, as they are written, each with the name of the first file that has it.
    """

    name: str
    rows: pd.DataFrame
    origins: Sequence[Origin] = ()
    written: dict[str, str] = field(default_factory=dict)

    def location(self, i: int) -> Location:
        """Return the place of row `i`, such as "train.csv: row 8" for 7."""
        for origin in self.origins:
            if i < len(origin.numbers):
                return Location(origin.name, origin.unit, origin.numbers[i])
            i -= len(origin.numbers)
        return Location(self.name, "row", i + 1)


def concatenate(tables: Sequence[Table]) -> Table:
    """Return the rows of several tables as one."""
    if len(tables) == 1:
        return tables[0]
    rows = pd.concat([table.rows for table in tables], ignore_index=True)
    origins = [origin for table in tables for origin in table.origins]
    written = {label: name for table in reversed(tables) for label, name in table.written.items()}
    return Table(f"{tables[0].name} … {tables[-1].name}", rows, origins, written)


@dataclass(frozen=True)
class RawData:
    """The tables of a source before they are cleaned.

    Attributes:
        splits: the labelled tables by the names of `dataset.SPLITS`; `train` is always there.
        unlabelled: tables with the column `text` only.
        labels: the names of the classes in their order, if the source gives them.
        given: labels that were given later, see `prepare.label_files`; None if there are none.
    """

    splits: dict[str, Table]
    unlabelled: list[Table] = field(default_factory=list)
    labels: list[str] | None = None
    given: Table | None = None


def find_split(split: str, candidates: Iterable[tuple[str, str]], given: str | None, key: str) -> str | None:
    """Return the name of the table that holds a split: the given one, or the one whose stem is a name of the split.

    Args:
        split: one of `dataset.SPLITS`.
        candidates: stem and full name of every table.
        given: the parameter's value.
        key: the parameter's name, for the error.

    Raises:
        PotstillError: the stems of two tables are names of the split.
    """
    if given is not None:
        return given
    names = sorted(name for stem, name in candidates if stem.casefold() in SPLIT_NAMES[split])
    if len(names) > 1:
        raise PotstillError(f"`{key}`: both {' and '.join(names)} could be {split}. Set it to one of them.")
    return names[0] if names else None


def make_table(
    frame: pd.DataFrame,
    name: str,
    multi_label: bool = False,
    numbers: Sequence[int] | None = None,
    unit: str = "row",
    problems: Problems | None = None,
) -> Table:
    """Make a table of the rows that have a text, and check every label.

    Args:
        frame: the column `text`, of strings or missing values, and for a labelled table `label`.
        name: what messages call the table.
        multi_label: whether the task is multi-label.
        numbers: of the rows, for messages; None for 1, 2, …
        unit: how rows are counted, `row` or `line`.
        problems: those that were found when the table was read.

    Raises:
        PotstillError: no row has a text, or there is a problem; the message has all of them.
    """
    problems = problems or Problems()
    numbers = numbers or range(1, len(frame) + 1)
    with problems.collecting():
        kept = []
        for i, text in enumerate(frame["text"]):
            if _missing(text):
                problems.add(Location(name, unit, numbers[i]), NO_TEXT)
            else:
                kept.append(i)
        problems.tell(name, len(kept))
        rows = frame.iloc[kept].astype(object).reset_index(drop=True)
        table = Table(name, rows, [Origin(name, unit, [numbers[i] for i in kept])])
        if "label" in rows:
            _name_labels(table, multi_label, problems)
    problems.check()
    return table


def _name_labels(table: Table, multi_label: bool, problems: Problems) -> None:
    """Replace the labels of a table by the names of their classes, and add those that are none to the problems."""
    values = table.rows["label"]
    if multi_label:
        check_ids(values, table.name)
    read = _read_labels if multi_label else _read_label
    named: list[Any] = []
    for i, value in enumerate(values):
        try:
            named.append(read(value))
        except ValueError as error:
            problems.add(table.location(i), str(error))
            named.append(None)
    written = (label for value in values for label in (_parts(value) if multi_label else [value]))
    table.written.update((label.strip(), table.name) for label in written if isinstance(label, str))
    table.rows["label"] = pd.Series(named, table.rows.index, object)


def _missing(value: Any) -> bool:
    if isinstance(value, str):
        return not value.strip()
    return value is None or value is pd.NA or (isinstance(value, Real) and value != value)


def class_name(value: Any) -> str | None:
    """Return the name of a class, the same from every format; None if the value is not a name.

    A string is kept, except for a boolean as pandas or a spreadsheet writes it to CSV (False, FALSE), and for a number
    with a fraction or a signed exponent: 1.0, an id that became a float in a column with missing values, is the class
    1, 0.10 the class 0.1, and 1E-5 the class 1e-05. A string is kept where a float would lose digits. A number is
    written in the fewest digits, and a boolean as in JSON.
    """
    if isinstance(value, str):
        name = value.strip()
        if name in _BOOLEANS:
            return name.lower()
        if _DECIMAL.fullmatch(name) and Decimal(name) == Decimal(repr(float(name))):
            return class_name(float(name)) or name
        return name
    if isinstance(value, bool | np.bool):
        return str(value).lower()
    if isinstance(value, Integral):
        return str(int(value))
    if isinstance(value, Real) and math.isfinite(value):
        # By its string, a float32 is 2.7 and not 2.70000005.
        number = float(str(value) if isinstance(value, np.floating) else value)
        if abs(number) >= 1 << 53 and number != float(f"{number:.15g}"):
            return None  # several integers have this float
        return str(int(number)) if number.is_integer() and abs(number) < 1e16 else repr(number)
    return None


def _check_numeric_labels(tables: Iterable[Table]) -> None:
    """Print the labels that are renamed because they are numbers, such as 3.10 to 3.1.

    Raises:
        PotstillError: a table has two such as 1.1 and 1.10, perhaps versions or sections, that would become one class.
    """
    renamed: dict[str, str] = {}
    for table in tables:
        first: dict[str, str] = {}
        for label in sorted(table.written):
            name = str(class_name(label))
            if name != label and label not in _BOOLEANS:
                renamed.setdefault(label, table.written[label])
            if "." in label and (other := first.setdefault(name, label)) != label:
                files = " and ".join(dict.fromkeys((table.written[other], table.written[label])))
                raise PotstillError(
                    f"{files}: the labels {other!r} and {label!r} are the same number. Write them in the same way if "
                    "they are one class, or with a letter (such as v1.10) if they are two."
                )
    if renamed:
        files = join_names(list(dict.fromkeys(renamed.values())))
        found = join_names([f"{label!r} is the class {class_name(label)!r}" for label in renamed])
        note = f"{files}: labels that are numbers are read as numbers: {found}. If they are names, put a letter before"
        print(visible(f"{note} them (as in v3.10)"), file=sys.stderr)


def check_ids(values: Iterable[Any], name: str) -> None:
    """Check that lists of ids are not multi-hot vectors, which would be read as the classes 0 and 1.

    Raises:
        PotstillError: all lists are multi-hot vectors.
    """
    lists = [tuple(value) for value in values if isinstance(value, list)]
    same_length = len(set(map(len, lists))) == 1 and len(lists[0]) > 1
    if same_length and all(one in (0, 1) for found in lists for one in found) and set(lists) != {(0, 1)}:
        example = join_names(list(map(str, lists[0])))
        raise PotstillError(
            f"{name}: the labels are multi-hot vectors of 0 and 1 (found: {example}). List the names or ids of each "
            "text's classes instead."
        )


def _read_label(value: Any) -> str:
    """Return the label of a text.

    Raises:
        ValueError: there is none, with the fault of the row.
    """
    if _missing(value):
        raise ValueError("has no label. Fill it in or remove the row.")
    name = class_name(value)
    if name is not None:
        return name
    if isinstance(value, Real):
        raise ValueError("has a label that is an infinite or too large number. Store labels as strings.")
    is_list = isinstance(value, list)
    advice = "Set `prepare.multi_label` to true for lists of labels" if is_list else "Set `prepare.label`"
    raise ValueError(f"has the label {value!r}, which is neither a name nor an id. {advice}.")


def _read_labels(value: Any) -> tuple[str, ...]:
    """Return the labels of a text, each once, from a list or from names joined by `JOINT`.

    Raises:
        ValueError: there are none, with the fault of the row.
    """
    if isinstance(value, str) and re.fullmatch(r"\s*\[.*\]\s*", value, re.DOTALL):
        raise ValueError(
            f"has the labels {value!r}, which is a list as a string. Join labels by {JOINT}, or save the table as "
            "JSONL or Parquet."
        )
    parts = _parts(value)
    if any(isinstance(one, list) for one in parts):
        raise ValueError(f"has nested lists of labels, {value!r}. List names or ids only.")
    found = [_read_label(one) for one in parts]
    for name in found:
        if JOINT in name:
            raise ValueError(f"has the label {name!r}, but {JOINT} separates labels. Rename it.")
    return tuple(dict.fromkeys(found))


def _parts(value: Any) -> list[Any]:
    if isinstance(value, list):
        return list(value)
    if _missing(value):
        return []
    return value.split(JOINT) if isinstance(value, str) else [value]


def _iterate_labels(table: Table) -> Iterator[tuple[int, str]]:
    """Yield every label of a table with the index of its row."""
    for i, found in enumerate(table.rows["label"]):
        for label in (found,) if isinstance(found, str) else found:
            yield i, label


def encode(raw: RawData, names: list[str] | None) -> tuple[list[str], dict[str, Table]]:
    """Assign an id to every class.

    Args:
        raw: labels are strings, or tuples of them; integers count as ids if `names` does not list them.
        names: the names of ids 0, 1, …; None takes the source's order, or else sorts the labels.

    Returns:
        The names of the classes, and the labelled tables with int64 ids as labels, or ascending tuples of them.

    Raises:
        PotstillError: a label is not among the names, an id is out of range, a class has no text in train, or there are
            fewer than two classes.
    """
    counts = Counter(label for table in raw.splits.values() for _, label in _iterate_labels(table))
    classes = set(counts)
    numeric = all(re.fullmatch(r"-?[0-9]+", label) for label in classes)
    train = raw.splits["train"]
    in_train = {label for _, label in _iterate_labels(train)}
    if names is not None:
        names = _stripped(names, "`prepare.label_names`")
    by_id = names is not None and numeric and not classes <= set(names)
    _check_numeric_labels(raw.splits.values())
    _check_similar(counts, train.name, by_id)
    if by_id:
        _check_similar(dict.fromkeys(names or (), 0), "`prepare.label_names`", False)
    problems = Problems()
    for table in raw.splits.values():
        for i, label in _iterate_labels(table):
            if label not in in_train:
                unknown = _differs(label, sorted(in_train), train.name) or (
                    f"which no row of {train.name} has. Add examples of it there, or remove it here."
                )
                problems.add(table.location(i), f"has the label {quoted(label)}, {unknown}")
    problems.check()
    if len(classes) < 2:
        has = f"only the label {classes.pop()!r}" if classes else "no labels"
        is_multi_label = any(isinstance(labels, tuple) for labels in train.rows["label"])
        joined = f" The labels of a text are joined by {JOINT}, as in joy{JOINT}love." if is_multi_label else ""
        raise PotstillError(f"{train.name}: {has}. At least two are required.{joined}")

    labels = names or _order(classes, None if raw.labels is None else _stripped(raw.labels, train.name))
    ids = {label: id_ for id_, label in enumerate(labels)}
    if by_id:
        ids = {label: int(Decimal(label)) for label in classes}  # int() raises for thousands of digits
    if names is not None:
        _check_names(raw, names, ids, by_id)
    if fault := naming.find_fault(labels):
        raise PotstillError(f"{train.name}: {fault}")
    return labels, {split: _with_ids(table, ids) for split, table in raw.splits.items()}


def _with_ids(table: Table, ids: dict[str, int]) -> Table:
    labels = table.rows["label"]
    coded = [ids[label] if isinstance(label, str) else tuple(sorted(ids[part] for part in label)) for label in labels]
    kind = object if coded and isinstance(coded[0], tuple) else "int64"
    return replace(table, rows=table.rows.assign(label=pd.Series(coded, labels.index, kind)))


def _order(classes: set[str], known: list[str] | None) -> list[str]:
    """Sort the classes by id: in the source's order, or as numbers (1 and 01 tie), or by name."""
    if known is not None:
        return [label for label in known if label in classes]
    numeric = all(_NUMBER.fullmatch(label) for label in classes)
    return sorted(classes, key=lambda label: (float(label), label)) if numeric else sorted(classes)


def _stripped(names: list[str], where: str) -> list[str]:
    """Return names without surrounding white space, as those in the rows are."""
    stripped = [str(class_name(name)) for name in names]
    for i, name in enumerate(stripped):
        if name in stripped[:i]:
            raise PotstillError(f"{where}: the class {name!r} is listed twice. Rename or merge them.")
    return stripped


def _check_similar(counts: dict[str, int], where: str, by_id: bool) -> None:
    """Print pairs of classes that may be meant to be one: equal but for case, or as numbers.

    Args:
        counts: rows of each class; 0 if unknown.
        where: the file or key that names the classes.
        by_id: whether labels are ids, of which those that are the same number are one class.

    Raises:
        PotstillError: a class has no visible name, or two look the same.
    """
    shown = {label: quoted(label) + (f" ({rows:,} rows)" if rows else "") for label, rows in sorted(counts.items())}
    for label in shown:
        if not rendered(label):
            raise PotstillError(f"{where}: the label {shown[label]} is invisible. Rename it.")
    for one, other in _equal_pairs(shown, rendered):
        raise PotstillError(
            f"{where}: the labels {shown[one]} and {shown[other]} look the same, and differ in "
            f"{describe_difference(one, other)}. Write them in the same way."
        )
    for one, other in _equal_pairs(shown, folded):
        difference = f"differ in {describe_difference(one, other)} only; they count as two classes"
        print(visible(f"{where}: the labels {shown[one]} and {shown[other]} {difference}"), file=sys.stderr)
    for one, other in _equal_pairs(shown, _quantity):
        difference = f"are the same number; they count as {'one class' if by_id else 'two classes'}"
        print(visible(f"{where}: the labels {shown[one]} and {shown[other]} {difference}"), file=sys.stderr)


def _equal_pairs(labels: Iterable[str], form: Callable[[str], Any]) -> list[tuple[str, str]]:
    """Return the first two labels of every group that are equal in a form."""
    groups: dict[Any, list[str]] = {}
    for label in labels:
        groups.setdefault(form(label), []).append(label)
    return [(group[0], group[1]) for group in groups.values() if len(group) > 1]


def _quantity(label: str) -> Decimal | str:
    """Return a label as a number, if it is one."""
    return Decimal(label) if _NUMBER.fullmatch(label) else label


def _check_names(raw: RawData, names: list[str], ids: dict[str, int], by_id: bool) -> None:
    """Check `prepare.label_names` against the labels of the tables."""
    train, problems = raw.splits["train"], Problems()
    for table in raw.splits.values():
        for i, label in _iterate_labels(table):
            has = f"has the label {quoted(label)}"
            if label not in ids:
                fault = _differs(label, names, "`prepare.label_names`") or _unquoted(label, names)
                fault = fault or "which `prepare.label_names` does not list. Add it there."
                problems.add(table.location(i), f"{has}, {fault}")
            elif by_id and not 0 <= ids[label] < len(names):
                known = f"`prepare.label_names` has names for the ids 0 to {len(names) - 1}"
                problems.add(table.location(i), f"{has}, but {known}. Correct one of them.")
    problems.check()
    multi_label = any(isinstance(labels, tuple) for labels in train.rows["label"])
    for name in names:
        if multi_label and JOINT in name:
            raise PotstillError(f"`prepare.label_names`: {name!r} contains {JOINT}, which separates labels. Rename it.")
    used = {ids[label] for _, label in _iterate_labels(train)}
    if unused := [repr(name) for id_, name in enumerate(names) if id_ not in used]:
        its = "it" if len(unused) == 1 else "them"
        raise PotstillError(f"`prepare.label_names`: no row of {train.name} has {join_names(unused)}. Remove {its}.")


def _differs(label: str, names: list[str], where: str) -> str | None:
    """Describe how an unknown label differs from the class that is probably meant; None if no class is similar."""
    near = next((name for name in names if folded(name) == folded(label)), None)
    if near is None:
        return None
    difference = describe_difference(label, near)
    return f"which differs from {quoted(near)} in {where} only in {difference}. Write them in the same way."


def _unquoted(label: str, names: list[str]) -> str | None:
    """Describe a label that YAML has probably parsed as a number; None if no name is the same number."""
    near = next((name for name in names if _quantity(name) == _quantity(label)), None)
    return near and f"which is {near!r} in `prepare.label_names`. Write it there in the same way, in quotes."
