"""The results of a search: which are Pareto-optimal in size and score, and which one to take."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

Unit = Literal["parameters", "bytes"]


@dataclass(frozen=True)
class Result:
    """A student that was trained.

    Attributes:
        params: its parameters that are searched.
        parameters: the number of its weights.
        bytes: the size of its file.
        score: `student.metric` on the validation split, a fraction.
    """

    params: dict[str, Any]
    parameters: int
    bytes: int
    score: float

    def size(self, unit: Unit) -> int:
        """Return the number of weights or of bytes."""
        return self.parameters if unit == "parameters" else self.bytes


def pareto_front(results: Sequence[Result], unit: Unit) -> list[Result]:
    """Return the results of which no other is both as small and as good, in ascending order of size."""
    front: list[Result] = []
    for result in sorted(results, key=lambda r: (r.size(unit), -r.score)):
        if not front or result.score > front[-1].score:
            front.append(result)
    return front


def recommend(front: Sequence[Result], teacher: float, margin: float) -> Result | None:
    """Return the smallest student whose score is at most `margin` below the teacher's; None if there is none.

    Args:
        front: Pareto-optimal results in ascending order of size.
        teacher: the score of the teacher on the validation split, a fraction.
        margin: a fraction.
    """
    return next((result for result in front if teacher - result.score <= margin), None)
