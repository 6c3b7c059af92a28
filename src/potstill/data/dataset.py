"""The prepared data, which `prepare` writes and every later stage reads."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from potstill.core import files, schemas
from potstill.core.errors import PotstillError
from potstill.core.labels import is_answered

SPLITS = ("train", "validation", "test")
MAY_BE_EMPTY = ("test", "unlabelled")
NO_LABEL = -1  # of every text of a split that nobody has labelled, as on the Hugging Face hub


def targets(labels: pd.Series, number: int) -> np.ndarray:
    """Return the labels of a split as an array.

    Args:
        labels: the column `label` of a split.
        number: of labels in the task.

    Returns:
        int64 ids (texts,); or for multi-label tasks booleans (texts, number).
    """
    if labels.dtype != object:
        return labels.to_numpy()
    matrix = np.zeros((len(labels), number), bool)
    for row, ids in zip(matrix, labels, strict=True):
        row[list(ids)] = True
    return matrix


def is_labelled(labels: pd.Series) -> bool:
    """Return whether the column `label` of a split has labels; that of an empty split has."""
    return labels.dtype == object or not len(labels) or not (labels == NO_LABEL).all()


def check(labels: pd.Series, number: int) -> None:
    """Check that every label in the column `label` of a split is an id below `number`, or every one `NO_LABEL`.

    Raises:
        ValueError: a label is not.
    """
    if not is_labelled(labels):
        return
    if not labels.explode().dropna().isin(range(number)).all():  # `explode` turns an empty list into a missing value
        raise ValueError("a label that dataset.json does not name")


@dataclass(frozen=True)
class Dataset:
    """A classification task.

    Attributes:
        labels: the names of the classes; a label id is an index into it.
        train, validation, test: tables with the columns `text` (string) and `label` (int64 id, or for multi-label tasks
            a list of them). Only what is trained in Python may have no test texts. In a split that nobody has labelled
            every label is `NO_LABEL`; the test split may have labels where train and validation have none.
        unlabelled: a table with the column `text`.
        descriptions: what some labels mean, by their names, for an LLM as the teacher.
        by_teacher: the splits whose labels are a teacher's, see `labelled_by`.
    """

    labels: list[str]
    train: pd.DataFrame
    validation: pd.DataFrame
    test: pd.DataFrame
    unlabelled: pd.DataFrame
    descriptions: dict[str, str] = field(default_factory=dict)
    by_teacher: tuple[str, ...] = ()

    def split(self, name: str) -> pd.DataFrame:
        """Return a table by its name."""
        return getattr(self, name)

    @property
    def multi_label(self) -> bool:
        """Whether a text may have any number of labels."""
        return self.train["label"].dtype == object

    def is_labelled(self, name: str) -> bool:
        """Return whether a split has labels."""
        return is_labelled(self.split(name)["label"])

    def targets(self, name: str) -> np.ndarray:
        """Return the labels of a split, see `targets`."""
        return targets(self.split(name)["label"], len(self.labels))

    def labelled_by(self, predicted: Mapping[str, np.ndarray]) -> "Dataset":
        """Return the data with a teacher's labels in those of some splits that nobody has labelled.

        Args:
            predicted: by split, the teacher's scores, floats (texts, classes). Texts of these splits for which it has
                none (`is_answered`) are left out.

        Raises:
            PotstillError: no text of such a split has scores.
        """
        labelled: dict[str, Any] = {}
        for name, scores in predicted.items():
            if self.is_labelled(name):
                continue
            answered = is_answered(scores)
            if not answered.any():
                raise PotstillError(
                    f"{name}: no label, and no prediction of a teacher, for any of {len(scores):,} texts. Add them to "
                    "its table of probabilities, or choose another teacher."
                )
            rows = self.split(name)[answered].reset_index(drop=True)
            labelled[name] = rows.assign(label=scores[answered].argmax(1))
        return replace(self, by_teacher=tuple(labelled), **labelled)

    def save(self, folder: Path) -> None:
        """Write the folder: a Parquet table per split, and `dataset.json` with names, counts and hashes."""
        with files.atomic_write(folder) as part:
            part.mkdir()
            names = (*SPLITS, "unlabelled")
            for name in names:
                self.split(name).to_parquet(part / f"{name}.parquet", index=False)
            facts = {
                "labels": self.labels,
                **({"descriptions": self.descriptions} if self.descriptions else {}),
                **({"multi_label": True} if self.multi_label else {}),
                "rows": {name: len(self.split(name)) for name in names},
                "sha256": {name: files.sha256(part / f"{name}.parquet") for name in names},
            }
            (part / "dataset.json").write_text(json.dumps(facts, indent=2, ensure_ascii=False) + "\n", "utf-8")

    @classmethod
    def load(cls, folder: Path, unlabelled: bool = True) -> "Dataset":
        """Read the folder that `save` wrote; without `unlabelled`, skip the unlabelled texts, which may be many.

        Raises:
            PotstillError: a file is missing or damaged.
        """
        labels = files.read_names(folder / "dataset.json", "labels")
        descriptions = files.read_json(folder / "dataset.json").get("descriptions", {})
        tables: dict[str, Any] = {"unlabelled": pd.DataFrame({"text": []}, dtype="str")}
        for name in (*SPLITS, "unlabelled")[: 4 if unlabelled else 3]:
            path, columns = _file(folder, name)
            table = schemas.read(path, columns, empty=name in MAY_BE_EMPTY)
            with files.reading(path):
                tables[name] = table.replace_schema_metadata().to_pandas()  # the metadata of pandas may be damaged
                if name in SPLITS:
                    check(tables[name]["label"], len(labels))
        return cls(labels=labels, descriptions=descriptions, **tables)

    @staticmethod
    def texts(folder: Path, name: str) -> Iterator[pa.Array]:
        """Yield the texts of a split, or the unlabelled ones, in batches.

        Raises:
            PotstillError: the file is missing or damaged.
        """
        return schemas.texts(*_file(folder, name), empty=name in MAY_BE_EMPTY)


def _file(folder: Path, name: str) -> tuple[Path, pa.Schema]:
    """Return the path and the columns of a split, or of the unlabelled texts."""
    path = folder / f"{name}.parquet"
    if name == "unlabelled":
        return path, schemas.TEXT_SCHEMA
    return path, schemas.split_schema("multi_label" in files.read_json(folder / "dataset.json"))
