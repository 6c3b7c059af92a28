"""The prepared data: what `prepare` writes and every later stage reads."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet

from potstill import files

SPLITS = ("train", "validation", "test")


def targets(labels: pd.Series, number: int) -> np.ndarray:
    """What is right, as everybody computes with it.

    Args:
        labels: the column `label` of a split.
        number: of labels that there are.

    Returns:
        int64 ids (texts,); or booleans (texts, number) where a text may have several labels.
    """
    if labels.dtype != object:
        return labels.to_numpy()
    found = np.zeros((len(labels), number), bool)
    for row, ids in zip(found, labels, strict=True):
        row[list(ids)] = True
    return found


@dataclass(frozen=True)
class Dataset:
    """A classification task.

    Attributes:
        labels: the names of the classes; a label id is an index into it.
        train, validation, test: tables with the columns `text` (string) and `label` (int64 id, or where a text may
            have several labels a list of them).
        unlabelled: a table with the column `text`.
    """

    labels: list[str]
    train: pd.DataFrame
    validation: pd.DataFrame
    test: pd.DataFrame
    unlabelled: pd.DataFrame

    def split(self, name: str) -> pd.DataFrame:
        """One table by its name."""
        return getattr(self, name)

    @property
    def multi_label(self) -> bool:
        """Whether a text may have several labels, or none."""
        return self.train["label"].dtype == object

    def targets(self, name: str) -> np.ndarray:
        """What is right in one split, see `targets`."""
        return targets(self.split(name)["label"], len(self.labels))

    def save(self, folder: Path) -> None:
        """Write the folder: a Parquet table per split, and `dataset.json` with names, counts and hashes."""
        with files.whole(folder) as part:
            part.mkdir()
            names = (*SPLITS, "unlabelled")
            for name in names:
                self.split(name).to_parquet(part / f"{name}.parquet", index=False)
            facts = {
                "labels": self.labels,
                **({"multi_label": True} if self.multi_label else {}),
                "rows": {name: len(self.split(name)) for name in names},
                "sha256": {name: files.sha256(part / f"{name}.parquet") for name in names},
            }
            (part / "dataset.json").write_text(json.dumps(facts, indent=2, ensure_ascii=False) + "\n", "utf-8")

    @classmethod
    def load(cls, folder: Path, unlabelled: bool = True) -> "Dataset":
        """Read the folder that `save` wrote; without `unlabelled` its texts, which may be many, are left out.

        Raises:
            PotstillError: a file is missing or damaged.
        """
        labels = files.read_names(folder / "dataset.json", "labels")
        tables = {"unlabelled": pd.DataFrame({"text": []}, dtype="str")}
        for name in (*SPLITS, "unlabelled")[: 4 if unlabelled else 3]:
            path = folder / f"{name}.parquet"
            with files.reading(path):
                tables[name] = pd.read_parquet(path, columns=["text", "label"] if name in SPLITS else ["text"])
                if name in SPLITS and not tables[name]["label"].explode().dropna().isin(range(len(labels))).all():
                    raise ValueError("a label that dataset.json does not name")
        return cls(labels=labels, **tables)

    @staticmethod
    def texts(folder: Path, name: str) -> Iterator[pa.Array]:
        """The texts of a split, or the unlabelled ones, some thousands at a time.

        Raises:
            PotstillError: the file is missing or damaged.
        """
        path = folder / f"{name}.parquet"
        with files.reading(path), pa.parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(columns=["text"]):
                yield batch.column(0)
