"""Every model's answers for a split, in one table."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pandas as pd

from potstill import files
from potstill.errors import PotstillError


@dataclass(frozen=True)
class Answers:
    """A split and what the models say of it.

    Attributes:
        texts: the texts.
        labels: their true ids, int64 of shape (texts,).
        models: by the name of the model its probabilities, of shape (texts, classes); NaN where a table of
            probabilities lacks the text.
    """

    texts: list[str]
    labels: np.ndarray
    models: dict[str, np.ndarray]

    def save(self, path: Path) -> None:
        """Write a Parquet file: `text`, `label`, and per model and class id a column such as `student 0`."""
        table = pd.DataFrame({"text": pd.Series(self.texts, dtype="str"), "label": self.labels})
        answers = [
            pd.DataFrame(probabilities.astype(np.float32)).add_prefix(f"{name} ")
            for name, probabilities in self.models.items()
        ]
        with files.whole(path) as part:
            pd.concat([table, *answers], axis=1).to_parquet(part, index=False)

    @classmethod
    def load(cls, path: Path | BinaryIO) -> "Answers":
        """Read what `save` wrote, from a file or an open one.

        Raises:
            PotstillError: the file is missing or damaged.
        """
        try:
            table = pd.read_parquet(path)
        except (OSError, ValueError) as error:
            raise PotstillError(
                f"{path} cannot be read ({error}): run `dvc repro` (or `dvc pull`) to make it"
            ) from None
        columns: dict[str, list[str]] = {}
        for column in table.columns[2:]:
            columns.setdefault(column.rsplit(" ", 1)[0], []).append(column)
        models = {name: table[of_model].to_numpy(np.float64) for name, of_model in columns.items()}
        return cls(table["text"].tolist(), table["label"].to_numpy(), models)


def of_split(split: pd.DataFrame, models: Mapping[str, np.ndarray]) -> Answers:
    """The answers for a prepared split."""
    return Answers(split["text"].tolist(), split["label"].to_numpy(), dict(models))
