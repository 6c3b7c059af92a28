"""A teacher on disk: a folder with `teacher.json` and either a checkpoint or a table of probabilities."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from potstill import files, inputs
from potstill.errors import PotstillError
from potstill.teacher import table

Progress = Callable[[int], object]


def _ignore(rows: int) -> None:
    pass


@dataclass(frozen=True)
class Teacher:
    """Something that scores texts.

    Attributes:
        labels: the names of the classes.
        parameters: how many, or None for a table.
        logits: takes texts, and optionally a function that is told the rows of each batch done, and one that is told
            how many texts were cut off; gives float32 of shape (texts, classes). A table gives NaN for texts that it
            lacks.
    """

    labels: list[str]
    parameters: int | None
    logits: Callable[..., np.ndarray]


class _Facts(BaseModel):
    """What `teacher.json` holds."""

    model_config = ConfigDict(strict=True)

    kind: Literal["checkpoint", "table"]
    labels: list[str] = Field(min_length=2)
    max_length: int | None = Field(ge=1)
    multi_label: bool = False


def describe(
    folder: Path, kind: str, labels: list[str], max_length: int | None = None, multi_label: bool = False
) -> None:
    """Write `teacher.json`, which makes a folder a teacher."""
    facts: dict[str, Any] = {"kind": kind, "labels": labels, "max_length": max_length}
    if multi_label:
        facts["multi_label"] = True
    (folder / "teacher.json").write_text(json.dumps(facts, indent=2, ensure_ascii=False) + "\n", "utf-8")


def load(folder: Path, batch_size: int = 32, precision: str = "auto") -> Teacher:
    """Load a teacher.

    Args:
        folder: what the stage `teacher` wrote.
        batch_size: texts scored at once.
        precision: `auto`, `bf16` or `fp32`.

    Raises:
        PotstillError: the folder is missing or damaged.
    """
    facts = _read(folder)
    labels = facts.labels
    if facts.kind == "table":
        path = folder / "table.parquet"
        with files.reading(path):
            found = pa.parquet.read_schema(path).names[1:]
        columns = pa.schema([*inputs.TEXT_SCHEMA, *inputs.score_schema(found, pa.float64())])
        probabilities = inputs.read(path, columns).replace_schema_metadata().to_pandas()
        if found != labels:
            raise _contradicted(folder, labels, "table.parquet", found)

        def look_up(texts: list[str], progress: Progress = _ignore, cut: Progress = _ignore) -> np.ndarray:
            progress(len(texts))
            return table.logits(probabilities, pd.Series(texts, dtype="str"), facts.multi_label)

        return Teacher(labels, None, look_up)
    # Imported late: a table needs neither torch nor transformers.
    from potstill.teacher import pretrained, score

    limit = facts.max_length
    if limit is None:
        raise _damaged(folder, "`max_length` is not a number of tokens", limit)
    model, tokenizer = pretrained.load(str(folder), trained=True)
    config: Any = model.config
    found = [config.id2label.get(place) for place in range(config.num_labels)]
    if found != labels:
        raise _contradicted(folder, labels, "config.json", found)
    if facts.multi_label != (config.problem_type == "multi_label_classification"):
        raise _damaged(folder, "`multi_label` is not what config.json says", facts.multi_label)

    def logits(texts: list[str], progress: Progress = _ignore, cut: Progress = _ignore) -> np.ndarray:
        return score.logits(
            model,
            tokenizer,
            texts,
            max_length=limit,
            batch_size=batch_size,
            precision=precision,
            progress=progress,
            cut=cut,
        )

    return Teacher(labels, model.num_parameters(), logits)


def _read(folder: Path) -> _Facts:
    content = files.read_json(folder / "teacher.json")
    try:
        return _Facts.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        raise _damaged(folder, f"`{key}`: {first['msg']}" if key else first["msg"], first["input"]) from None


def _damaged(folder: Path, what: str, found: Any) -> PotstillError:
    shown = json.dumps(found, ensure_ascii=False)[:80]
    return PotstillError(
        f"{folder / 'teacher.json'}: {what} (found: {shown}): run `make verify`, then `dvc repro`, or copy the "
        "teacher's folder again"
    )


def _contradicted(folder: Path, labels: list[str], other: str, found: list[Any]) -> PotstillError:
    return _damaged(folder, f"`labels` are not those of {other}, {json.dumps(found, ensure_ascii=False)}", labels)
