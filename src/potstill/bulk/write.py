"""Writing answers into tables."""

import csv
import io
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from potstill.bulk.formats import STANDARD, Format, pyarrow
from potstill.files import whole


@dataclass(frozen=True)
class Answers:
    """The most probable classes of some texts, the best first.

    Attributes:
        labels: object array (texts, classes asked for); None where a text's best is below the threshold.
        probabilities: float32, of the same shape.
        numbers: which rows they are; None to leave them out.
    """

    labels: np.ndarray
    probabilities: np.ndarray
    numbers: Sequence[int] | None

    def columns(self) -> dict[str, Any]:
        """By name: `row` if rows are numbered, `label` and `probability`, then `label_2` and so on."""
        found: dict[str, Any] = {} if self.numbers is None else {"row": np.array(self.numbers, np.int64)}
        for i in range(self.labels.shape[1]):
            end = "" if i == 0 else f"_{i + 1}"
            found |= {f"label{end}": self.labels[:, i], f"probability{end}": self.probabilities[:, i]}
        return found


Write = Callable[[Answers], None]


@contextmanager
def writer(path: str, kind: Format) -> Iterator[Write]:
    """Give a function that writes answers; a file appears whole, or not at all."""
    place: AbstractContextManager[Any] = nullcontext(STANDARD) if path == STANDARD else whole(Path(path))
    with place as part:
        if kind == "parquet":
            with _parquet_writer(part) as write:
                yield write
            return
        make = {"txt": _to_text, "jsonl": _to_jsonl}.get(kind) or _to_fields(kind)
        if part == STANDARD:
            yield lambda answers: _to_standard(make(answers))
            sys.stdout.flush()
            return
        with open(part, "w", encoding="utf-8", newline="") as stream:
            yield lambda answers: print(make(answers), end="", file=stream)


def _to_standard(text: str) -> None:
    sys.stdout.buffer.write(text.encode())
    sys.stdout.buffer.flush()


def _to_text(answers: Answers) -> str:
    return "".join("\t".join(str(label or "") for label in row) + "\n" for row in answers.labels)


def _to_jsonl(answers: Answers) -> str:
    columns = answers.columns()
    shown = []
    for name, values in columns.items():
        key = json.dumps(name)
        if name.startswith("probability"):
            shown.append([f"{key}: {value:.6f}" for value in values.tolist()])
        else:
            texts = {value: f"{key}: {json.dumps(value, ensure_ascii=False)}" for value in set(values.tolist())}
            shown.append([texts[value] for value in values.tolist()])
    return "".join(f"{{{', '.join(row)}}}\n" for row in zip(*shown, strict=True))


def _to_fields(kind: Format) -> Callable[[Answers], str]:
    headed = False

    def make(answers: Answers) -> str:
        nonlocal headed
        columns = answers.columns()
        stream = io.StringIO()
        rows = csv.writer(stream, delimiter="\t" if kind == "tsv" else ",", lineterminator="\n")
        if not headed:
            rows.writerow(columns)
            headed = True
        shown = [
            [f"{value:.6f}" for value in values.tolist()] if name.startswith("probability") else values.tolist()
            for name, values in columns.items()
        ]
        rows.writerows(zip(*shown, strict=True))
        return stream.getvalue()

    return make


@contextmanager
def _parquet_writer(part: Any) -> Iterator[Write]:
    arrow = pyarrow()
    made: Any = None

    def write(answers: Answers) -> None:
        nonlocal made
        table = arrow.table({name: arrow.array(values) for name, values in answers.columns().items()})
        fields = [
            arrow.field(field.name, arrow.string()) if field.name.startswith("label") else field
            for field in table.schema
        ]
        table = table.cast(arrow.schema(fields))
        made = made or arrow.parquet.ParquetWriter(sys.stdout.buffer if part == STANDARD else part, table.schema)
        made.write_table(table)

    try:
        yield write
    finally:
        if made:
            made.close()
