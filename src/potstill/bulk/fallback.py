"""A larger model that answers where a student is unsure: a cascade (Viola and Jones 2001)."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from potstill.errors import PotstillError, lacking
from potstill.runtime.decision import probabilities

Fallback = Callable[[list[str]], np.ndarray]


def load(folder: Path, labels: Sequence[str]) -> Fallback:
    """A function that gives a teacher's probabilities for texts, of shape (texts, classes).

    Args:
        folder: what the stage `teacher` wrote.
        labels: the classes of the student, whose order the probabilities take.

    Raises:
        PotstillError: the folder holds no teacher, one of other classes, or one that cannot answer new texts; or what
            is needed to run it is not installed.
    """
    try:
        from potstill.teacher import model

        teacher = model.load(folder)
    except ModuleNotFoundError as error:
        raise lacking(error.name, "train") from None
    if teacher.parameters is None:
        raise PotstillError(f"{folder} is a table of answers, and has none for new texts: give a checkpoint's folder")
    if sorted(teacher.labels) != sorted(labels):
        raise PotstillError(
            f"{folder} tells apart {', '.join(teacher.labels)}, and the student {', '.join(labels)}: give its teacher"
        )
    order = [teacher.labels.index(label) for label in labels]
    return lambda texts: probabilities(teacher.logits(texts)[:, order], multi_label=False)
