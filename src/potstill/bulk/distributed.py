"""Classifying Parquet files on a Ray cluster: `predict`, shard by shard."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path, PurePosixPath

import pyarrow as pa

from potstill.bulk.predict import Threshold, classify
from potstill.core import files
from potstill.core.errors import PotstillError
from potstill.engine import shards
from potstill.readers import formats
from potstill.readers.request import Batch
from potstill.runtime.model import Classifier, Student


def _classify(
    student: Classifier, top: int | None, threshold: Threshold | None, scope: bool, texts: pa.Array
) -> tuple[pa.Table, dict[str, int]]:
    """Return the columns that `bulk.predict.predict` writes for the texts of a shard."""
    return classify(student, Batch(texts, []), top, threshold, scope=scope).table(), {}


def predict(
    model: Path,
    source: str,
    folder: str,
    *,
    columns: Sequence[str],
    top: int | None,
    threshold: Threshold | None,
    scope: bool = False,
    engine: shards.Engine,
    progress: shards.Progress = lambda rows: None,
) -> int:
    """Classify the texts of Parquet files into a folder of Parquet files, one per row group, in the order of the rows.

    A second call resumes after the shards that the first has finished.

    Args:
        model: a model file.
        source: a file, a folder of `.parquet` files, or a pattern with `*`; a path or a URL, as is `folder`.
        folder: where to write the predictions.
        columns: the names of the columns of the text; several are joined, see `readers.request.join`.
        top, threshold, scope: as in `bulk.predict.predict`.
        engine: does the shards.
        progress: called with the number of rows of each finished shard.

    Returns:
        The number of rows.

    Raises:
        PotstillError: a file is missing, is not Parquet or has no such columns; a row has no text; or the folder has
            the results of another model or source, or is where the source is.
    """
    with shards.filesystem(source) as (system, place):
        found = system.glob(place) if "*" in place else [place]
        if system.isdir(place):
            found = [path for path in system.find(place) if (name := formats.parse(path)) and name.format == "parquet"]
        if not found:
            raise PotstillError(f"{source}: no Parquet file. Name one, or a folder or pattern that has any.")
        with shards.filesystem(folder) as (other, target):
            written, read = PurePosixPath(other.unstrip_protocol(target)), system.unstrip_protocol(place)
        within = system.isdir(place) and written.is_relative_to(read)
        if within or (written / "000000.parquet").match(read):
            raise PotstillError(f"{folder}: it is part of the input, {source}. Name another folder.")
        sources = [system.unstrip_protocol(path) for path in sorted(found)]
        jobs = shards.plan(sources, columns)
        versions = [system.checksum(path) for path in sorted(found)]
    fingerprint = files.cache_key(files.sha256(model), sources, versions, columns, top, threshold, scope)
    task = shards.Task(partial(_classify, Student.load(model), top, threshold, scope), columns, folder, fingerprint)
    return sum(done["rows"] for done in shards.process(task, jobs, engine, progress))
