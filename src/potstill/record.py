"""Recording a training with DVCLive: a curve per metric, and the headline numbers."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from dvclive import Live
from tqdm import tqdm

from potstill import files, paths
from potstill.runtime.decision import choose, label_names

CURVES = ("loss", "validation_loss", "validation_accuracy")


@contextmanager
def curves(folder: Path) -> Iterator[Callable[[dict[str, float]], None]]:
    """Give a function that logs one epoch, and prints it; `folder/plots/metrics/` then holds a table per metric.

    The dictionary it takes has `epoch`, which becomes the step, and any number of metrics. The tables replace those of
    the run before at the end of the block; they stay if it raises.
    """
    # The defaults would edit the project's dvc.yaml and save an experiment of their own. The summary that DVCLive
    # leaves beside the plots, for which see `headline`, goes with the temporary folder.
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
    """What `curves` recorded in `folder`: a column `epoch` and one per metric."""
    tables: list[pd.DataFrame] = []
    for name in CURVES:
        path = folder / "plots" / "metrics" / f"{name}.tsv"
        with files.reading(path):
            options: Any = {"dtype": {name: float}, "keep_default_na": False, "na_values": ["nan"]}
            table = pd.read_csv(path, sep="\t", index_col="step", **options)[[name]]
            # The loss of a training that diverged is not a number; an empty cell is damage.
            finite = np.isfinite(table[name]) | (table[name].isna() & name.endswith("loss"))
            if not len(table) or not finite.all():
                raise ValueError(f"no epochs, or one without a finite {name}")
            if tables and not table.index.equals(tables[0].index):
                raise ValueError(f"other epochs than {CURVES[0]}.tsv")
            tables.append(table)
    return pd.concat(tables, axis=1).rename_axis("epoch").reset_index()


def all_curves(student: str, others: Iterable[str]) -> dict[str, pd.DataFrame]:
    """What the stages recorded of the network on hard labels, of the student and of those others that have curves.

    Args:
        student: what to call the student.
        others: names of models, of which a teacher that is a table, or a baseline, has none.
    """
    recorded = {"hard": paths.METRICS / "baseline", student: paths.METRICS / "student"}
    for name in others:
        folder = paths.METRICS / "teacher" / name
        if any(folder.glob("plots/metrics/*.tsv")):
            recorded[name] = folder
    return {name: read_curves(folder) for name, folder in recorded.items()}


def write_answers(path: Path, logits: np.ndarray, actual: np.ndarray, labels: list[str]) -> None:
    """Write a model's logits for the test split, and what they amount to, as a table.

    `actual` and `predicted` make it a plot for DVC, which is how a file stays in Git without costing its stage
    the run cache. Four decimals make a readable diff, and are far below what moves a probability. `actual` is given as
    `Dataset.targets`; where a text may have several labels, those of more than even odds are predicted.
    """
    answers = pd.DataFrame(logits, columns=[f"logit {name}" for name in labels])
    answers.insert(0, "predicted", label_names(choose(logits, 0.0 if actual.ndim == 2 else None), labels))
    answers.insert(0, "actual", label_names(actual, labels))
    files.write_text(path, answers.to_csv(index=False, float_format="%.4f"))


def read_answers(path: Path, labels: list[str], texts: int, complete: bool = False) -> np.ndarray:
    """Read the logits that `write_answers` wrote.

    Args:
        path: the file.
        labels: the names of the classes.
        texts: how many there are of the split.
        complete: whether all have an answer, as where the model is no table.

    Returns:
        Floats (texts, classes); a row of NaN for a text without an answer.

    Raises:
        PotstillError: the file is missing or damaged.
    """
    with files.reading(path):
        logits = pd.read_csv(path)[[f"logit {name}" for name in labels]].to_numpy(float)
        if len(logits) != texts:
            raise ValueError(f"{len(logits):,} answers to {texts:,} texts")
        right = np.isfinite(logits).all(1) | (np.isnan(logits).all(1) & (not complete))
        if not right.all():
            raise ValueError(f"row {np.flatnonzero(~right)[0] + 1} lacks a number")
        return logits


def headline(folder: Path, name: str, values: dict[str, Any]) -> None:
    """Write `folder/metrics.json` as `{name: values}`, so that `dvc exp show` has a column `name.value`."""
    files.write_json(folder / "metrics.json", {name: values})


def summary(best: dict[str, float], parameters: int, size: int) -> dict[str, float]:
    """The headline of a network that `training.fit` trained: its best epoch, its parameters, its bytes on disk."""
    return {
        "validation_accuracy": round(best["validation_accuracy"], 6),
        "validation_macro_f1": round(best["validation_macro_f1"], 6),
        "best_epoch": best["epoch"],
        "parameters": parameters,
        "bytes": size,
    }
