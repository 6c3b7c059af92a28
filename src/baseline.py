"""Stage `baseline`: train the models on hard labels alone."""

from potstill.core.start import run

from potstill.baseline.network import train_on_labels
from potstill.baseline.params import BaselineParams
from potstill.core import device, files, paths, tracking
from potstill.core.class_weights import macro_f1
from potstill.core.labels import is_correct, predict_labels_default
from potstill.core.resources import record_resources
from potstill.data.dataset import Dataset
from potstill.scoring.tfidf import Tfidf


@record_resources(paths.METRICS / "baseline" / "resources.json")
def main() -> None:
    """Read the prepared data; write `models/baseline/{tfidf,hard}` and `metrics/baseline`."""
    params = BaselineParams.load()
    data = Dataset.load(paths.PREPARED, unlabelled=False)
    device.use_threads(params.threads)
    metrics = paths.METRICS / "baseline"
    if not data.is_labelled("train"):
        with files.atomic_write(paths.BASELINE) as folder, files.atomic_write(metrics / "plots") as plots:
            folder.mkdir()
            plots.mkdir(parents=True)
        tracking.write_metrics(metrics, "baseline", {})
        print("no labels: no model is trained without a teacher")
        return
    with files.atomic_write(paths.BASELINE) as folder:
        tfidf = Tfidf.fit(data.train, params.C, params.class_weight)
        tfidf.save(folder / "tfidf")
        with tracking.curves(metrics) as log:
            trained = train_on_labels(data.labels, data.train, data.validation, params, log)
        size = trained.save(folder / "hard")
    probabilities, labels = tfidf.predict_proba(data.validation["text"].tolist()), data.targets("validation")
    predicted = predict_labels_default(probabilities, labels, threshold=0.5)
    tfidf_metrics = {
        "validation_accuracy": round(float(is_correct(predicted, labels).mean()), 6),
        "validation_macro_f1": round(macro_f1(labels, predicted, len(data.labels)), 6),
        "parameters": tfidf.parameters,
        "bytes": files.size(paths.BASELINE / "tfidf"),
    }
    hard_metrics = tracking.network_metrics(trained.best, trained.student.parameters, size)
    tracking.write_metrics(metrics, "baseline", {"tfidf": tfidf_metrics, "hard": hard_metrics})


if __name__ == "__main__":
    run(main)
