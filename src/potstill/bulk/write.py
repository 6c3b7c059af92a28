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
    labels = [*answers.names, ""]
    return "".join("\t".join([labels[id_] for id_ in row]) + "\n" for row in answers.ids.tolist())


def _to_jsonl(answers: Answers) -> str:
    labels = [json.dumps(name, ensure_ascii=False) for name in answers.names]
    columns = answers.shown([*labels, "null"], '"NAME": {}')
    return "".join(f"{{{', '.join(row)}}}\n" for row in zip(*columns, strict=True))


def _to_fields(kind: Format) -> Callable[[Answers], str]:
    headed = False

    def make(answers: Answers) -> str:
        nonlocal headed
        stream = io.StringIO()
        rows = csv.writer(stream, delimiter="\t" if kind == "tsv" else ",", lineterminator="\n")
        if not headed:
            rows.writerow(answers.columns())
            headed = True
        rows.writerows(zip(*answers.shown([*answers.names, ""]), strict=True))
        return stream.getvalue()

    return make


@contextmanager
def _parquet_writer(part: Any) -> Iterator[Write]:
    arrow = pyarrow()
    made: Any = None

    def write(answers: Answers) -> None:
        nonlocal made
        names = arrow.array(answers.names, arrow.string())
        columns = answers.columns()
        table = arrow.table(
            {
                name: names.take(arrow.array(values, mask=values < 0)) if name.startswith("label") else values
                for name, values in columns.items()
            }
        )
        made = made or arrow.parquet.ParquetWriter(sys.stdout.buffer if part == STANDARD else part, table.schema)
        made.write_table(table)

    try:
        yield write
    finally:
        if made:
            made.close()
