"""Stage `baseline`: train the models on hard labels alone."""

from potstill.core.start import run

from potstill.baseline.fit import fit
from potstill.baseline.params import BaselineParams
from potstill.core import files, paths, tracking
from potstill.core.class_weights import macro_f1
from potstill.core.labels import is_correct, predict_labels_default
from potstill.core.resources import record_resources
from potstill.data.dataset import Dataset


@record_resources("baseline")
def main() -> None:
    """Read the prepared data; write `models/baseline/{tfidf,hard}` and `metrics/baseline`."""
    params = BaselineParams.load()
    data = Dataset.load(paths.PREPARED, unlabelled=False)
    metrics = paths.METRICS / "baseline"
    if not data.is_labelled("train"):
        with files.atomic_write(paths.BASELINE) as folder, files.atomic_write(metrics / "plots") as plots:
            folder.mkdir()
            plots.mkdir(parents=True)
        tracking.write_metrics(metrics, "baseline", {})
        print("no labels: no model is trained without a teacher")
        return
    with files.atomic_write(paths.BASELINE) as folder, tracking.curves(metrics) as log:
        folder.mkdir()
        tfidf, trained, size = fit(data, params, folder, log)
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
