"""Reading the transfer set that the stage `transfer` wrote."""

from pathlib import Path

import numpy as np
import pandas as pd

from potstill.errors import PotstillError


def read(folder: Path, sources: list[str] | None) -> tuple[list[str], np.ndarray]:
    """The texts of some sources (None: of all) and the teacher's logits for them, float32 (texts, classes).

    Raises:
        PotstillError: the folder is missing, or holds no text of these sources.
    """
    try:
        pool = pd.read_parquet(folder / "pool.parquet")
        logits = pd.read_parquet(folder / "logits.parquet").to_numpy(np.float32)
    except FileNotFoundError as error:
        raise PotstillError(f"{error.filename} is missing: run `dvc repro transfer` to make it") from None
    if sources is None:
        return pool["text"].tolist(), logits
    wanted = pool["source"].isin(sources).to_numpy()
    if not wanted.any():
        raise PotstillError(f"`student.sources` {sources} are not in the transfer set: see the section `pool`")
    return pool["text"][wanted].tolist(), logits[wanted]
