"""Recording a training with DVCLive: a curve per metric, the summary metrics, and the predictions."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from potstill.core import files, paths
from potstill.core.labels import label_names, predict_labels

CURVES = ("loss", "validation_loss", "validation_accuracy")


@contextmanager
def curves(folder: Path) -> Iterator[Callable[[dict[str, float]], None]]:
    """Provide a function that logs and prints the metrics of an epoch, and write a table per metric.

    The function takes a dictionary with `epoch`, the step, and any number of metrics. `folder/plots/metrics/` is
    replaced at the end of the block, and kept if it raises.
    """
    from dvclive import Live  # imported late: what is trained in Python alone has no curves

    # The defaults would edit the project's dvc.yaml and save an experiment. DVCLive's own summary goes with the
    # temporary folder; `write_metrics` writes the one to keep.
    with (
        files.atomic_write(folder / "plots") as plots,
        Live(str(plots.parent), dvcyaml=None, save_dvc_exp=False) as live,
    ):

        def log(epoch: dict[str, float]) -> None:
            live.step = int(epoch["epoch"])
            for name, value in epoch.items():
                if name != "epoch":
                    live.log_metric(name, value)
            live.make_summary()
            tqdm.write(", ".join(f"{name.replace('_', ' ')} {value:.4g}" for name, value in epoch.items()))

        yield log


def read_curves(folder: Path) -> pd.DataFrame:
    """Read the metrics that `curves` logged to a folder: a column `epoch` and one per metric.

    Raises:
        PotstillError: a file is missing or damaged.
    """
    tables: list[pd.DataFrame] = []
    for name in CURVES:
        path = folder / "plots" / "metrics" / f"{name}.tsv"
        with files.reading(path):
            options: Any = {"dtype": {name: float}, "keep_default_na": False, "na_values": ["nan"]}
            table = pd.read_csv(path, sep="\t", index_col="step", **options)[[name]]
            # A training that diverged logs nan as its loss; an empty cell is damage.
            valid = np.isfinite(table[name]) | (table[name].isna() & name.endswith("loss"))
            if not len(table) or not valid.all():
                raise ValueError(f"no epochs, or one without a finite {name}")
            if tables and not table.index.equals(tables[0].index):
                raise ValueError(f"other epochs than {CURVES[0]}.tsv")
            tables.append(table)
    return pd.concat(tables, axis=1).rename_axis("epoch").reset_index()


def all_curves(student: str, others: Iterable[str]) -> dict[str, pd.DataFrame]:
    """Read the curves of the network on hard labels, of the student (called `student`), and of other models.

    A model without curves is left out: a baseline, a teacher that is a table, or the network where there are no labels.
    """
    student_folder, tables = paths.METRICS / "student", "plots/metrics/*.tsv"
    folders = {"hard": paths.METRICS / "baseline", student: student_folder}
    folders |= {name: paths.METRICS / "teacher" / name for name in others if name not in folders}
    return {
        name: read_curves(folder)
        for name, folder in folders.items()
        if folder == student_folder or any(folder.glob(tables))
    }


def write_predictions(path: Path, logits: np.ndarray, actual: np.ndarray, labels: list[str]) -> None:
    """Write a model's logits for a split, with the actual and the predicted labels, as a table.

    The columns `actual` and `predicted` make the file a plot for DVC, so that it can be in Git while the stage's other
    outputs stay in the run cache. Four decimals keep diffs readable, and are exact enough for any probability.

    Args:
        logits: floats (texts, classes); NaN for a text without a prediction. For multi-label classification, labels
            with a logit of 0 or more are predicted.
        actual: the labels, as `Dataset.targets` returns them; -1 where nobody has labelled the texts, whose column
            `actual` is empty.
    """
    table = pd.DataFrame(logits, columns=[f"logit {name}" for name in labels])
    table.insert(0, "predicted", label_names(predict_labels(logits, 0.0 if actual.ndim == 2 else None), labels))
    table.insert(0, "actual", label_names(actual, labels))
    files.write_text(path, table.to_csv(index=False, float_format="%.4f"))


def read_predictions(path: Path, labels: list[str], texts: int, complete: bool = False) -> np.ndarray:
    """Read the logits that `write_predictions` wrote.

    Args:
        texts: the number of texts of the split.
        complete: whether each text must have a prediction. A table or an LLM may have none for some texts.

    Returns:
        Floats (texts, classes); a row of NaN for a text without a prediction.

    Raises:
        PotstillError: the file is missing or damaged.
    """
    with files.reading(path):
        logits = pd.read_csv(path)[[f"logit {name}" for name in labels]].to_numpy(float)
        if len(logits) != texts:
            raise ValueError(f"{len(logits):,} predictions for {texts:,} texts")
        valid = np.isfinite(logits).all(1) | (np.isnan(logits).all(1) & (not complete))
        if not valid.all():
            raise ValueError(f"row {np.flatnonzero(~valid)[0] + 1} has a missing number")
        return logits


def write_metrics(folder: Path, name: str, values: dict[str, Any]) -> None:
    """Write `folder/metrics.json` as `{name: values}`, so that `dvc exp show` has a column `name.value`."""
    files.write_json(folder / "metrics.json", {name: values})


def network_metrics(best: dict[str, float], parameters: int, size: int) -> dict[str, float]:
    """Return the summary of a network, from the metrics of its best epoch (see `training.fit`) and its bytes."""
    scores = {name: round(best[name], 6) for name in ("validation_accuracy", "validation_macro_f1")}
    return {**scores, "best_epoch": best["epoch"], "parameters": parameters, "bytes": size}
