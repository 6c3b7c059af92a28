"""What has changed from one student to another, by class, on the test texts that both were tested on."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from potstill.evaluate.metrics.scores import interval, mcnemar
from potstill.evaluate.predictions import Predictions
from potstill.runtime.drift import holm

ALPHA = 0.05
STUDENT = "student"


@dataclass(frozen=True)
class Run:
    """The student of a run, and its predictions for the test texts.

    Attributes:
        name: that of its experiment.
        labels: the names of the classes.
        test: the predictions, of which those of the model `student` are used.
    """

    name: str
    labels: Sequence[str]
    test: Predictions

    def has(self, label: str) -> np.ndarray:
        """Return which texts have a class, and for which it is predicted: booleans (2, texts)."""
        ids, id_ = np.stack([self.test.labels, self.test.predicted(STUDENT)]), list(self.labels).index(label)
        return ids == id_ if ids.ndim == 2 else ids[:, :, id_]


def changes(before: Run, after: Run) -> dict[str, Any] | None:
    """Compare two students by class, on the test texts of both, with the labels that `after` has.

    Only texts that were test texts of both are compared: another may have been a train text of one. In a multi-label
    task the texts of a class are all texts, as each may have the label or not.

    Returns:
        None if the two have no test text in common; otherwise

        - `before` and `after`, the names;
        - `texts`, the number of common test texts, and `relabelled`, how many of them had other labels before;
        - `rows`, a row per class that both know, the largest loss first: `label`, `texts`, the shares `before` and
          `after` that are right, the results of `mcnemar` (`after` minus `before`) with `p` adjusted for the number of
          classes (Holm 1979), and `verdict`: `better`, `worse` or None;
        - `better` and `worse`, the classes of these verdicts;
        - `all`, such a row over all these classes without a verdict, or None if no text has one, and `summary`, a
          sentence on it;
        - `new`, a row per class that only `after` knows: `label`, `texts`, `recall` with its interval and `precision`,
          on all of its test texts.
    """
    first, second = _common(before.test.texts, after.test.texts)
    if not len(first):
        return None
    multi_label = after.test.labels.ndim == 2
    relabelled, compared = np.zeros((2, len(first)), bool)
    right = np.ones((2, len(first)), bool)
    rows = []
    for label in after.labels:
        if label not in before.labels:
            continue
        (labelled, said_before), (true, said_after) = before.has(label)[:, first], after.has(label)[:, second]
        correct = np.stack([said_before == true, said_after == true])
        of_class = np.ones_like(true) if multi_label else true
        relabelled |= labelled != true
        compared |= of_class
        right &= correct
        if of_class.any():
            rows.append({"label": label, **_paired(correct[:, of_class])})
    for row, p in zip(rows, holm([row["p"] for row in rows]), strict=True):
        row["p"] = p
        row["verdict"] = None if p >= ALPHA else "worse" if row["difference"] < 0 else "better"
    whole = _paired(right[:, compared]) if compared.any() else None
    return {
        "before": before.name,
        "after": after.name,
        "texts": len(first),
        "relabelled": int(relabelled.sum()),
        "all": whole,
        "summary": describe(whole) if whole else "",
        "better": [row["label"] for row in rows if row["verdict"] == "better"],
        "worse": [row["label"] for row in rows if row["verdict"] == "worse"],
        "rows": sorted(rows, key=lambda row: (row["difference"], row["p"])),
        "new": [{"label": label, **_scores(*after.has(label))} for label in after.labels if label not in before.labels],
    }


def describe(whole: dict[str, Any]) -> str:
    """Return a sentence on the row `all`."""
    points, low, high = (100 * whole[key] for key in ("difference", "difference_low", "difference_high"))
    return (
        f"On the {whole['texts']:,} common test texts of classes that both know, {100 * whole['before']:.1f}% were "
        f"right and {100 * whole['after']:.1f}% are: {points:+.1f} points (95% CI {low:+.1f} to {high:+.1f})."
    ).replace("-", "−")


def _common(before: Sequence[str], after: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Return the places of the texts that both have, in either; copies of a text are matched in their order."""
    tables = [pd.DataFrame({"text": texts, "place": range(len(texts))}) for texts in (before, after)]
    for table in tables:
        table["copy"] = table.groupby("text").cumcount()
    common = tables[0].merge(tables[1], on=["text", "copy"])
    return common["place_x"].to_numpy(), common["place_y"].to_numpy()


def _paired(correct: np.ndarray) -> dict[str, Any]:
    """Compare which of the same texts are right before and after, booleans (2, texts)."""
    before, after = correct.mean(1).tolist()
    test = mcnemar(correct[1], correct[0])
    return {"texts": correct.shape[1], "before": before, "after": after, **test}


def _scores(true: np.ndarray, predicted: np.ndarray) -> dict[str, Any]:
    """Return the recall of a class with its 95% interval, and its precision; None without texts or predictions."""
    texts, found = int(true.sum()), int((true & predicted).sum())
    low, high = interval(found, texts) if texts else (None, None)
    return {
        "texts": texts,
        "recall": found / texts if texts else None,
        "recall_low": low,
        "recall_high": high,
        "precision": found / int(predicted.sum()) if predicted.any() else None,
    }
