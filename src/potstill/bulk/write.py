"""Writing answers into tables."""

import csv
import io
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from potstill import files
from potstill.bulk.formats import STANDARD, Format, pyarrow
from potstill.errors import PotstillError
from potstill.runtime.decision import JOINT
from potstill.terminal import as_json


@dataclass(frozen=True)
class Answers:
    """The most probable classes of some texts, the best first.

    Attributes:
        names: of all classes.
        ids: int64 (texts, classes asked for): the places of the names; -1 where a text's best is below the threshold.
        probabilities: float32, of the same shape.
        numbers: which rows they are; None to leave them out.
        passed_on: bool (texts,): whether another model answered; None where there is none.
    """

    names: Sequence[str]
    ids: np.ndarray
    probabilities: np.ndarray
    numbers: Sequence[int] | None
    passed_on: np.ndarray | None

    def columns(self) -> dict[str, np.ndarray]:
        """By name: `row` if rows are numbered, `label` (ids) and `probability`, then `label_2`…; and `passed_on`."""
        found = {} if self.numbers is None else {"row": np.array(self.numbers, np.int64)}
        for i in range(self.ids.shape[1]):
            end = "" if i == 0 else f"_{i + 1}"
            found |= {f"label{end}": self.ids[:, i], f"probability{end}": self.probabilities[:, i]}
        return found if self.passed_on is None else found | {"passed_on": self.passed_on}

    def shown(self, labels: Sequence[str], form: str = "{}") -> list[list[str]]:
        """The columns as text: `labels` for the ids, the last one for -1; `form` is put around each, with its name."""
        columns = []
        for name, values in self.columns().items():
            around = form.replace("NAME", name)
            if name.startswith("label"):
                texts = [around.replace("{}", label) for label in labels]
                columns.append([texts[id_] for id_ in values.tolist()])
            elif values.dtype == bool:
                columns.append([around.format(str(value).lower()) for value in values.tolist()])
            else:
                around = around.replace("{}", "{:.6f}" if name.startswith("probability") else "{}")
                columns.append([around.format(value) for value in values.tolist()])
        return columns

    def lines(self) -> list[str]:
        """The labels of each text, for a text file."""
        labels = [*self.names, ""]
        return ["\t".join([labels[id_] for id_ in row]) for row in self.ids.tolist()]

    def arrow(self, arrow: Any) -> dict[str, Any]:
        """The columns for Arrow, which `arrow` is."""
        names = arrow.array(self.names, arrow.string())
        return {
            name: names.take(arrow.array(values, mask=values < 0)) if name.startswith("label") else values
            for name, values in self.columns().items()
        }


@dataclass(frozen=True)
class LabelSets:
    """The labels of some texts that may have several, or none.

    Attributes:
        names: of all labels.
        ids: int64, the places of the names of all texts' labels, one text after the other, the most probable first.
        probabilities: float32, of the same shape.
        counts: int64 (texts,): how many of them belong to each text.
        numbers: which rows they are; None to leave them out.
    """

    names: Sequence[str]
    ids: np.ndarray
    probabilities: np.ndarray
    counts: np.ndarray
    numbers: Sequence[int] | None

    def columns(self) -> list[str]:
        """`row` if rows are numbered, `labels` and `probabilities`."""
        return [*([] if self.numbers is None else ["row"]), "labels", "probabilities"]

    def shown(self, labels: Sequence[str], form: str = "") -> list[list[str]]:
        """The columns as text, see `Answers.shown`; without `form` lists are joined, with it they are JSON's."""
        columns = [] if self.numbers is None else [[str(number) for number in self.numbers]]
        joint, around = (", ", "[{}]") if form else (JOINT, "{}")
        for texts in ([labels[id_] for id_ in self.ids.tolist()], [f"{p:.6f}" for p in self.probabilities.tolist()]):
            columns.append([around.format(joint.join(part)) for part in self._parts(texts)])
        if not form:
            return columns
        return [
            [form.replace("NAME", name).replace("{}", value) for value in column]
            for name, column in zip(self.columns(), columns, strict=True)
        ]

    def lines(self) -> list[str]:
        """The labels of each text, joined."""
        return [JOINT.join(part) for part in self._parts([self.names[id_] for id_ in self.ids.tolist()])]

    def arrow(self, arrow: Any) -> dict[str, Any]:
        """The columns for Arrow, which `arrow` is: lists of labels and of their probabilities."""
        ends = arrow.array(np.append(0, self.counts.cumsum()), arrow.int32())
        labels = arrow.array(self.names, arrow.string()).take(arrow.array(self.ids))
        lists = {"labels": labels, "probabilities": arrow.array(self.probabilities)}
        found: dict[str, Any] = {} if self.numbers is None else {"row": np.array(self.numbers, np.int64)}
        return found | {name: arrow.ListArray.from_arrays(ends, values) for name, values in lists.items()}

    def _parts(self, texts: list[str]) -> Iterator[list[str]]:
        ends = self.counts.cumsum().tolist()
        for count, end in zip(self.counts.tolist(), ends, strict=True):
            yield texts[end - count : end]


Write = Callable[[Answers | LabelSets], None]


@contextmanager
def writer(path: str, kind: Format, *sources: Path | str | int) -> Iterator[Write]:
    """Give a function that writes answers to a file or to standard output; `sources` are those of `files.output`."""
    with output(path, *sources) as stream:
        if kind == "parquet":
            with _parquet_writer(stream) as write:
                yield write
            return
        make = {"txt": _to_text, "jsonl": _to_jsonl}.get(kind) or _to_fields(kind)

        def write(answers: Answers | LabelSets) -> None:
            stream.write(make(answers).encode())
            stream.flush()  # whoever reads a pipe sees them at once

        yield write


@contextmanager
def output(path: str, *sources: Path | str | int) -> Iterator[BinaryIO]:
    """Open a file as `files.output` does, or `-` for standard output."""
    if path == STANDARD:
        files.check_writable(1, "standard output", *sources)
        yield sys.stdout.buffer
        return
    with files.output(path, *sources) as stream:
        yield stream


def _to_text(answers: Answers | LabelSets) -> str:
    for name in answers.names:
        if "\t" in name or len(f"{name}.".splitlines()) > 1:
            raise PotstillError(
                f"the label {name!r} would break the lines of a text file. Write jsonl, csv or parquet."
            )
    return "".join(f"{line}\n" for line in answers.lines())


def _to_jsonl(answers: Answers | LabelSets) -> str:
    labels = [as_json(name) for name in answers.names]
    columns = answers.shown([*labels, "null"], '"NAME": {}')
    return "".join(f"{{{', '.join(row)}}}\n" for row in zip(*columns, strict=True))


def _to_fields(kind: Format) -> Callable[[Answers | LabelSets], str]:
    headed = False

    def make(answers: Answers | LabelSets) -> str:
        nonlocal headed
        stream = io.StringIO()
        # A carriage return in a label is quoted only if lines end in one.
        rows = csv.writer(stream, delimiter="\t" if kind == "tsv" else ",", lineterminator="\r\n")
        if not headed:
            rows.writerow(answers.columns())
            headed = True
        rows.writerows(zip(*answers.shown([*answers.names, ""]), strict=True))
        return stream.getvalue().replace("\r\n", "\n")

    return make


@contextmanager
def _parquet_writer(stream: BinaryIO) -> Iterator[Write]:
    arrow = pyarrow()
    made: Any = None

    def write(answers: Answers | LabelSets) -> None:
        nonlocal made
        table = arrow.table(answers.arrow(arrow))
        made = made or arrow.parquet.ParquetWriter(stream, table.schema)
        made.write_table(table)

    try:
        yield write
    finally:
        if made:
            made.close()
