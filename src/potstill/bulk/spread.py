"""Scoring a folder of Parquet files on a cluster: what `predict` does, shard by shard."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import pyarrow as pa

from potstill import files
from potstill.bulk import formats
from potstill.bulk.asked import Batch
from potstill.bulk.predict import score
from potstill.engine import shards
from potstill.errors import PotstillError
from potstill.runtime.model import Student


@dataclass(frozen=True)
class Scorer:
    """What a worker needs to score texts; see `predict` for the attributes."""

    student: Student
    top: int | None
    threshold: float | None

    def __call__(self) -> shards.Answer:
        """Give the columns that `predict` writes."""

        def answer(texts: pa.Array) -> tuple[pa.Table, dict[str, int]]:
            answers = score(self.student, Batch(texts, []), self.top, self.threshold)
            return pa.table(answers.arrow(pa)), {}

        return answer


def predict(
    model: Path,
    source: str,
    folder: str,
    *,
    column: str,
    top: int | None,
    threshold: float | None,
    engine: shards.Engine,
    told: Callable[[int], object] = lambda rows: None,
) -> int:
    """Score Parquet files into a folder of Parquet files, one per row group, in the order of the rows.

    A second start goes on where the first ended.

    Args:
        model: a student's file.
        source: a file, a folder of `.parquet` files, or a pattern with `*`; for fsspec, as the next.
        folder: where the answers go.
        column: the name of the column that holds the text.
        top, threshold: as in `bulk.predict.predict`.
        engine: who does it.
        told: receives the number of rows of every shard that is done.

    Returns:
        How many rows there are.

    Raises:
        PotstillError: a file is missing or no Parquet, or has no such column, or a row without a text; or the folder
            holds answers to something else, or lies where the texts are.
    """
    with shards.reaching(source) as (system, place):
        found = system.glob(place) if "*" in place else [place]
        if system.isdir(place):
            found = [path for path in system.find(place) if (name := formats.parse(path)) and name.format == "parquet"]
        if not found:
            raise PotstillError(f"{source}: there is no Parquet file")
        with shards.reaching(folder) as (other, target):
            written, read = PurePosixPath(other.unstrip_protocol(target)), system.unstrip_protocol(place)
        within = system.isdir(place) and written.is_relative_to(read)
        if within or (written / "000000.parquet").match(read):
            raise PotstillError(f"{folder}: {source} would take the answers in it for texts. Name another folder.")
        sources = [system.unstrip_protocol(path) for path in sorted(found)]
        jobs = shards.plan(sources, column)
        versions = [system.checksum(path) for path in sorted(found)]
    fingerprint = files.cache_key(files.sha256(model), sources, versions, column, top, threshold)
    work = shards.Work(Scorer(Student.load(model), top, threshold), column, folder, fingerprint)
    return sum(done["rows"] for done in shards.answer(work, jobs, engine, told))
