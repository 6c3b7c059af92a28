"""A teacher that classifies the texts that the student is unsure of: a cascade (Viola and Jones 2001)."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from potstill.core.errors import PotstillError, missing_package
from potstill.core.labels import probabilities

if TYPE_CHECKING:
    from potstill.scoring.model import Teacher


@dataclass(frozen=True)
class Fallback:
    """A teacher, and the positions of the student's labels among its labels."""

    teacher: "Teacher"
    order: list[int]

    def predict_proba(self, texts: list[str]) -> np.ndarray:
        """Return probabilities of shape (texts, classes), the classes in the student's order."""
        return probabilities(self.teacher.logits(texts)[:, self.order], multi_label=False)


def load(folder: Path, labels: Sequence[str]) -> Fallback:
    """Load a teacher as a fallback.

    Args:
        folder: the teacher's folder, as the stage `teacher` writes it.
        labels: the student's labels.

    Raises:
        PotstillError: the folder has no teacher, one of other labels, a table or an LLM; or a package is not installed.
    """
    try:
        from potstill.scoring import model

        teacher = model.load(folder)
    except ModuleNotFoundError as error:
        raise missing_package(error.name, "train") from None
    if teacher.parameters is None:
        raise PotstillError(
            f"{folder}: it is a table, without probabilities of new texts, or an LLM. Name a fine-tuned teacher."
        )
    if sorted(teacher.labels) != sorted(labels):
        raise PotstillError(
            f"{folder} has the labels {', '.join(teacher.labels)}, the student {', '.join(labels)}. Name its teacher."
        )
    return Fallback(teacher, [teacher.labels.index(label) for label in labels])
