"""A table of probabilities from elsewhere (an LLM, an API, a paid service) as a teacher."""

from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import logit

from potstill.corpus.clean import keys
from potstill.errors import PotstillError

SUFFIXES = (".parquet", ".csv")


def is_table(checkpoint: str) -> bool:
    """Whether a preset's checkpoint names a table rather than a model."""
    return checkpoint.endswith(SUFFIXES)


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
    try:
        table = pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise PotstillError(f"{path} cannot be read as a table: {error}") from None
    if set(table.columns) != {"text", *labels}:
        raise PotstillError(
            f"{path} has the columns {', '.join(map(str, table.columns))}: it needs `text` and one per "
            f"label: {', '.join(labels)}"
        )
    try:
        values = table[labels].to_numpy(np.float64)
    except (ValueError, TypeError) as error:
        raise PotstillError(f"{path} holds something that is no number: {error}") from None
    wrong = ~(np.isfinite(values) & (values >= 0)).all(1)
    wrong |= (values > 1).any(1) if multi_label else np.abs(values.sum(1) - 1) > 0.01
    if wrong.any():
        row = int(wrong.argmax())
        demand = f" and sum to {values[row].sum():.4g}: every row must sum to one"
        if multi_label:
            demand = ": each must be from 0 to 1"
        found = np.round(values[row], 4).tolist()
        raise PotstillError(f"{path}: the probabilities in row {row + 1} are {found}{demand}")
    if table["text"].isna().any():
        raise PotstillError(f"{path}: row {int(table['text'].isna().to_numpy().argmax()) + 1} has no text")
    return table[["text", *labels]]


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
