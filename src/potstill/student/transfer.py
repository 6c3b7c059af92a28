"""Reading the transfer set that the stage `transfer` wrote."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from potstill import files, inputs
from potstill.errors import PotstillError


@dataclass(frozen=True)
class Texts(Collection[str]):
    """The texts of a Parquet file, read anew whenever one goes through them: ten million take a gigabyte.

    Attributes:
        path: the file, with the column `text`.
        chosen: which of them, booleans.
    """

    path: Path
    chosen: np.ndarray

    def __len__(self) -> int:
        return int(self.chosen.sum())

    def __iter__(self) -> Iterator[str]:
        start = 0
        for batch in inputs.texts(self.path, inputs.POOL_SCHEMA):
            yield from batch.filter(pa.array(self.chosen[start : start + len(batch)])).to_pylist()
            start += len(batch)

    def __contains__(self, text: object) -> bool:
        return any(text == other for other in self)


@dataclass(frozen=True)
class Transfer:
    """Texts that the teacher has labelled.

    Attributes:
        texts: the texts.
        sources: where each comes from, an array of names.
        logits: the teacher's, float32 of shape (texts, classes).
    """

    texts: Texts
    sources: np.ndarray
    logits: np.ndarray

    def only(self, chosen: np.ndarray) -> "Transfer":
        """Some of the texts, by an array of booleans or of numbers of rows, in the order in which they are."""
        rows = np.sort(np.arange(len(self.texts))[chosen])
        some = np.zeros(len(self.texts.chosen), bool)
        some[np.flatnonzero(self.texts.chosen)[rows]] = True
        return Transfer(Texts(self.texts.path, some), self.sources[rows], self.logits[rows])


def sources(folder: Path) -> list[str]:
    """The names of the sources that the transfer set has texts of; the texts are not read."""
    return sorted(_kinds(folder / "pool.parquet").cat.categories)


def count(folder: Path, sources: Sequence[str] | None = None) -> dict[str, int]:
    """How many texts of some sources, or of all, the transfer set has; neither texts nor logits are read."""
    found = _kinds(folder / "pool.parquet").value_counts()
    return {name: int(found[name]) for name in sorted(found.index) if sources is None or name in sources}


def read(folder: Path, labels: Sequence[str], sources: Sequence[str] | None = None) -> Transfer:
    """The texts of some sources, or of all, and the teacher's logits for `labels`, in their order.

    Raises:
        PotstillError: the folder is missing or damaged, or holds no text of these sources.
    """
    pool, answers = folder / "pool.parquet", folder / "logits.parquet"
    kinds = _kinds(pool)
    columns = inputs.read(answers, inputs.score_schema(labels)).columns
    with files.reading(answers):
        logits = np.empty((len(kinds), len(labels)), np.float32)
        for place, column in enumerate(columns):
            logits[:, place] = column.to_numpy()
        if not np.isfinite(logits).all():
            raise ValueError("a logit that is not finite")
    names = kinds.cat.categories.to_numpy(object)[kinds.cat.codes]  # a name is one string, however often it is there
    found = Transfer(Texts(pool, np.ones(len(kinds), bool)), names, logits)
    if sources is None:
        return found
    wanted = kinds.isin(sources).to_numpy()
    if not wanted.any():
        raise PotstillError(f"`student.sources` {list(sources)} are not in the transfer set: see the section `pool`")
    return found.only(wanted)


def _kinds(pool: Path) -> pd.Series:
    return inputs.read(pool, inputs.POOL_SCHEMA, ["source"])["source"].to_pandas().astype("category")
