"""Models with their scores, and multi-label predictions."""

import numpy as np

from potstill.evaluate.metrics import scores


def row(name, kind, parameters, accuracy, **more):
    low, high = scores.interval(round(2000 * accuracy), 2000)
    return {
        "name": name, "kind": kind, "parameters": parameters, "bytes": 4 * (parameters or 0),
        "accuracy": accuracy, "accuracy_low": low, "accuracy_high": high, **more,
    }  # fmt: skip


ROWS = [
    row(
        "mlp",
        "student",
        80_102,
        0.918,
        agreement=0.96,
        milliseconds_per_text=0.0312,
        texts_per_second=61234.5,
    ),
    row("minilm", "teacher", 22_700_000, 0.927, macro_f1=0.8812, matthews=0.9023, relative=1.0),
    row("hard", "baseline", 80_102, 0.8635),
    row("tf|idf", "baseline", 60_000, 0.8615),
    row("table", "teacher", None, 0.93),
]


KNOWN = np.array([[1, 0], [1, 1], [0, 0], [0, 1]], bool)


FOUND = np.array([[0.9, 0.1], [0.9, 0.4], [0.2, 0.2], [0.6, 0.7]])
