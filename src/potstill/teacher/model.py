"""A teacher on disk: a folder with `teacher.json` and either a checkpoint or a table of probabilities."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from potstill import files
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
    facts = files.read_json(folder / "teacher.json")
    if facts["kind"] == "table":
        probabilities = pd.read_parquet(folder / "table.parquet")

        def look_up(texts: list[str], progress: Progress = _ignore, cut: Progress = _ignore) -> np.ndarray:
            progress(len(texts))
            return table.logits(probabilities, pd.Series(texts, dtype="str"), "multi_label" in facts)

        return Teacher(facts["labels"], None, look_up)
    # Imported late: a table needs neither torch nor transformers.
    from potstill.teacher import pretrained, score

    model, tokenizer = pretrained.load(str(folder))

    def logits(texts: list[str], progress: Progress = _ignore, cut: Progress = _ignore) -> np.ndarray:
        return score.logits(
            model,
            tokenizer,
            texts,
            max_length=facts["max_length"],
            batch_size=batch_size,
            precision=precision,
            progress=progress,
            cut=cut,
        )

    return Teacher(facts["labels"], model.num_parameters(), logits)
