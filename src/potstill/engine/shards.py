"""Processing a table of texts shard by shard; finished shards are marked, so that a killed run resumes after them.

A shard is a row group of a Parquet file. Paths are those of fsspec: local, or `s3://`, `gs://` and so on.
"""

import hashlib
import io
import json
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet

from potstill.core import files
from potstill.core.errors import PotstillError
from potstill.readers.parquet import joined, nulls, open_parquet

Job = dict[str, Any]
Progress = Callable[[int], object]

NUMBERS, STRINGS = ("number", "group", "rows", "bytes"), ("source", "fingerprint", "sha256")  # the keys of a marker


@dataclass(frozen=True)
class Task:
    """What is done with every shard; it can be pickled.

    Attributes:
        function: returns for the texts of a shard a table with a row per text, and `counts`. It is pickled to the
            workers, and called there once per shard.
        columns: the names of the columns of the text; several are joined, see `readers.request.join`.
        folder: where the results are written: `000000.parquet`, and the marker `_000000.done`, which readers of folders
            of Parquet files ignore.
        fingerprint: identifies the function and the texts. A folder marked with another fingerprint is not written to.
        counts: the keys of the counts that the function returns.
    """

    function: Callable[[pa.Array], tuple[pa.Table, dict[str, int]]]
    columns: Sequence[str]
    folder: str
    fingerprint: str
    counts: tuple[str, ...] = ()

    def claim(self) -> None:
        """Mark the folder before any result is written, so that a later run recognizes it as this task's."""
        with filesystem(self.folder) as (system, folder):
            system.makedirs(folder, exist_ok=True)
            marker: Job = dict.fromkeys((*NUMBERS, *self.counts), 0) | dict.fromkeys(STRINGS, "")
            marker |= {"bytes": -1, "fingerprint": self.fingerprint}
            system.pipe_file(f"{folder}/_{_name(marker)}.done", json.dumps(marker).encode())

    def done(self) -> dict[int, Job]:
        """Return the contents of the markers in the folder, by the number of the job.

        Raises:
            PotstillError: it is a file, or holds results of another task or without markers.
        """
        with filesystem(self.folder) as (system, folder):
            system.invalidate_cache()
            if not system.exists(folder):
                return {}
            if system.isfile(folder):
                raise PotstillError(f"{self.folder}: it is a file. Name a folder.")
            sizes = {entry["name"].rsplit("/", 1)[-1]: entry["size"] for entry in system.ls(folder, detail=True)}
            names = [f"{folder}/{name}" for name in sizes if name.endswith(".done")]
            markers = system.cat(names) if names else {}
        foreign = next((name for name in sorted(sizes) if re.fullmatch(r"\d{6}\.parquet", name)), None)
        if foreign and not markers:
            raise PotstillError(f"{self.folder}: {foreign} in it would be overwritten. Name another folder.")
        finished: dict[int, Job] = {}
        for name, content in markers.items():
            marked = self._marked(content)
            if marked is None:
                print(f"note: {name} is damaged, or of another version: its shard is done again")
                continue
            if marked["fingerprint"] != self.fingerprint:
                raise PotstillError(
                    f"{self.folder}: it holds the results of another model or input. Name another folder, or remove it."
                )
            # After a power cut there may be a marker without its result.
            if sizes.get(f"{_name(marked)}.parquet") == marked["bytes"]:
                finished[marked["number"]] = marked
        return finished

    def _marked(self, content: bytes) -> Job | None:
        """Return the contents of a marker, or None if it is truncated or of another version."""
        try:
            marked = json.loads(content)
            kinds = dict.fromkeys((*NUMBERS, *self.counts), int) | dict.fromkeys(STRINGS, str)
            return marked if all(isinstance(marked[key], kind) for key, kind in kinds.items()) else None
        except (ValueError, LookupError, TypeError, RecursionError):
            return None


class Worker:
    """Does the jobs of a task in one process; it keeps the last source open, since opening many row groups is slow."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self._source = ""
        self._opened = ExitStack()
        self._file: Any = None
        with filesystem(task.folder) as (system, folder):
            system.makedirs(folder, exist_ok=True)

    def __call__(self, job: Job) -> Job:
        """Do a job, write its result and its marker, and return the marker's contents."""
        table, counts = self._task.function(self._texts(job))
        buffer = io.BytesIO()
        pa.parquet.write_table(table, buffer)
        content = buffer.getvalue()
        done = {**job, **counts, "fingerprint": self._task.fingerprint, "bytes": len(content)}
        done["sha256"] = hashlib.sha256(content).hexdigest()
        with filesystem(self._task.folder) as (system, folder):
            system.pipe_file(f"{folder}/{_name(job)}.parquet", content)
            system.pipe_file(f"{folder}/_{_name(job)}.done", json.dumps(done).encode())
        return done

    def _texts(self, job: Job) -> pa.Array:
        source, columns = job["source"], list(self._task.columns)
        if source != self._source:
            self._opened.close()
            self._file = self._opened.enter_context(open_parquet(source, columns))
            self._source = source
        with files.reading(source):
            table = self._file.read_row_group(job["group"], columns=columns)
            table.validate(full=True)  # Arrow does not check UTF-8 when it reads
        parts = [table.column(column).cast(pa.string()).combine_chunks() for column in columns]
        if missing := nulls(parts):
            raise PotstillError(
                f"{source}: {len(missing)} rows of row group {job['group']} have no text. Add it, or remove them."
            )
        return joined(parts)


Engine = Callable[[Task, list[Job]], Iterator[Job]]


def plan(sources: Sequence[str], columns: Sequence[str]) -> list[Job]:
    """Return a job for every row group of Parquet files.

    Raises:
        PotstillError: a file is missing, is not Parquet, or has no such columns of strings.
    """
    jobs: list[Job] = []
    for source in sources:
        with open_parquet(source, columns) as file:
            for group in range(file.num_row_groups):
                rows = file.metadata.row_group(group).num_rows
                jobs.append({"number": len(jobs), "source": source, "group": group, "rows": rows})
    return jobs


def process(task: Task, jobs: list[Job], engine: Engine, progress: Progress = lambda rows: None) -> list[Job]:
    """Do all jobs that are not marked as done.

    Args:
        task: what to do.
        jobs: as `plan` returns them.
        engine: does the jobs with a `Worker` per process, such as `local.each`.
        progress: called with the number of rows of each shard that is done.

    Returns:
        The contents of the markers, in the order of the jobs.

    Raises:
        PotstillError: the folder holds the results of another task, or a worker raised it.
    """
    # A marker may belong to another job, such as of a file with other row groups.
    done = {
        number: marked
        for number, marked in task.done().items()
        if number in range(len(jobs)) and all(jobs[number][key] == marked[key] for key in ("group", "rows"))
    }
    if jobs and not done:
        task.claim()
    for marked in done.values():
        progress(marked["rows"])
    for finished in engine(task, [job for job in jobs if job["number"] not in done]):
        done[finished["number"]] = finished
        progress(finished["rows"])
    return [done[job["number"]] for job in jobs]


def gather(task: Task, done: Sequence[Job], target: Path) -> None:
    """Write the results of all jobs into one Parquet file, in their order, with a row group for each.

    Raises:
        PotstillError: a result does not match its checksum. The next run does that job again.
    """
    writer = None
    for job in done:
        with filesystem(task.folder) as (system, folder):
            shard = system.cat_file(f"{folder}/{_name(job)}.parquet")
            if hashlib.sha256(shard).hexdigest() != job["sha256"]:
                system.rm_file(f"{folder}/_{_name(job)}.done")
                raise PotstillError(f"{task.folder}/{_name(job)}.parquet: it is damaged. Run this again to repair it.")
        table = pa.parquet.read_table(io.BytesIO(shard))
        writer = writer or pa.parquet.ParquetWriter(target, table.schema)
        writer.write_table(table)
    if writer:
        writer.close()


@contextmanager
def filesystem(url: str) -> Iterator[tuple[Any, str]]:
    """Give the fsspec file system of a URL, and the path in it.

    Raises:
        PotstillError: the block raised an error of a remote store's library.
    """
    try:
        yield fsspec.url_to_fs(url)
    except PotstillError:
        raise
    except Exception as error:
        if "://" not in url or url.startswith("file:"):
            raise
        raise PotstillError(
            f"{url}: it cannot be reached ({error}). Check the URL, the access and the network."
        ) from None


def _name(job: Job) -> str:
    return f"{job['number']:06d}"
