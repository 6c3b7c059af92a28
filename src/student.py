"""Stage `student`: distil the teacher into a tiny network."""

import pandas as pd

from potstill import device, files, paths, record
from potstill.corpus.dataset import Dataset
from potstill.errors import PotstillError, run
from potstill.params.student import StudentParams
from potstill.student.distil import distil


def main() -> None:
    """Read the prepared data and the transfer set; write `models/student` and `metrics/student`."""
    params = StudentParams.load()
    data = Dataset.load(paths.PREPARED)
    pool = pd.read_parquet(paths.TRANSFER / "pool.parquet")
    logits = pd.read_parquet(paths.TRANSFER / "logits.parquet").to_numpy("float32")
    if params.sources is not None:
        wanted = pool["source"].isin(params.sources).to_numpy()
        if not wanted.any():
            raise PotstillError(
                f"`student.sources` {params.sources} are not in the transfer set: see the section `pool`"
            )
        pool, logits = pool[wanted], logits[wanted]
    device.use_threads(params.threads)
    metrics = paths.METRICS / "student"
    with record.curves(metrics) as log:
        student, best = distil(data.labels, pool["text"].tolist(), logits, data.validation, params, log)
    student.save(paths.STUDENT)
    record.headline(metrics, "student", record.summary(best, student.parameters, files.size(paths.STUDENT)))


if __name__ == "__main__":
    run(main)
