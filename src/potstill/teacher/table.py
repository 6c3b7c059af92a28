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
from potstill.readers.read import names
from potstill.readers.read import read as read_table
from potstill.readers.request import BadRows, Request, quoted, row_unit
from potstill.readers.rows import NUMBER
from potstill.readers.tables import class_name


def is_table(checkpoint: str) -> bool:
    """Return whether a preset's checkpoint is a table rather than a model."""
    name = formats.parse(checkpoint)
    return name is not None and name.format != "txt"


def read(path: Path, labels: list[str], multi_label: bool = False, texts: Sequence[str] = ("text",)) -> pd.DataFrame:
    """Read and check a table with columns of texts and a column of probabilities per label; other columns are ignored.

    Args:
        path: the file.
        labels: the class names.
        multi_label: whether each probability is that of one label, independent of the others.
        texts: the columns of the text; several are joined, see `readers.request.join`.

    Returns:
        A table with the column `text` and a float column per label, in the order of `labels`.

    Raises:
        PotstillError: the file is missing or unreadable, a column is missing, a row is not a probability distribution,
            or two rows contradict each other.
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
    places: list[str] = []
    bad_rows = BadRows(alternative="remove the row")
    for batch in read_table(str(path), kind, wanted, bad_rows, len(texts), advise=advise):
        held.extend(batch.texts if kind != "parquet" else batch.texts.to_pylist())
        for number, text, *values in zip(batch.numbers, held[len(rows) :], *batch.others, strict=True):
            places.append(f"{row_unit(kind)} {number}")
            where = f"{path}: {places[-1]}"
            if not text.strip():
                raise PotstillError(f"{where} has no text. Add it or remove the row.")
            rows.append(_distribution(values, multi_label, where))
    table = pd.DataFrame(np.array(rows, np.float64).reshape(-1, len(labels)), columns=labels)
    table.insert(0, "text", pd.Series(held, dtype="str"))
    if pair := _contradiction(table):
        one, other = pair
        raise PotstillError(
            f"{path}: {places[one]} and {places[other]} have the same text, {held[other][:60]!r}, but for case and "
            f"white space, and the probabilities {_rounded(rows[one])} and {_rounded(rows[other])}. Remove one."
        )
    return table


def _contradiction(table: pd.DataFrame) -> tuple[int, int] | None:
    """Return the first two rows with the same text and different probabilities."""
    same, values = pd.factorize(comparison_keys(table["text"]))[0], table.iloc[:, 1:].to_numpy()
    first = np.unique(same, return_index=True)[1][same]
    differs = np.flatnonzero((np.abs(values - values[first]) > 1e-6).any(1))
    return (int(first[differs[0]]), int(differs[0])) if len(differs) else None


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


def _distribution(values: Sequence[Any], multi_label: bool, where: str) -> list[float]:
    """Check the values of a row, and return them as numbers."""
    for value in values:
        if not (NUMBER.fullmatch(value) if isinstance(value, str) else _is_number(value)):
            raise PotstillError(f"{where} has a probability that is not a number: {value!r}. Correct it.")
    row = [float(value) for value in values]
    if not all(0 <= value < math.inf for value in row) or (multi_label and max(row) > 1):
        raise PotstillError(f"{where}: the probabilities are {_rounded(row)}. Each must be from 0 to 1.")
    if not multi_label and abs(sum(row) - 1) > 0.01:
        raise PotstillError(
            f"{where}: the probabilities are {_rounded(row)} and sum to {sum(row):.4g}. Each row must sum to one."
        )
    return row


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300


def _rounded(values: list[float]) -> list[float]:
    return [round(value, 4) for value in values]
