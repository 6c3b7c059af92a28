"""Stage `student`: distil the teacher into a tiny network."""

import pandas as pd
import torch

from potstill import files, paths, record
from potstill.corpus.dataset import Dataset
from potstill.errors import run
from potstill.params.student import StudentParams
from potstill.student.distil import distil


def main() -> None:
    """Read the prepared data and the transfer set; write `models/student` and `metrics/student`."""
    params = StudentParams.load()
    data = Dataset.load(paths.PREPARED)
    texts = pd.read_parquet(paths.TRANSFER / "pool.parquet")["text"].tolist()
    logits = pd.read_parquet(paths.TRANSFER / "logits.parquet").to_numpy("float32")
    if params.threads:
        torch.set_num_threads(params.threads)
    metrics = paths.METRICS / "student"
    with record.curves(metrics) as log:
        student, best = distil(data.labels, texts, logits, data.validation, params, log)
    student.save(paths.STUDENT)
    record.headline(metrics, "student", record.summary(best, student.parameters, files.size(paths.STUDENT)))


if __name__ == "__main__":
    run(main)
