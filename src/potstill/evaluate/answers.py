"""Every model's answers for a split, in one table."""

import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet

from potstill import files, inputs
from potstill.corpus.dataset import check, targets
from potstill.runtime.decision import choose, confidence, right


@dataclass(frozen=True)
class Answers:
    """A split and what the models say of it.

    Attributes:
        texts: the texts.
        labels: what is right, see `Dataset.targets`.
        models: by the name of the model its probabilities, of shape (texts, classes); NaN where a table of
            probabilities lacks the text.
        thresholds: by the name of the model, where a text may have several labels: from which probability on it has
            each; else empty.
    """

    texts: list[str]
    labels: np.ndarray
    models: dict[str, np.ndarray]
    thresholds: dict[str, list[float]] = field(default_factory=dict)

    def chosen(self, model: str) -> np.ndarray:
        """What a model chooses, ids or booleans, see `runtime.decision`."""
        return choose(self.models[model], self.thresholds.get(model))

    def right(self, model: str) -> np.ndarray:
        """Whether a model is right, booleans (texts,)."""
        return right(self.chosen(model), self.labels)

    def confidence(self, model: str) -> np.ndarray:
        """How sure a model is of what it chooses, floats (texts,)."""
        return confidence(self.models[model], self.chosen(model))

    def save(self, path: Path) -> None:
        """Write a Parquet file: `text`, `label`, and per model and class id a column such as `student 0`."""
        labels: Any = self.labels if self.labels.ndim == 1 else [np.flatnonzero(row) for row in self.labels]
        table = pd.DataFrame({"text": pd.Series(self.texts, dtype="str"), "label": labels})
        answers = [
            pd.DataFrame(probabilities.astype(np.float32)).add_prefix(f"{name} ")
            for name, probabilities in self.models.items()
        ]
        table = pd.concat([table, *answers], axis=1)
        table.attrs |= {"thresholds": self.thresholds} if self.thresholds else {}
        with files.atomic_write(path) as part:
            table.to_parquet(part, index=False)

    @classmethod
    def load(cls, path: Path, source: BinaryIO | None = None) -> "Answers":
        """Read what `save` wrote, from a file, or an open one that messages call `path`.

        Raises:
            PotstillError: the file is missing or damaged.
        """
        with files.reading(path):
            file = pa.parquet.ParquetFile(source or path)
            found = file.schema_arrow
            number = Counter(name.rsplit(" ", 1)[0] for name in found.names[2:])
            if not number:
                raise ValueError("it has no probabilities")
            classes = max(number.values())
            scores = inputs.score_schema(f"{name} {place}" for name in number for place in range(classes))
            several = pa.types.is_list(found.field("label").type)
            inputs.check_schema(file, pa.schema([*inputs.split_schema(several), *scores]))
            table = file.read()
            inputs.check_values(
                table.select(["text", "label"])
            )  # pandas writes what is not a number as a missing value
            models = {
                name: np.stack([table[f"{name} {place}"].to_numpy() for place in range(classes)], 1, dtype=np.float64)
                for name in number
            }
            labels = table["label"].to_pandas()
            check(labels, classes)
            noted = json.loads(table.schema.metadata.get(b"PANDAS_ATTRS", b"{}"))
            return cls(table["text"].to_pylist(), targets(labels, classes), models, noted.get("thresholds", {}))
