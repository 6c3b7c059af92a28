"""The table of a search's results, and the student that it recommends."""

from collections.abc import Sequence
from typing import Any

from potstill.search.pareto import Result


def markdown(front: Sequence[Result], chosen: Result, metric: str, teacher: float | None, margin: float | None) -> str:
    """Return a table of the Pareto-optimal students, and the command that trains the chosen one.

    Args:
        front: Pareto-optimal results.
        chosen: one of them.
        metric: the name of the score.
        teacher: the score of the teacher, a fraction; None if it is not known.
        margin: how far below the teacher's score the chosen one may be, a fraction; None if no student is as good.
    """
    if teacher is None:
        reason = "The best student:"
    elif margin is None:
        reason = f"No student is within the margin of the teacher ({teacher:.2%}). The best one:"
    else:
        reason = f"The smallest student within {100 * margin:.1f} points of the teacher ({teacher:.2%}):"
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
