"""A table of probabilities from elsewhere (an LLM, an API, a paid service) as a teacher."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import logit

from potstill.bulk import formats
from potstill.bulk.asked import Skipped, unit
from potstill.bulk.read import names
from potstill.bulk.read import read as read_table
from potstill.corpus.clean import keys
from potstill.corpus.tables import name_of
from potstill.errors import PotstillError


def is_table(checkpoint: str) -> bool:
    """Whether a preset's checkpoint names a table rather than a model."""
    name = formats.parse(checkpoint)
    return name is not None and name.format != "txt"


def read(path: Path, labels: list[str], multi_label: bool = False) -> pd.DataFrame:
    """Read and check a table with the column `text` and one column of probabilities per label.

    Where a text may have several labels, each probability is that of the label for itself.

    Returns:
        A table with the column `text` and a float column per label, in the order of `labels`.

    Raises:
        PotstillError: the file is missing or unreadable, its columns are not `text` and the labels, or a
            row is no probability distribution.
    """
    if not path.is_file():
        raise PotstillError(f"{path} is missing: give an existing table as the preset's checkpoint")
    kind = formats.format_of(str(path), None, "csv")
    columns = names(str(path), kind)
    found = {column if column == "text" else name_of(column): column for column in columns}
    if set(found) != {"text", *labels} or len(found) < len(set(columns)):
        raise PotstillError(
            f"{path} has the columns {', '.join(columns)}: it needs `text` and one per label: {', '.join(labels)}"
        )
    wanted = ["text", *(found[label] for label in labels)]
    texts: list[str] = []
    rows: list[list[float]] = []
    for batch in read_table(str(path), kind, wanted, Skipped(advice="Correct it or remove the row"), _advice):
        texts.extend(batch.texts if kind != "parquet" else batch.texts.to_pylist())
        for number, text, *values in zip(batch.numbers, texts[len(rows) :], *batch.others, strict=True):
            where = f"{path}: {unit(kind)} {number}"
            if not text.strip():
                raise PotstillError(f"{where} has no text: fill it in or remove the row")
            rows.append(_distribution(values, multi_label, where))
    table = pd.DataFrame(np.array(rows, np.float64).reshape(-1, len(labels)), columns=labels)
    table.insert(0, "text", pd.Series(texts, dtype="str"))
    return table


def _advice(column: str) -> str:
    return "A table of probabilities has the column `text` and one per label"


def _distribution(values: Sequence[Any], multi_label: bool, where: str) -> list[float]:
    """The probabilities of a row."""
    try:
        found = [float(value) for value in values]
    except (ValueError, TypeError):
        raise PotstillError(f"{where} has a probability that is not a number: {list(values)}") from None
    if not all(0 <= value < math.inf for value in found) or (multi_label and max(found) > 1):
        raise PotstillError(f"{where}: the probabilities are {_rounded(found)}: each must be from 0 to 1")
    if not multi_label and abs(sum(found) - 1) > 0.01:
        raise PotstillError(
            f"{where}: the probabilities are {_rounded(found)} and sum to {sum(found):.4g}: every row must sum to one"
        )
    return found


def _rounded(values: list[float]) -> list[float]:
    return [round(value, 4) for value in values]


def logits(table: pd.DataFrame, texts: pd.Series, multi_label: bool = False) -> np.ndarray:
    """Look texts up, whatever their case and white space.

    Returns:
        Log-probabilities of shape (texts, classes), float32, or where a text may have several labels log-odds; a row of
        NaN where the table lacks the text.
    """
    labels = table.columns[1:]
    known = table.assign(key=keys(table["text"])).drop_duplicates("key").set_index("key")[labels]
    found = known.reindex(keys(texts)).to_numpy(np.float64)
    # A probability of zero, or of one, is a rounded one: its logarithm must stay finite.
    if multi_label:
        return logit(np.clip(found, 1e-6, 1 - 1e-6)).astype(np.float32)
    return np.log(np.clip(found, 1e-6, None)).astype(np.float32)
