"""The facts in a model file: data, parameters, scores and teachers of the student."""

from collections.abc import Mapping, Sequence
from typing import Any

import potstill
from potstill.data.dataset import Dataset
from potstill.evaluate.metrics.scores import scores
from potstill.runtime.model import Classifier
from potstill.student.params import DistilParams


def collect(
    student: Classifier,
    words: Sequence[str] | None,
    data: Dataset,
    sources: Mapping[str, int],
    hashes: Mapping[str, str],
    teachers: Mapping[str, float | None],
    params: DistilParams,
) -> dict[str, Any]:
    """Return the facts of a student.

    Args:
        student: the student, calibrated.
        words: its vocabulary in the order of its rows, for a file that has only fingerprints; or None.
        data: the data set; its unlabelled texts are not used.
        sources: the number of texts of the transfer set that it was trained on, by source.
        hashes: SHA-256 by the name of the data.
        teachers: the test accuracy of the teachers that labelled its texts; None for a teacher without predictions for
            some test texts, or without a test split that has labels.
        params: the parameters of its training.
    """
    splits = {name: data.split(name) for name in ("validation", "test") if len(data.split(name))}
    facts: dict[str, Any] = {
        "version": potstill.__version__,
        "params": params.model_dump(),
        "rows": {
            "train": sources.get("train", 0),
            **{name: len(table) for name, table in splits.items()},
            "unlabelled": sources.get("unlabelled", 0),
        },
        "sha256": dict(hashes),
        "metrics": {
            name: scores(data.targets(name), student.predict_proba(table["text"]), thresholds=student.thresholds)
            for name, table in splits.items()
        },
        "teachers": {name: accuracy for name, accuracy in teachers.items() if accuracy is not None},
    }
    untested = [name for name, accuracy in teachers.items() if accuracy is None]
    facts |= {"untested_teachers": untested} if untested else {}
    facts |= {"labelled_by_teacher": list(data.by_teacher)} if data.by_teacher else {}
    return facts | ({} if words is None else {"words": "\n".join(words)})
