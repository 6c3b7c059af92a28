"""The predictions of all models for one split, in one table."""

import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet

from potstill.core import files, schemas
from potstill.core.labels import confidence, is_answered, is_correct, predict_labels
from potstill.data.dataset import check, targets


@dataclass(frozen=True)
class Predictions:
    """The true labels of a split and the probabilities that each model predicts.

    Attributes:
        texts: the n texts.
        labels: the true labels, see `Dataset.targets`.
        probabilities: floats (n, classes) by model name; NaN where a table of probabilities has no such text, or an
            LLM has not answered it.
        thresholds: the decision threshold of each label by model name, for multi-label tasks; else empty.
    """

    texts: list[str]
    labels: np.ndarray
    probabilities: dict[str, np.ndarray]
    thresholds: dict[str, list[float]] = field(default_factory=dict)

    def predicted(self, model: str) -> np.ndarray:
        """Return the labels that a model predicts, ids or booleans, see `core.labels`."""
        return predict_labels(self.probabilities[model], self.thresholds.get(model))

    def correct(self, model: str) -> np.ndarray:
        """Return whether each prediction of a model is correct, booleans (n,)."""
        return is_correct(self.predicted(model), self.labels) & self.answered(model)

    def answered(self, model: str) -> np.ndarray:
        """Return whether a model has a prediction for each text, booleans (n,)."""
        return is_answered(self.probabilities[model])

    def confidence(self, model: str) -> np.ndarray:
        """Return the confidence of a model in each of its predictions, floats (n,)."""
        return confidence(self.probabilities[model], self.predicted(model))

    def save(self, path: Path) -> None:
        """Write a Parquet file: `text`, `label`, and per model and class id a column such as `student 0`."""
        labels: Any = self.labels if self.labels.ndim == 1 else [np.flatnonzero(row) for row in self.labels]
        table = pd.DataFrame({"text": pd.Series(self.texts, dtype="str"), "label": labels})
        columns = [pd.DataFrame(p.astype(np.float32)).add_prefix(f"{name} ") for name, p in self.probabilities.items()]
        table = pd.concat([table, *columns], axis=1)
        table.attrs |= {"thresholds": self.thresholds} if self.thresholds else {}
        with files.atomic_write(path) as part:
            table.to_parquet(part, index=False)

    @classmethod
    def load(cls, path: Path, source: BinaryIO | None = None) -> "Predictions":
        """Read a file that `save` wrote.

        Args:
            path: the file, or its name in messages if `source` is given.
            source: the open file to read instead.

        Raises:
            PotstillError: the file is missing or damaged.
        """
        with files.reading(path):
            file = pa.parquet.ParquetFile(source or path)
            schema = file.schema_arrow
            columns = Counter(name.rsplit(" ", 1)[0] for name in schema.names[2:])
            if not columns:
                raise ValueError("it has no probabilities")
            classes = max(columns.values())
            scores = schemas.score_schema(f"{name} {label}" for name in columns for label in range(classes))
            multi_label = pa.types.is_list(schema.field("label").type)
            schemas.check_schema(file, pa.schema([*schemas.split_schema(multi_label), *scores]))
            table = file.read()
            schemas.check_values(table.select(["text", "label"]))  # pandas writes NaN as a missing value
            probabilities = {
                name: np.stack([table[f"{name} {label}"].to_numpy() for label in range(classes)], 1, dtype=np.float64)
                for name in columns
            }
            labels = table["label"].to_pandas()
            check(labels, classes)
            thresholds = json.loads(table.schema.metadata.get(b"PANDAS_ATTRS", b"{}")).get("thresholds", {})
            return cls(table["text"].to_pylist(), targets(labels, classes), probabilities, thresholds)
