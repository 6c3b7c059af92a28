"""Labelling in Parquet shards, each with a done-marker, so that a killed run goes on where it stopped."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from potstill import files
from potstill.errors import PotstillError


def label(
    texts: list[str],
    score: Callable[[list[str]], tuple[np.ndarray, int]],
    labels: list[str],
    folder: Path,
    shard_rows: int,
    fingerprint: str,
    skipped: Callable[[int], object] = lambda rows: None,
) -> int:
    """Score texts shard by shard and write `00000.parquet`, `00000.done`, `00001.parquet`, ...

    Args:
        texts: the texts, in the order of the pool.
        score: gives logits of shape (texts, classes), and how many texts were cut off.
        labels: the names of the columns.
        folder: where the shards go. Those already there and marked with the same fingerprint are kept.
        shard_rows: texts per shard.
        fingerprint: says which teacher and which texts the shards belong to.
        skipped: told the number of rows of every shard that was kept.

    Returns:
        How many texts were cut off, those of kept shards included.
    """
    folder.mkdir(parents=True, exist_ok=True)
    total = 0
    for number, start in enumerate(range(0, len(texts), shard_rows)):
        shard, marker = folder / f"{number:05d}.parquet", folder / f"{number:05d}.done"
        chunk = texts[start : start + shard_rows]
        facts = {"fingerprint": fingerprint, "start": start, "rows": len(chunk)}
        done = json.loads(marker.read_text()) if marker.is_file() and shard.is_file() else {}
        if done == {**facts, "cut": done.get("cut")}:
            total += done["cut"]
            skipped(len(chunk))
            continue
        logits, cut = score(chunk)
        with files.whole(shard) as part:
            pd.DataFrame(logits, columns=labels).to_parquet(part, index=False)
        files.write_json(marker, {**facts, "cut": cut})
        total += cut
    return total


def read(folder: Path) -> pd.DataFrame:
    """All shards of a folder as one table: a column of logits per label, in the order of the pool.

    Raises:
        PotstillError: there are none.
    """
    shards = sorted(folder.glob("*.parquet"))
    if not shards:
        raise PotstillError(f"{folder} holds no logits: run `dvc pull label@{folder.name}` or `dvc repro`")
    return pd.concat([pd.read_parquet(shard) for shard in shards], ignore_index=True)
