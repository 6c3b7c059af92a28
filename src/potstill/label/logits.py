"""A teacher's logits for a table of texts of any size."""

import tempfile
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from joblib import cpu_count

from potstill.core import device, files
from potstill.engine import local, ray, shards
from potstill.label.params import LabelParams
from potstill.scoring import model

FILE = "logits.parquet"


class Labelled(NamedTuple):
    """How many texts were truncated, and how many are left out since the teacher has no label for them."""

    truncated: int
    left_out: int


@dataclass(frozen=True)
class Labeller:
    """Labels the texts of a shard; it can be pickled, and loads the teacher at its first shard.

    Attributes:
        folder: the teacher's folder, for fsspec.
        batch_size: texts per batch.
        precision: `auto`, `bf16` or `fp32`.
    """

    folder: str
    batch_size: int
    precision: str

    def __call__(self, texts: pa.Array) -> tuple[pa.Table, dict[str, int]]:
        """Return a column of logits per label, and how many texts were truncated and how many are left out."""
        logits, truncated = self._teacher.score(texts.to_pylist())
        return pa.table(list(logits.T), names=self._teacher.labels), {
            "cut": truncated,
            "left_out": int(np.isnan(logits).any(1).sum()),
        }

    @cached_property
    def _teacher(self) -> model.Teacher:
        device.use_threads(1)
        with tempfile.TemporaryDirectory() as copy:
            with shards.filesystem(self.folder) as (system, folder):
                if "file" not in system.protocol:
                    system.get(f"{folder}/", f"{copy}/", recursive=True)
                    folder = copy
            return model.load(Path(folder), self.batch_size, self.precision)


def label(
    teacher: Path,
    pool: Path,
    target: Path,
    params: LabelParams,
    scratch: Path,
    progress: shards.Progress = lambda rows: None,
) -> Labelled:
    """Label texts with a teacher; a second call resumes after the shards that the first has finished.

    Args:
        teacher: the teacher's folder.
        pool: a Parquet file with the column `text`; its row groups are the shards.
        target: the folder to write `FILE` to: a column of logits per label, with the pool's order and row groups.
        params: the settings.
        scratch: a folder for the finished shards, which are removed at the end. If `params.storage` is set, they are
            kept there instead, and the pool and the teacher are copied there for the workers.
        progress: called with the number of rows of each finished shard.

    Returns:
        How many texts were truncated and left out.

    Raises:
        PotstillError: the teacher is damaged, a place cannot be reached, or a worker was killed.
    """
    with files.reading(teacher):
        checksum = files.sha256(teacher)
    fingerprint = files.cache_key(checksum, files.sha256(pool), params.precision)
    source, loaded = str(pool.resolve()), str(teacher.resolve())
    with shards.filesystem(f"{params.storage or scratch.resolve()}/{teacher.name}-{fingerprint}") as (system, folder):
        home = system.unstrip_protocol(folder)
        if params.storage:
            if not system.exists(f"{folder}/copied"):
                system.put(f"{loaded}/", f"{folder}/teacher/", recursive=True)
                system.put_file(source, f"{folder}/pool.parquet")
                system.pipe_file(f"{folder}/copied", b"")
            source, loaded = f"{home}/pool.parquet", f"{home}/teacher"
    labeller = Labeller(loaded, params.batch_size, params.precision)
    task = shards.Task(labeller, ["text"], f"{home}/shards", fingerprint, counts=("cut", "left_out"))
    # An LLM is asked by one process, which counts what is spent; `concurrency` in its preset says how fast.
    engine = partial(local.each, processes=1) if model.kind(teacher) == "llm" else _engine(params)
    done = shards.process(task, shards.plan([source], ["text"]), engine, progress)
    with files.atomic_write(target) as part:
        part.mkdir()
        shards.gather(task, done, part / FILE)
    system.rm(folder, recursive=True)
    return Labelled(sum(job["cut"] for job in done), sum(job["left_out"] for job in done))


def _engine(params: LabelParams) -> shards.Engine:
    if params.engine == "ray":
        return partial(ray.each, actors=params.workers, address=params.ray_address, gpu=True)
    # Two processes share a GPU: one tokenizes while the other computes. Several GPUs require Ray.
    processes = params.workers or (2 if device.device().type == "cuda" else cpu_count())
    return partial(local.each, processes=processes)
