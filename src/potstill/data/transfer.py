"""Reading the transfer set, the output of the stage `ensemble`.

That file also has the texts that are held out, which only `read_held_out` returns: no student learns from them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from potstill.core import files, schemas
from potstill.core.errors import PotstillError
from potstill.data.sources import HELD_OUT


@dataclass(frozen=True)
class StreamedTexts:
    """Texts of a Parquet file, streamed on each iteration: ten million take a gigabyte in memory.

    Attributes:
        path: the file, with a column `text`.
        selected: which rows to read, booleans (rows,).
    """

    path: Path
    selected: np.ndarray

    def __len__(self) -> int:
        return int(self.selected.sum())

    def __iter__(self) -> Iterator[str]:
        start = 0
        for batch in schemas.texts(self.path, schemas.POOL_SCHEMA):
            yield from batch.filter(pa.array(self.selected[start : start + len(batch)])).to_pylist()
            start += len(batch)


@dataclass(frozen=True)
class TransferSet:
    """Texts with the teacher's logits.

    Attributes:
        texts: the texts.
        sources: the source of each, strings (texts,).
        logits: the teacher's logits, float32 (texts, classes).
    """

    texts: StreamedTexts
    sources: np.ndarray
    logits: np.ndarray

    def subset(self, chosen: np.ndarray) -> "TransferSet":
        """Return the texts that a boolean mask or row numbers choose, in their present order."""
        rows = np.sort(np.arange(len(self.texts))[chosen])
        selected = np.zeros(len(self.texts.selected), bool)
        selected[np.flatnonzero(self.texts.selected)[rows]] = True
        return TransferSet(StreamedTexts(self.texts.path, selected), self.sources[rows], self.logits[rows])


def sources(folder: Path) -> list[str]:
    """Return the names of the sources that have texts, without reading the texts."""
    return sorted(set(_sources(folder / "pool.parquet").cat.categories) - {HELD_OUT})


def count(folder: Path, sources: Sequence[str] | None = None) -> dict[str, int]:
    """Count the texts of some sources, or of all, without reading texts or logits."""
    counts = _sources(folder / "pool.parquet").value_counts()
    wanted = set(counts.index if sources is None else sources) - {HELD_OUT}
    return {name: int(counts[name]) for name in sorted(counts.index) if name in wanted}


def read(folder: Path, labels: Sequence[str], sources: Sequence[str] | None = None) -> TransferSet:
    """Read the transfer set.

    Args:
        folder: the output of the stage `ensemble`.
        labels: class names, the order of the columns of the logits.
        sources: names of the sources to read; None for all.

    Raises:
        PotstillError: the folder is missing or damaged, or has no text from these sources.
    """
    source_of = _sources(folder / "pool.parquet")
    chosen = (source_of != HELD_OUT).to_numpy()
    if sources is not None:
        chosen = chosen & source_of.isin(sources).to_numpy()
    if sources is not None and not chosen.any():
        raise PotstillError(
            f"`student.sources`: no text from {list(sources)} in the transfer set. Enable them in the section `pool`."
        )
    return _read(folder, labels, source_of, chosen)


def read_held_out(folder: Path, labels: Sequence[str]) -> TransferSet:
    """Read the unlabelled texts that are held out, which may be none; see `read`."""
    source_of = _sources(folder / "pool.parquet")
    return _read(folder, labels, source_of, (source_of == HELD_OUT).to_numpy())


def _read(folder: Path, labels: Sequence[str], source_of: pd.Series, chosen: np.ndarray) -> TransferSet:
    """Read the chosen rows, a boolean mask."""
    table = folder / "logits.parquet"
    columns = schemas.read(table, schemas.score_schema(labels)).columns
    with files.reading(table):
        logits = np.empty((int(chosen.sum()), len(labels)), np.float32)
        for i, column in enumerate(columns):
            logits[:, i] = column.to_numpy()[chosen]
        if not np.isfinite(logits).all():
            raise ValueError("a logit that is not finite")
    # One string object per source, not per text.
    names = source_of.cat.categories.to_numpy(object)[source_of.cat.codes[chosen]]
    return TransferSet(StreamedTexts(folder / "pool.parquet", chosen), names, logits)


def _sources(pool: Path) -> pd.Series:
    return schemas.read(pool, schemas.POOL_SCHEMA, ["source"])["source"].to_pandas().astype("category")
