"""A teacher on disk: a folder with `teacher.json` and a checkpoint, a table of probabilities or an LLM's settings."""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from potstill.core import files, schemas
from potstill.core.errors import PotstillError
from potstill.scoring import table


@dataclass(frozen=True)
class Teacher:
    """A model that gives logits for texts.

    Attributes:
        labels: the names of the classes.
        parameters: their number, or None for a table or an LLM.
    """

    labels: list[str]
    parameters: int | None

    def score(self, texts: list[str]) -> tuple[np.ndarray, int]:
        """Return the logits, float32 of shape (texts, classes), and how many texts were truncated."""
        raise NotImplementedError

    def logits(self, texts: list[str]) -> np.ndarray:
        """Return the logits, float32 of shape (texts, classes)."""
        return self.score(texts)[0]


@dataclass(frozen=True)
class TableTeacher(Teacher):
    """A table of probabilities; its logits are NaN for texts that it does not contain."""

    probabilities: pd.DataFrame
    multi_label: bool

    def score(self, texts: list[str]) -> tuple[np.ndarray, int]:  # noqa: D102
        return table.logits(self.probabilities, pd.Series(texts, dtype="str"), self.multi_label), 0


@dataclass(frozen=True)
class CheckpointTeacher(Teacher):
    """A fine-tuned checkpoint; see `inference.score` for its settings."""

    network: Any
    tokenizer: Any
    max_length: int
    batch_size: int
    precision: str
    max_windows: int

    def score(self, texts: list[str]) -> tuple[np.ndarray, int]:  # noqa: D102
        # Imported late: a table needs neither torch nor transformers.
        from potstill.scoring import inference

        settings = (self.max_length, self.batch_size, self.precision, self._compiled, self.max_windows)
        return inference.score(self.network, self.tokenizer, texts, *settings)

    @cached_property
    def _compiled(self) -> Any:
        from potstill.scoring import compiled

        return compiled.compile_network(self.network, self.tokenizer, self.precision)


class _Facts(BaseModel):
    """The contents of `teacher.json`."""

    model_config = ConfigDict(strict=True)

    kind: Literal["checkpoint", "table", "llm"]
    labels: list[str] = Field(min_length=2)
    max_length: int | None = Field(ge=1)
    multi_label: bool = False
    max_windows: int = Field(default=1, ge=1)


def describe(
    folder: Path,
    kind: str,
    labels: list[str],
    max_length: int | None = None,
    multi_label: bool = False,
    max_windows: int = 1,
) -> None:
    """Write a teacher's `teacher.json`; `max_length` and `max_windows` are those of `windows.encode`."""
    facts: dict[str, Any] = {"kind": kind, "labels": labels, "max_length": max_length}
    facts |= {"multi_label": True} if multi_label else {}
    facts |= {"max_windows": max_windows} if max_windows > 1 else {}
    (folder / "teacher.json").write_text(json.dumps(facts, indent=2, ensure_ascii=False) + "\n", "utf-8")


def load(folder: Path, batch_size: int = 32, precision: str = "auto") -> Teacher:
    """Load a teacher.

    Args:
        folder: the teacher's folder, as the stage `teacher` writes it.
        batch_size: texts per batch; windows, where texts are read in several.
        precision: `auto`, `bf16` or `fp32`.

    Raises:
        PotstillError: the folder is missing or damaged.
    """
    facts = _facts(folder)
    if facts.kind == "table":
        return _load_table(folder, facts)
    if facts.kind == "llm":
        from potstill.scoring.llm.teacher import LlmTeacher

        return LlmTeacher.load(folder, facts.labels, facts.multi_label)
    return _load_checkpoint(folder, facts, batch_size, precision)


def kind(folder: Path) -> str:
    """Return the kind of a teacher: `checkpoint`, `table` or `llm`."""
    return files.read_json(folder / "teacher.json", "kind", kind=str)


def _facts(folder: Path) -> _Facts:
    content = files.read_json(folder / "teacher.json")
    try:
        return _Facts.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        raise _damaged(folder, f"`{key}`: {first['msg']}" if key else first["msg"], first["input"]) from None


def _load_table(folder: Path, facts: _Facts) -> TableTeacher:
    path = folder / "table.parquet"
    with files.reading(path):
        names = pa.parquet.read_schema(path).names[1:]
    columns = pa.schema([*schemas.TEXT_SCHEMA, *schemas.score_schema(names, pa.float64())])
    probabilities = schemas.read(path, columns).replace_schema_metadata().to_pandas()
    if names != facts.labels:
        raise _contradicted(folder, facts.labels, "table.parquet", names)
    return TableTeacher(facts.labels, None, probabilities, facts.multi_label)


def _load_checkpoint(folder: Path, facts: _Facts, batch_size: int, precision: str) -> CheckpointTeacher:
    # Imported late: a table needs neither torch nor transformers.
    from potstill.scoring import pretrained

    if facts.max_length is None:
        raise _damaged(folder, "`max_length` is not a number of tokens", facts.max_length)
    network, tokenizer = pretrained.load(str(folder), trained=True)
    config: Any = network.config
    names = [config.id2label.get(id_) for id_ in range(config.num_labels)]
    if names != facts.labels:
        raise _contradicted(folder, facts.labels, "config.json", names)
    if facts.multi_label != (config.problem_type == "multi_label_classification"):
        raise _damaged(folder, "`multi_label` contradicts config.json", facts.multi_label)
    return CheckpointTeacher(
        facts.labels,
        network.num_parameters(),
        network,
        tokenizer,
        facts.max_length,
        batch_size,
        precision,
        facts.max_windows,
    )


def _damaged(folder: Path, what: str, found: Any) -> PotstillError:
    shown = json.dumps(found, ensure_ascii=False)[:80]
    return PotstillError(
        f"{folder / 'teacher.json'}: {what} (found: {shown}). Run `make verify`, then `dvc repro`, or copy the "
        "teacher's folder again."
    )


def _contradicted(folder: Path, labels: list[str], other: str, found: list[Any]) -> PotstillError:
    return _damaged(folder, f"`labels` are not those of {other}, {json.dumps(found, ensure_ascii=False)}", labels)
