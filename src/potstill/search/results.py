"""The results of a search: which are Pareto-optimal in size and score, which one to take, and a table of them."""

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


def markdown(front: Sequence[Result], chosen: Result, metric: str, teacher: float | None, margin: float) -> str:
    """Return a table of the Pareto-optimal students, and the command that trains the chosen one.

    Args:
        front: Pareto-optimal results.
        chosen: one of them.
        metric: the name of the score.
        teacher: the score of the teacher, a fraction; None if it is not known.
        margin: how far below the teacher's score a student may be, a fraction.
    """
    reason = "The best student:"
    if teacher is not None:
        near = f"within {100 * margin:.1f} points of the teacher ({teacher:.2%})"
        good = teacher - chosen.score <= margin
        reason = f"The smallest student {near}:" if good else f"No student is {near}. The best one:"
    options = " ".join(f"-S student.{key}={'null' if value is None else value}" for key, value in chosen.params.items())
    return f"""{table(front, chosen)}
{reason}

    dvc exp run {options}

Each student was trained once and selected by its validation {metric}, which is therefore optimistic.
"""


def table(results: Sequence[Result], chosen: Result) -> str:
    """Return a Markdown table of results, with the chosen one in bold."""
    lines = ["| parameters | bytes | validation, % | settings |", "| ---: | ---: | ---: | --- |"]
    for result in results:
        bold = "**" if result is chosen else ""
        cells = (f"{result.parameters:,}", f"{result.bytes:,}", f"{100 * result.score:.2f}")
        settings = " ".join(f"{key}={_short(value)}" for key, value in result.params.items())
        lines.append(f"| {' | '.join(f'{bold}{cell}{bold}' for cell in cells)} | {settings} |")
    return "\n".join(lines) + "\n"


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
