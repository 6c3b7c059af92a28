"""Stage `baseline`: the models that no teacher helps."""

from potstill.start import run

from potstill import device, files, paths, record
from potstill.balance import macro_f1
from potstill.baseline import Tfidf
from potstill.corpus.dataset import Dataset
from potstill.cost import record_resources
from potstill.params.baseline import BaselineParams
from potstill.runtime.decision import accuracy, choose_default
from potstill.student.distil import train_on_labels


@record_resources(paths.METRICS / "baseline" / "resources.json")
def main() -> None:
    """Read the prepared data; write `models/baseline/{tfidf,hard}` and `metrics/baseline`."""
    params = BaselineParams.load()
    data = Dataset.load(paths.PREPARED, unlabelled=False)
    device.use_threads(params.threads)
    metrics = paths.METRICS / "baseline"
    with files.atomic_write(paths.BASELINE) as folder:
        tfidf = Tfidf.fit(data.train, params.C, params.class_weight)
        tfidf.save(folder / "tfidf")
        with record.curves(metrics) as log:
            trained = train_on_labels(data.labels, data.train, data.validation, params, log)
        size = trained.save(folder / "hard")
    scores, labels = tfidf.predict_proba(data.validation["text"].tolist()), data.targets("validation")
    hard = record.summary(trained.best, trained.student.parameters, size)
    linear = {
        "validation_accuracy": round(accuracy(scores, labels, even=0.5), 6),
        "validation_macro_f1": round(macro_f1(labels, choose_default(scores, labels, even=0.5), len(data.labels)), 6),
        "parameters": tfidf.parameters,
        "bytes": files.size(paths.BASELINE / "tfidf"),
    }
    record.headline(metrics, "baseline", {"tfidf": linear, "hard": hard})


if __name__ == "__main__":
    run(main)
