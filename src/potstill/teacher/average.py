"""Several teachers as one."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet

from potstill import files, inputs


def average(logits: list[np.ndarray], multi_label: bool = False) -> np.ndarray:
    """The mean of several teachers' logits, each text's centred first.

    Only the differences between a text's logits mean anything; centring makes them comparable between teachers,
    and a table's log-probabilities comparable with a network's logits. Where a text may have several labels, every
    logit means something by itself, the log-odds of a label, and is left as it is.

    Args:
        logits: one array per teacher, each of shape (texts, classes).
        multi_label: whether a text may have several labels.

    Returns:
        Logits of the same shape, float32, summing to zero in every row if centred; NaN where a teacher has none.
    """
    centred = logits if multi_label else [scores - scores.mean(1, keepdims=True) for scores in logits]
    return np.asarray(np.mean(centred, axis=0), np.float32)


def merge(pool: Path, answers: Sequence[Path], folder: Path, multi_label: bool) -> tuple[int, int]:
    """Write the texts that all teachers have answered, and the average of the answers, in bounded memory.

    Args:
        pool: a Parquet file of texts.
        answers: one per teacher, of the same row groups: a column of logits per label.
        folder: where to write `pool.parquet` and `logits.parquet`.
        multi_label: whether a text may have several labels.

    Returns:
        How many texts were written, and how many there are.

    Raises:
        PotstillError: a file is missing, damaged or of other texts than the pool.
    """
    texts = inputs.open_checked(pool, inputs.POOL_SCHEMA)
    with files.reading(answers[0]):
        schema = inputs.score_schema(pa.parquet.read_schema(answers[0]).names)
    teachers = [inputs.open_checked(path, schema) for path in answers]
    written = 0
    with (
        pa.parquet.ParquetWriter(folder / "pool.parquet", texts.schema_arrow) as texts_out,
        pa.parquet.ParquetWriter(folder / "logits.parquet", schema) as logits_out,
    ):
        for group in range(texts.num_row_groups):
            with files.reading(pool):
                read = inputs.check_values(texts.read_row_group(group))
            logits = average(
                [_logits(file, path, group, len(read)) for file, path in zip(teachers, answers, strict=True)],
                multi_label,
            )
            labelled = np.isfinite(logits).all(1)
            texts_out.write_table(read.filter(labelled))
            logits_out.write_table(pa.table(list(logits[labelled].T), schema=schema))
            written += int(labelled.sum())
    return written, texts.metadata.num_rows


def _logits(file: pa.parquet.ParquetFile, path: Path, group: int, rows: int) -> np.ndarray:
    """One row group of a teacher's answers, of shape (rows, classes)."""
    with files.reading(path):
        columns = inputs.check_values(file.read_row_group(group)).columns
        if {len(column) for column in columns} != {rows}:
            raise ValueError("not as many rows as the pool has")
        return np.stack([column.to_numpy() for column in columns], 1)
