"""Stage `baseline`: train the models on hard labels alone."""

from potstill.start import run

from potstill import device, files, paths, record
from potstill.balance import macro_f1
from potstill.baseline import Tfidf
from potstill.corpus.dataset import Dataset
from potstill.cost import measured
from potstill.params.baseline import BaselineParams
from potstill.runtime.decision import accuracy, likely
from potstill.student.distil import train_on_labels


@measured(paths.METRICS / "baseline" / "cost.json")
def main() -> None:
    """Read the prepared data; write `models/baseline/{tfidf,hard}` and `metrics/baseline`."""
    params = BaselineParams.load()
    data = Dataset.load(paths.PREPARED, unlabelled=False)
    device.use_threads(params.threads)
    metrics = paths.METRICS / "baseline"
    with files.whole(paths.BASELINE) as folder:
        tfidf = Tfidf.fit(data.train, params.C, params.class_weight)
        tfidf.save(folder / "tfidf")
        with record.curves(metrics) as log:
            trained = train_on_labels(data.labels, data.train, data.validation, params, log)
        size = trained.save(folder / "hard")
    probabilities, labels = tfidf.predict_proba(data.validation["text"].tolist()), data.targets("validation")
    tfidf_metrics = {
        "validation_accuracy": round(accuracy(probabilities, labels, even=0.5), 6),
        "validation_macro_f1": round(macro_f1(labels, likely(probabilities, labels, even=0.5), len(data.labels)), 6),
        "parameters": tfidf.parameters,
        "bytes": files.size(paths.BASELINE / "tfidf"),
    }
    hard_metrics = record.network_metrics(trained.best, trained.student.parameters, size)
    record.write_metrics(metrics, "baseline", {"tfidf": tfidf_metrics, "hard": hard_metrics})


if __name__ == "__main__":
    run(main)
