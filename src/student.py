"""Stage `student`: distil the teacher into a tiny network."""

from potstill.core.start import run

from potstill.core import device, paths, tracking, truncation
from potstill.core.resources import record_resources
from potstill.data import transfer
from potstill.data.dataset import Dataset
from potstill.student.distil import distil
from potstill.student.params import StudentParams
from potstill.student.vocabulary import truncated_share


@record_resources(paths.METRICS / "student" / "resources.json")
def main() -> None:
    """Read the prepared data and the transfer set; write `models/student` and `metrics/student`."""
    params = StudentParams.load()
    data = Dataset.load(paths.PREPARED, unlabelled=False)
    train = transfer.read(paths.ENSEMBLE, data.labels, params.sources)
    device.use_threads(params.threads)
    metrics = paths.METRICS / "student"
    with tracking.curves(metrics) as log:
        trained = distil(data.labels, train.texts, train.logits, data.validation, params, log)
    size = trained.save(paths.STUDENT)
    truncated = {
        "transfer": truncated_share(train.texts, params.max_length),
        "validation": truncated_share(data.validation["text"].tolist(), params.max_length),
    }
    summary = tracking.network_metrics(trained.best, trained.student.parameters, size)
    tracking.write_metrics(metrics, "student", {**summary, "truncated": truncated})
    truncation.note("student.max_length", truncated)


if __name__ == "__main__":
    run(main)
