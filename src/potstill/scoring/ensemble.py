"""An ensemble of teachers: the mean of their logits."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet

from potstill.core import files, schemas
from potstill.core.labels import is_answered


def average(logits: list[np.ndarray], multi_label: bool = False) -> np.ndarray:
    """Return the mean of the teachers' logits, each text's centred first.

    Softmax depends only on the differences between a text's logits; centring makes them comparable between teachers,
    and a table's log-probabilities comparable with a network's logits. Multi-label logits are log-odds of one label
    each and are not centred.

    Args:
        logits: one array per teacher, each of shape (texts, classes).
        multi_label: whether the task is multi-label.

    Returns:
        Logits of shape (texts, classes), float32; NaN where a teacher has none.
    """
    centred = logits if multi_label else [one - one.mean(1, keepdims=True) for one in logits]
    return np.asarray(np.mean(centred, axis=0), np.float32)


def merge(pool: Path, labelled: Sequence[Path], folder: Path, multi_label: bool) -> tuple[int, int]:
    """Write the transfer set: the texts that all teachers have labelled and the mean logits, in constant memory.

    Args:
        pool: a Parquet file of texts.
        labelled: a Parquet file per teacher with the same row groups: a column of logits per label.
        folder: where to write `pool.parquet` and `logits.parquet`.
        multi_label: whether the task is multi-label.

    Returns:
        The number of texts written, and the number of texts in the pool.

    Raises:
        PotstillError: a file is missing or damaged, or does not fit the pool.
    """
    texts = schemas.open_checked(pool, schemas.POOL_SCHEMA)
    with files.reading(labelled[0]):
        schema = schemas.score_schema(pa.parquet.read_schema(labelled[0]).names)
    teachers = [schemas.open_checked(path, schema) for path in labelled]
    written = 0
    with (
        pa.parquet.ParquetWriter(folder / "pool.parquet", texts.schema_arrow) as texts_out,
        pa.parquet.ParquetWriter(folder / "logits.parquet", schema) as logits_out,
    ):
        for group in range(texts.num_row_groups):
            with files.reading(pool):
                read = schemas.check_values(texts.read_row_group(group))
            logits = average(
                [_logits(file, path, group, len(read)) for file, path in zip(teachers, labelled, strict=True)],
                multi_label,
            )
            complete = is_answered(logits)
            texts_out.write_table(read.filter(complete))
            logits_out.write_table(pa.table(list(logits[complete].T), schema=schema))
            written += int(complete.sum())
    return written, texts.metadata.num_rows


def _logits(file: pa.parquet.ParquetFile, path: Path, group: int, rows: int) -> np.ndarray:
    """Return one row group of a teacher's logits, of shape (rows, classes)."""
    with files.reading(path):
        columns = schemas.check_values(file.read_row_group(group)).columns
        if {len(column) for column in columns} != {rows}:
            raise ValueError("not as many rows as the pool has")
        return np.stack([column.to_numpy() for column in columns], 1)
