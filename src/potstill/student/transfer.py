"""Reading the transfer set that the stage `transfer` wrote."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from potstill.errors import PotstillError


@dataclass(frozen=True)
class Transfer:
    """Texts that the teacher has labelled.

    Attributes:
        texts: the texts.
        sources: where each comes from, an array of names.
        logits: the teacher's, float32 of shape (texts, classes).
    """

    texts: list[str]
    sources: np.ndarray
    logits: np.ndarray

    def only(self, chosen: np.ndarray) -> "Transfer":
        """Some of the texts, by an array of booleans or of numbers of rows."""
        rows = np.arange(len(self.texts))[chosen]
        return Transfer([self.texts[row] for row in rows], self.sources[rows], self.logits[rows])


def sources(folder: Path) -> list[str]:
    """The names of the sources that the transfer set has texts of; the texts are not read."""
    return sorted(pd.read_parquet(folder / "pool.parquet", columns=["source"])["source"].unique())


def read(folder: Path, sources: Sequence[str] | None = None) -> Transfer:
    """The texts of some sources, or of all, and the teacher's logits for them.

    Raises:
        PotstillError: the folder is missing, or holds no text of these sources.
    """
    try:
        pool = pd.read_parquet(folder / "pool.parquet")
        logits = pd.read_parquet(folder / "logits.parquet").to_numpy(np.float32)
    except FileNotFoundError as error:
        raise PotstillError(f"{error.filename} is missing: run `dvc repro transfer` to make it") from None
    found = Transfer(pool["text"].tolist(), pool["source"].to_numpy(str), logits)
    if sources is None:
        return found
    wanted = np.isin(found.sources, list(sources))
    if not wanted.any():
        raise PotstillError(f"`student.sources` {list(sources)} are not in the transfer set: see the section `pool`")
    return found.only(wanted)
