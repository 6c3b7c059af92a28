"""Transfer sets that the stage `pool` makes."""

import tempfile
from pathlib import Path

import pandas as pd

from potstill.pool.build import build
from potstill.pool.params import PoolParams

POOL = {
    "train": True,
    "unlabelled": None,
    "held_out": 0,
    "replace": 0.5,
    "replace_rate": 0.3,
    "borrow": 0.5,
    "vocab_checkpoint": "unused: the words are given",
    "drop": 0.5,
    "drop_rate": 0.3,
    "splice": 0.5,
    "generated": 1.0,
    "min_texts": 0,
    "ngram_order": 3,
    "seed": 0,
}


def pooled(data, borrowed_words=(), **changes):
    """Return the transfer set as a table."""
    with tempfile.TemporaryDirectory() as folder:
        data.save(Path(folder) / "prepared")
        target = Path(folder) / "pool.parquet"
        rows = build(Path(folder) / "prepared", target, PoolParams(**(POOL | changes)), borrowed_words)
        table = pd.read_parquet(target)
    assert rows == table["source"].value_counts().to_dict()
    return table
