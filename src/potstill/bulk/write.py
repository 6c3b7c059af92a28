"""Predictions as tables, and writing them."""

import csv
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, BinaryIO

import numpy as np

from potstill.core import files
from potstill.core.errors import PotstillError
from potstill.core.labels import JOINT
from potstill.readers.formats import STANDARD, Format, pyarrow
from potstill.terminal import as_json, escaped, finite


@dataclass(frozen=True)
class TopLabels:
    """The k most probable labels of texts, the most probable first.

    Attributes:
        labels: the names of all classes.
        ids: int64 (texts, k): class ids; -1 if a text's highest probability is below the threshold.
        probabilities: float32 (texts, k).
        numbers: the row numbers of the texts; None to write none.
        passed_on: bool (texts,): whether the fallback classified the text; None without a fallback.
        in_scope: bool (texts,): whether the text is in scope; None to write nothing about it.
    """

    labels: Sequence[str]
    ids: np.ndarray
    probabilities: np.ndarray
    numbers: Sequence[int] | None
    passed_on: np.ndarray | None
    in_scope: np.ndarray | None = None

    def columns(self) -> dict[str, np.ndarray]:
        """Return the columns: `row`, `label` (ids), `probability`, `label_2`, …, `passed_on`, `in_scope`, if any."""
        found = {} if self.numbers is None else {"row": np.array(self.numbers, np.int64)}
        for i in range(self.ids.shape[1]):
            end = "" if i == 0 else f"_{i + 1}"
            found |= {f"label{end}": self.ids[:, i], f"probability{end}": self.probabilities[:, i]}
        others = {"passed_on": self.passed_on, "in_scope": self.in_scope}
        return found | {name: values for name, values in others.items() if values is not None}

    def formatted(self, labels: Sequence[str], template: str = "{}") -> list[list[str]]:
        """Return the columns as strings.

        Args:
            labels: what to write for each class id; the last one for -1.
            template: put around each value, whose place is `{}`; `NAME` is the name of the column.
        """
        columns = []
        for name, values in self.columns().items():
            cell = template.replace("NAME", name)
            if name.startswith("label"):
                cells = [cell.replace("{}", label) for label in labels]
                columns.append([cells[id_] for id_ in values.tolist()])
            elif values.dtype == bool:
                columns.append([cell.format(str(value).lower()) for value in values.tolist()])
            else:
                cell = cell.replace("{}", "{:.6f}") if name.startswith("probability") else cell
                columns.append([cell.format(value) for value in values.tolist()])
        return columns

    def lines(self) -> list[str]:
        """Return the labels of each text, separated by tabs."""
        labels = [*self.labels, ""]
        return ["\t".join([labels[id_] for id_ in row]) for row in self.ids.tolist()]

    def table(self) -> Any:
        """Return the columns as an Arrow table."""
        arrow = pyarrow()
        labels = arrow.array(self.labels, arrow.string())
        columns = {
            name: labels.take(arrow.array(values, mask=values < 0)) if name.startswith("label") else values
            for name, values in self.columns().items()
        }
        return arrow.table(columns)


@dataclass(frozen=True)
class LabelSets:
    """The labels of multi-label texts, each with any number of them.

    Attributes:
        labels: the names of all labels.
        ids: int64: the label ids of all texts, text by text, the most probable first.
        probabilities: float32, of the same shape.
        counts: int64 (texts,): the number of labels of each text.
        numbers: the row numbers of the texts; None to write none.
        in_scope: bool (texts,): whether the text is in scope; None to write nothing about it.
    """

    labels: Sequence[str]
    ids: np.ndarray
    probabilities: np.ndarray
    counts: np.ndarray
    numbers: Sequence[int] | None
    in_scope: np.ndarray | None = None

    def columns(self) -> list[str]:
        """Return the names of the columns: `row`, if any, `labels`, `probabilities`, and `in_scope`, if any."""
        row, last = [] if self.numbers is None else ["row"], [] if self.in_scope is None else ["in_scope"]
        return [*row, "labels", "probabilities", *last]

    def formatted(self, labels: Sequence[str], template: str = "") -> list[list[str]]:
        """Return the columns as strings, see `TopLabels.formatted`; lists are JSON if a `template` is given."""
        columns = [] if self.numbers is None else [[str(number) for number in self.numbers]]
        joint, cell = (", ", "[{}]") if template else (JOINT, "{}")
        for values in ([labels[id_] for id_ in self.ids.tolist()], [f"{p:.6f}" for p in self.probabilities.tolist()]):
            columns.append([cell.format(joint.join(part)) for part in self._split(values)])
        if self.in_scope is not None:
            columns.append([str(value).lower() for value in self.in_scope.tolist()])
        if not template:
            return columns
        return [
            [template.replace("NAME", name).replace("{}", value) for value in column]
            for name, column in zip(self.columns(), columns, strict=True)
        ]

    def lines(self) -> list[str]:
        """Return the labels of each text, joined."""
        return [JOINT.join(part) for part in self._split([self.labels[id_] for id_ in self.ids.tolist()])]

    def table(self) -> Any:
        """Return the columns as an Arrow table, with lists of labels and of probabilities."""
        arrow = pyarrow()
        ends = arrow.array(np.append(0, self.counts.cumsum()), arrow.int32())
        labels = arrow.array(self.labels, arrow.string()).take(arrow.array(self.ids))
        lists = {"labels": labels, "probabilities": arrow.array(self.probabilities)}
        found: dict[str, Any] = {} if self.numbers is None else {"row": np.array(self.numbers, np.int64)}
        found |= {name: arrow.ListArray.from_arrays(ends, values) for name, values in lists.items()}
        return arrow.table(found if self.in_scope is None else found | {"in_scope": self.in_scope})

    def _split(self, values: list[str]) -> Iterator[list[str]]:
        """Yield the values of each text."""
        ends = self.counts.cumsum().tolist()
        for count, end in zip(self.counts.tolist(), ends, strict=True):
            yield values[end - count : end]


Kept = Mapping[str, Any]
"""Columns of the input that are written before the predictions, by name: lists, or Arrow arrays."""
NOTHING: Kept = MappingProxyType({})


def to_txt(predictions: TopLabels | LabelSets) -> str:
    """Return lines with the labels only, a line per text."""
    for label in predictions.labels:
        if "\t" in label or len(f"{label}.".splitlines()) > 1:
            raise PotstillError(
                f"the label {label!r} would break the lines of a text file. Write jsonl, csv or parquet."
            )
    return "".join(f"{line}\n" for line in predictions.lines())


def to_jsonl(predictions: TopLabels | LabelSets, kept: Kept) -> str:
    """Return a JSON object per text."""
    labels = [as_json(label) for label in predictions.labels]
    carried = [[f"{as_json(name)}: {_as_json(value)}" for value in _values(held)] for name, held in kept.items()]
    columns = [*carried, *predictions.formatted([*labels, "null"], '"NAME": {}')]
    return "".join(f"{{{', '.join(row)}}}\n" for row in zip(*columns, strict=True))


def to_csv(predictions: TopLabels | LabelSets, kept: Kept, delimiter: str, header: bool) -> str:
    """Return CSV or TSV, with a header or without."""
    lines = _Lines()
    # The csv module quotes a carriage return in a label only if lines end in one.
    rows = csv.writer(lines, delimiter=delimiter, lineterminator="\r\n")
    if header:
        rows.writerow([*kept, *predictions.columns()])
    carried = [list(map(_cell, _values(held))) for held in kept.values()]
    rows.writerows(zip(*carried, *predictions.formatted([*predictions.labels, ""]), strict=True))
    return "".join(lines)


class _Lines(list[str]):
    """The lines that a csv writer writes, one at a time, with line feeds at their ends."""

    def write(self, line: str) -> None:
        self.append(f"{line[:-2]}\n")


def _values(held: Any) -> list[Any]:
    """Return the values of a column that is kept."""
    return held if isinstance(held, list) else held.to_pylist()


def _as_json(value: Any) -> str:
    """Return a value that is kept as JSON; what JSON does not have, such as a date, as a string."""
    return escaped(json.dumps(finite(value), ensure_ascii=False, default=str))


def _cell(value: Any) -> str:
    """Return a value that is kept for a cell of CSV: nothing if it is missing, a list as JSON."""
    if value is None or value != value:
        return ""
    return _as_json(value) if isinstance(value, bool | list | dict) else str(value)


def to_table(predictions: TopLabels | LabelSets, kept: Kept) -> Any:
    """Return an Arrow table; columns that are kept from Parquet have their types, others are strings."""
    table, arrow = predictions.table(), pyarrow()
    for i, (name, held) in enumerate(kept.items()):
        strings = [None if value is None else _cell(value) for value in held] if isinstance(held, list) else None
        table = table.add_column(i, name, held if strings is None else arrow.array(strings, arrow.string()))
    return table


class Writer:
    """Writes batches of predictions to a stream in a format; in Parquet as row groups."""

    def __init__(self, stream: BinaryIO, kind: Format) -> None:
        self.stream = stream
        self.kind = kind
        self.arrow = pyarrow() if kind == "parquet" else None
        self.parquet: Any = None
        self.is_first = True

    def write(self, predictions: TopLabels | LabelSets, kept: Kept = NOTHING) -> None:
        """Write a batch, after columns of its input that are kept.

        Raises:
            PotstillError: columns are to be kept in txt, or are named as those of predictions.
        """
        if self.is_first and kept:
            self._check(predictions, kept)
        if self.arrow:
            table = to_table(predictions, kept)
            self.parquet = self.parquet or self.arrow.parquet.ParquetWriter(self.stream, table.schema)
            self.parquet.write_table(table)
            self.is_first = False
            return
        if self.kind == "txt":
            text = to_txt(predictions)
        elif self.kind == "jsonl":
            text = to_jsonl(predictions, kept)
        else:
            text = to_csv(predictions, kept, "\t" if self.kind == "tsv" else ",", header=self.is_first)
        self.is_first = False
        self.stream.write(text.encode())
        self.stream.flush()  # so that a reader of a pipe sees it at once

    def _check(self, predictions: TopLabels | LabelSets, kept: Kept) -> None:
        if self.kind == "txt":
            raise PotstillError("--keep: a text file has labels only. Write jsonl, csv or parquet.")
        if same := [name for name in kept if name in predictions.columns()]:
            raise PotstillError(
                f"--keep: the predictions have a column {same[0]!r} of their own. Rename that of the input, or leave "
                "it out."
            )


@contextmanager
def writer(path: str, kind: Format, *sources: Path | str | int, overwrite: bool) -> Iterator[Writer]:
    """Give a writer to what `output` opens."""
    with output(path, *sources, overwrite=overwrite) as stream:
        made = Writer(stream, kind)
        try:
            yield made
        finally:
            if made.parquet:
                made.parquet.close()


@contextmanager
def output(path: str, *sources: Path | str | int, overwrite: bool) -> Iterator[BinaryIO]:
    """Open a file as `files.output` does, or `-` for standard output.

    Raises:
        PotstillError: as there; or the file exists, and is not to be overwritten.
    """
    if path == STANDARD:
        files.check_writable(1, "standard output", *sources)
        yield sys.stdout.buffer
        return
    exists = os.path.isfile(path)
    with files.output(path, *sources) as stream:
        # A stream by number is one of this process, such as /dev/stdout, which the shell may have opened to append.
        if exists and not overwrite and not isinstance(stream.name, int):
            raise PotstillError(f"{path}: it exists already. Name another file, or add --overwrite.")
        yield stream
