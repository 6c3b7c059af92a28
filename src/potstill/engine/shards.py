"""A table of texts, answered shard by shard: what is done is marked, so that no death of a process loses it.

A shard is a row group of a Parquet file. Paths are what fsspec takes: of this machine, or `s3://`, `gs://` and so on.
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

from potstill import files
from potstill.bulk.parquet import open_parquet
from potstill.errors import PotstillError

Job = dict[str, Any]
Answer = Callable[[pa.Array], tuple[pa.Table, dict[str, int]]]
Engine = Callable[[Callable[[], Callable[[Job], Job]], list[Job]], Iterator[Job]]

NUMBERS, STRINGS = ("number", "group", "rows", "bytes"), ("source", "fingerprint", "sha256")  # in a marker


@dataclass(frozen=True)
class Work:
    """What a worker has to know to answer any shard; it can be pickled.

    Attributes:
        load: called once by every worker; gives what answers the texts of a shard: a table of as many rows, and facts
            to keep.
        column: the name of the column that holds the text.
        folder: where the answers go: `000000.parquet`, and `_000000.done`, which readers of a folder of Parquet files
            pass over.
        fingerprint: says what answers, and what is answered. A folder that is marked with another is not touched.
        facts: the names of the facts to keep, which are numbers.
    """

    load: Callable[[], Answer]
    column: str
    folder: str
    fingerprint: str
    facts: tuple[str, ...] = ()

    def __call__(self) -> Callable[[Job], Job]:
        """What does one job, and says what it has done; the marker holds the same."""
        answer = self.load()
        with reaching(self.folder) as (system, folder):
            system.makedirs(folder, exist_ok=True)
        source, opened = "", ExitStack()
        file: Any = None

        def do(job: Job) -> Job:
            nonlocal source, file
            if job["source"] != source:  # a file of many row groups takes long to open
                opened.close()
                file = opened.enter_context(open_parquet(job["source"], self.column))
                source = job["source"]
            with files.reading(source):
                texts = file.read_row_group(job["group"], columns=[self.column]).column(0)
                texts.validate(full=True)  # Arrow reads what is no UTF-8 as it is
            if texts.null_count:
                raise PotstillError(
                    f"{job['source']}: {texts.null_count} rows of row group {job['group']} have no text"
                )
            table, facts = answer(texts.cast(pa.string()).combine_chunks())
            written = io.BytesIO()
            pa.parquet.write_table(table, written)
            done = {**job, **facts, "fingerprint": self.fingerprint, "bytes": written.tell()}
            done["sha256"] = hashlib.sha256(written.getvalue()).hexdigest()
            with reaching(self.folder):
                system.pipe_file(f"{folder}/{_name(job)}.parquet", written.getvalue())
                system.pipe_file(f"{folder}/_{_name(job)}.done", json.dumps(done).encode())
            return done

        return do

    def claim(self) -> None:
        """Mark the folder, before anything is written there, so that a run that is killed finds what is its own."""
        with reaching(self.folder) as (system, folder):
            system.makedirs(folder, exist_ok=True)
            marker: Job = dict.fromkeys((*NUMBERS, *self.facts), 0) | dict.fromkeys(STRINGS, "")
            marker |= {"bytes": -1, "fingerprint": self.fingerprint}
            system.pipe_file(f"{folder}/_{_name(marker)}.done", json.dumps(marker).encode())

    def done(self) -> dict[int, Job]:
        """What the markers in the folder say, by the number of the job.

        Raises:
            PotstillError: it is a file, or holds answers of another fingerprint, or what nobody has marked.
        """
        with reaching(self.folder) as (system, folder):
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
        found = {}
        for name, content in markers.items():
            marked = self._marked(content)
            if marked is None:
                print(f"note: {name} is damaged, or of another version: what it marks is done again")
                continue
            if marked["fingerprint"] != self.fingerprint:
                raise PotstillError(f"{self.folder} holds answers to something else: name another folder, or remove it")
            # After a power cut a marker may be there, and what it marks not.
            if sizes.get(f"{_name(marked)}.parquet") == marked["bytes"]:
                found[marked["number"]] = marked
        return found

    def _marked(self, content: bytes) -> Job | None:
        """What a marker says; None if it is cut off or of another version."""
        try:
            marked = json.loads(content)
            whole = all(isinstance(marked[key], int) for key in (*NUMBERS, *self.facts))
            return marked if whole and all(isinstance(marked[key], str) for key in STRINGS) else None
        except (ValueError, LookupError, TypeError, RecursionError):
            return None


def plan(sources: Sequence[str], column: str) -> list[Job]:
    """A job for every row group of some Parquet files.

    Raises:
        PotstillError: a file is missing, no Parquet, or has no such column of strings.
    """
    jobs: list[Job] = []
    for source in sources:
        with open_parquet(source, column) as file:
            for group in range(file.num_row_groups):
                rows = file.metadata.row_group(group).num_rows
                jobs.append({"number": len(jobs), "source": source, "group": group, "rows": rows})
    return jobs


def answer(work: Work, jobs: list[Job], engine: Engine, told: Callable[[int], object] = lambda rows: None) -> list[Job]:
    """Have all jobs done that no marker says are done.

    Args:
        work: what there is to do.
        jobs: what `plan` gave.
        engine: who does it, such as `local.each`.
        told: receives the number of rows of every shard that is done, or was.

    Returns:
        What has been done, in the order of the jobs.

    Raises:
        PotstillError: the folder holds answers to something else, or a worker has raised it.
    """
    # A marker of another job, such as of a file cut into other row groups, says nothing of this one.
    done = {
        number: marked
        for number, marked in work.done().items()
        if number in range(len(jobs)) and all(jobs[number][key] == marked[key] for key in ("group", "rows"))
    }
    if jobs and not done:
        work.claim()
    for marked in done.values():
        told(marked["rows"])
    for finished in engine(work, [job for job in jobs if job["number"] not in done]):
        done[finished["number"]] = finished
        told(finished["rows"])
    return [done[job["number"]] for job in jobs]


def gather(work: Work, jobs: Sequence[Job], target: Path) -> None:
    """Write the answers of all jobs, in their order, into one Parquet file, a row group for each.

    Raises:
        PotstillError: what a job has written is not what is there. The next run does that job again.
    """
    writer = None
    for job in jobs:
        with reaching(work.folder) as (system, folder):
            shard = system.cat_file(f"{folder}/{_name(job)}.parquet")
            if hashlib.sha256(shard).hexdigest() != job["sha256"]:
                system.rm_file(f"{folder}/_{_name(job)}.done")
                raise PotstillError(f"{work.folder}/{_name(job)}.parquet is damaged: run this again, which mends it")
        table = pa.parquet.read_table(io.BytesIO(shard))
        writer = writer or pa.parquet.ParquetWriter(target, table.schema)
        writer.write_table(table)
    if writer:
        writer.close()


@contextmanager
def reaching(url: str) -> Iterator[tuple[Any, str]]:
    """Give the file system of a URL, and the path there.

    Raises:
        PotstillError: the block cannot reach a store, whose library has errors of its own.
    """
    try:
        yield fsspec.url_to_fs(url)
    except PotstillError:
        raise
    except Exception as error:
        if "://" not in url or url.startswith("file:"):
            raise
        raise PotstillError(f"{url} cannot be reached: {error}") from None


def _name(job: Job) -> str:
    return f"{job['number']:06d}"
