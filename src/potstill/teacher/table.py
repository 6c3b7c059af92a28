"""A table of probabilities made outside the pipeline (an LLM, a paid API) as a teacher."""

import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from potstill.core.errors import PotstillError, join_names, visible
from potstill.data.clean import comparison_keys
from potstill.readers import formats
from potstill.readers.problems import Problems
from potstill.readers.read import names
from potstill.readers.read import read as read_table
from potstill.readers.request import NO_TEXT, BadRows, Location, Request, quoted, row_unit
from potstill.readers.rows import NUMBER
from potstill.readers.tables import class_name


def is_table(checkpoint: str) -> bool:
    """Return whether a preset's checkpoint is a table rather than a model."""
    name = formats.parse(checkpoint)
    return name is not None and name.format != "txt"


def read(path: Path, labels: list[str], multi_label: bool = False, texts: Sequence[str] = ("text",)) -> pd.DataFrame:
    """Read and check a table with columns of texts and a column of probabilities per label; other columns are ignored.

    Rows without a text are left out, and that is printed.

    Args:
        path: the file.
        labels: the class names.
        multi_label: whether each probability is that of one label, independent of the others.
        texts: the columns of the text; several are joined, see `readers.request.join`.

    Returns:
        A table with the column `text` and a float column per label, in the order of `labels`.

    Raises:
        PotstillError: the file is missing or unreadable, a column is missing, rows are not probability distributions
            or contradict each other; the message has all such rows.
    """
    if not path.is_file():
        raise PotstillError(f"{path}: no such file. Set the preset's checkpoint to an existing table.")
    kind = formats.format_of(str(path), None, "csv")
    columns = names(str(path), kind)
    if same := set(texts) & set(labels):
        raise PotstillError(f"{path}: a class is named {min(same)!r}, like a column of texts. Rename the class.")
    found = {column if column in texts else class_name(column): column for column in columns}
    wanted = [*texts, *(found.get(label, label) for label in labels)]

    def advise(missing: Sequence[str]) -> str:
        its = f"the column{'s' * (len(texts) > 1)} {', '.join(f'`{name}`' for name in texts)}"
        return f"A table of probabilities has {its} and one per label: {', '.join(labels)}"

    missing = [name for name in (*texts, *labels) if name not in found]
    if columns and missing:
        request = Request(str(path), wanted, BadRows(), row_unit(kind), advise=advise)
        raise request.missing_columns(missing, columns, {"csv": ",", "tsv": "\t"}.get(kind, ""))
    others = [column for column in dict.fromkeys(columns) if column not in wanted]
    twins = {class_name(column): column for column in others}
    for label in labels:
        if label in twins:
            raise PotstillError(
                f"{path}: the columns {quoted(twins[label])} and {quoted(found[label])} both belong to the class "
                f"{label!r}. Remove one."
            )
    if others:
        print(visible(f"{path}: columns that are not used: {join_names([*map(quoted, others)])}"), file=sys.stderr)
    held: list[str] = []
    rows: list[list[float]] = []
    places: list[Location] = []
    problems = Problems()
    with problems.collecting():
        for batch in read_table(str(path), kind, wanted, problems, len(texts), advise=advise):
            some = batch.texts if kind != "parquet" else batch.texts.to_pylist()
            for number, text, *values in zip(batch.numbers, some, *batch.others, strict=True):
                place = Location(str(path), row_unit(kind), number)
                if fault := _fault(text, values, multi_label):
                    problems.add(place, fault)
                    continue
                held.append(text)
                rows.append([float(value) for value in values])
                places.append(place)
        if problems.without_text.count:
            problems.tell(str(path), len(held))
    table = pd.DataFrame(np.array(rows, np.float64).reshape(-1, len(labels)), columns=labels)
    table.insert(0, "text", pd.Series(held, dtype="str"))
    for one, other in _contradictions(table):
        problems.add(
            places[other],
            f"has the text of {places[one].unit} {places[one].number}, {held[other][:60]!r}, but for case and white "
            f"space, and the probabilities {_rounded(rows[other])} instead of {_rounded(rows[one])}. Remove one.",
        )
    problems.check()
    return table


def _contradictions(table: pd.DataFrame) -> list[tuple[int, int]]:
    """Return the pairs of rows with the same text and different probabilities; the first is the first of its text."""
    same, values = pd.factorize(comparison_keys(table["text"]))[0], table.iloc[:, 1:].to_numpy()
    first = np.unique(same, return_index=True)[1][same]
    differs = np.flatnonzero((np.abs(values - values[first]) > 1e-6).any(1))
    return [(int(first[row]), int(row)) for row in differs]


def coverage(name: str, table: pd.DataFrame, texts: Mapping[str, pd.Series]) -> str:
    """Return a message with the number of texts that a table covers.

    Args:
        name: the table's name in messages.
        table: as `read` returns it.
        texts: by split.

    Raises:
        PotstillError: it covers none.
    """
    known = set(comparison_keys(table["text"]))
    matches = {split: int(comparison_keys(some).isin(known).sum()) for split, some in texts.items() if len(some)}
    if not any(matches.values()):
        raise PotstillError(
            f"{name} has {len(table):,} rows, and none of them is a text of {', '.join(matches)}. Its column `text` "
            "must have these texts; case and white space may differ."
        )
    shares = [f"{number:,} of {len(texts[split]):,} {split} texts" for split, number in matches.items()]
    return f"{name}: probabilities of {', '.join(shares)}"


def _fault(text: str, values: Sequence[Any], multi_label: bool) -> str | None:
    """Return what is wrong with a row, or None."""
    if not text.strip():
        return NO_TEXT
    for value in values:
        if not (NUMBER.fullmatch(value) if isinstance(value, str) else _is_number(value)):
            return f"has a probability that is not a number: {value!r}"
        if not 0 <= float(value) < math.inf or (multi_label and float(value) > 1):
            return f"has the probability {float(value):g}, which is not from 0 to 1"
    total = sum(map(float, values))
    return None if multi_label or abs(total - 1) <= 0.01 else f"has probabilities that sum to {total:.4g}, not to one"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300


def _rounded(values: list[float]) -> list[float]:
    return [round(value, 4) for value in values]
