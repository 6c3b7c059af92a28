"""A teacher's logits for a table of texts, however large."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pyarrow as pa
from joblib import cpu_count

from potstill import device, files
from potstill.engine import local, ray, shards
from potstill.params.label import LabelParams
from potstill.teacher import model

FILE = "logits.parquet"


@dataclass(frozen=True)
class Labeller:
    """What loads a teacher and has it answer; it can be pickled.

    Attributes:
        teacher: the teacher's folder, for fsspec.
        batch_size: texts scored at once.
        precision: `auto`, `bf16` or `fp32`.
    """

    teacher: str
    batch_size: int
    precision: str

    def __call__(self) -> shards.Answer:
        """Load the teacher, on one thread if it runs on the processor. It gives a column of logits per label."""
        device.use_threads(1)
        with tempfile.TemporaryDirectory() as copy:
            with shards.reaching(self.teacher) as (system, folder):
                if "file" not in system.protocol:
                    system.get(f"{folder}/", f"{copy}/", recursive=True)
                    folder = copy
            teacher = model.load(Path(folder), self.batch_size, self.precision)

        def answer(texts: pa.Array) -> tuple[pa.Table, dict[str, int]]:
            cut: list[int] = []
            logits = teacher.logits(texts.to_pylist(), cut=cut.append)
            return pa.table(list(logits.T), names=teacher.labels), {"cut": sum(cut)}

        return answer


def label(
    teacher: Path,
    pool: Path,
    target: Path,
    params: LabelParams,
    scratch: Path,
    told: Callable[[int], object] = lambda rows: None,
) -> int:
    """Have a teacher label texts; a run that was killed goes on from the shards that it has finished.

    Args:
        teacher: what the stage `teacher` wrote.
        pool: a Parquet file with the column `text`; its row groups are the shards.
        target: the folder to write: `FILE`, a column of logits per label, in the order and the row groups of the pool.
        params: the settings.
        scratch: where the shards grow, in a folder of their own that is gone when they are written; unless
            `params.storage` names another place, to which what the workers need is copied too.
        told: receives the number of rows of every shard that is done.

    Returns:
        How many texts were cut off.

    Raises:
        PotstillError: the teacher is damaged, a place cannot be reached, or a worker was killed.
    """
    with files.reading(teacher):
        hashed = files.sha256(teacher)
    fingerprint = files.cache_key(hashed, files.sha256(pool), params.precision)
    source, loaded = str(pool.resolve()), str(teacher.resolve())
    with shards.reaching(f"{params.storage or scratch.resolve()}/{teacher.name}-{fingerprint}") as (system, folder):
        home = system.unstrip_protocol(folder)
        if params.storage:
            if not system.exists(f"{folder}/copied"):
                system.put(f"{loaded}/", f"{folder}/teacher/", recursive=True)
                system.put_file(source, f"{folder}/pool.parquet")
                system.pipe_file(f"{folder}/copied", b"")
            source, loaded = f"{home}/pool.parquet", f"{home}/teacher"
    labeller = Labeller(loaded, params.batch_size, params.precision)
    work = shards.Work(labeller, "text", f"{home}/shards", fingerprint, facts=("cut",))
    jobs = shards.plan([source], "text")
    done = shards.answer(work, jobs, _engine(params), told)
    with files.atomic_write(target) as part:
        part.mkdir()
        shards.gather(work, done, part / FILE)
    system.rm(folder, recursive=True)
    return sum(facts["cut"] for facts in done)


def _engine(params: LabelParams) -> shards.Engine:
    if params.engine == "ray":
        return partial(ray.each, actors=params.workers, address=params.ray_address, gpu=True)
    # Two share a GPU: one tokenises while the other computes. Several GPUs want Ray.
    processes = params.workers or (2 if device.device().type == "cuda" else cpu_count())
    return partial(local.each, processes=processes)
