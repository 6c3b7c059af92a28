"""What a student's file says of itself."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

import potstill
from potstill.corpus.dataset import Dataset
from potstill.evaluate.scores import scores
from potstill.params.student import StudentParams
from potstill.runtime.model import Student


def collect(
    student: Student,
    words: Sequence[str] | None,
    data: Dataset,
    sources: Mapping[str, int],
    hashes: Mapping[str, str],
    teachers: Mapping[str, float | None],
    params: StudentParams,
) -> dict[str, Any]:
    """All there is to know of a student: where it comes from, and how good it is.

    Args:
        student: the student, calibrated.
        words: what it knows, in the order of its rows, for a file that does not say it otherwise; or None.
        data: the labelled texts; the unlabelled ones are not looked at.
        sources: how many texts of each source of the transfer set it was trained on.
        hashes: SHA-256 by the name of the data.
        teachers: accuracy on the test split by the name of those who labelled its texts; None for one that has no
            answers for some of them.
        params: how it was trained.
    """
    splits = {"validation": data.validation, "test": data.test}
    facts: dict[str, Any] = {
        "version": potstill.__version__,
        "params": params.model_dump(),
        "rows": {
            "train": sources.get("train", 0),
            **{name: len(table) for name, table in splits.items()},
            "unlabelled": sources.get("unlabelled", 0),
        },
        "sha256": dict(hashes),
        "metrics": {name: _metrics(student, table, data.targets(name)) for name, table in splits.items()},
        "teachers": {name: accuracy for name, accuracy in teachers.items() if accuracy is not None},
    }
    untested = [name for name, accuracy in teachers.items() if accuracy is None]
    facts |= {"untested_teachers": untested} if untested else {}
    return facts | ({} if words is None else {"words": "\n".join(words)})


def _metrics(student: Student, table: pd.DataFrame, targets: np.ndarray) -> dict[str, float]:
    return scores(targets, student.predict_proba(table["text"]), thresholds=student.thresholds)
