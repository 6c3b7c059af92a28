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
    train = transfer.read(paths.TRANSFER, data.labels, params.sources)
    device.use_threads(params.threads)
    metrics = paths.METRICS / "student"
    with record.curves(metrics) as log:
        trained = distil(data.labels, train.texts, train.logits, data.validation, params, log)
    size = trained.save(paths.STUDENT)
    truncated = {
        "transfer": truncated_share(train.texts, params.max_length),
        "validation": truncated_share(data.validation["text"].tolist(), params.max_length),
    }
    summary = record.network_metrics(trained.best, trained.student.parameters, size)
    record.write_metrics(metrics, "student", {**summary, "truncated": truncated})
    truncation.note("student.max_length", truncated)


if __name__ == "__main__":
    run(main)
