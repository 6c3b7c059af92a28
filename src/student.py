"""Stage `student`: distil the teacher into a tiny network."""

from potstill.start import run

from potstill import device, paths, record, truncation
from potstill.corpus.dataset import Dataset
from potstill.cost import measured
from potstill.params.student import StudentParams
from potstill.student import transfer
from potstill.student.distil import distil
from potstill.student.vocabulary import truncated_share


@measured(paths.METRICS / "student" / "cost.json")
def main() -> None:
    """Read the prepared data and the transfer set; write `models/student` and `metrics/student`."""
    params = StudentParams.load()
    data = Dataset.load(paths.PREPARED, unlabelled=False)
    learned = transfer.read(paths.TRANSFER, data.labels, params.sources)
    device.use_threads(params.threads)
    metrics = paths.METRICS / "student"
    with record.curves(metrics) as log:
        trained = distil(data.labels, learned.texts, learned.logits, data.validation, params, log)
    size = trained.save(paths.STUDENT)
    facts = record.summary(trained.best, trained.student.parameters, size)
    read = {"transfer": learned.texts, "validation": data.validation["text"].tolist()}
    shares = {name: truncated_share(some, params.max_length) for name, some in read.items()}
    record.headline(metrics, "student", {**facts, "truncated": shares})
    truncation.note("student.max_length", shares)


if __name__ == "__main__":
    run(main)
