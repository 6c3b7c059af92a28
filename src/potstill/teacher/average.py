"""Several teachers as one."""

import numpy as np


def average(logits: list[np.ndarray], multi_label: bool = False) -> np.ndarray:
    """The mean of several teachers' logits, each text's centred first.

    Only the differences between a text's logits mean anything; centring makes them comparable between teachers,
    and a table's log-probabilities comparable with a network's logits. Where a text may have several labels, every
    logit means something by itself, the log-odds of a label, and is left as it is.

    Args:
        logits: one array per teacher, each of shape (texts, classes).
        multi_label: whether a text may have several labels.

    Returns:
        Logits of the same shape, float32, summing to zero in every row if centred; NaN where a teacher has none.
    """
    centred = logits if multi_label else [scores - scores.mean(1, keepdims=True) for scores in logits]
    return np.asarray(np.mean(centred, axis=0), np.float32)
