"""The ladder: the candidates for the student, and why one of them was chosen."""

from collections.abc import Sequence
from typing import Any

from potstill.core.markdown import code
from potstill.evaluate.metrics.measures import Rung


def describe(ladder: Sequence[Rung], margin: float, score: str = "accuracy") -> dict[str, Any]:
    """Say why the student was chosen.

    Args:
        ladder: the candidates, in ascending order of size.
        margin: the non-inferiority margin, or without labels the disagreement that is allowed, a fraction.
        score: the name of what validation measures.

    Returns:
        `sentence`, in Markdown; `teacher`, the validation accuracy of the teacher, or None without predictions; and
        `transformer`, whether a candidate is a Transformer.
    """
    place = next(i for i, rung in enumerate(ladder) if rung["status"] == "chosen")
    chosen = ladder[place]
    accuracy, difference = chosen["validation_accuracy"], chosen["difference"]
    return {
        "sentence": _sentence(ladder, place, margin, score),
        "teacher": None if accuracy is None or difference is None else accuracy - difference,
        "transformer": any(rung["architecture"] == "transformer" for rung in ladder),
    }


def _sentence(ladder: Sequence[Rung], place: int, margin: float, score: str) -> str:
    chosen = ladder[place]
    if len(ladder) == 1:
        return (
            "The student was set by hand in the section `student` of `params.yaml`, so no other was trained. With the "
            "keys of its network null, the smallest one that keeps its teacher's accuracy is looked for."
        )
    name, difference = code(chosen["rung"]), chosen["difference"]
    if difference is None:
        return f"{name} was chosen without its teacher, which has no predictions for validation."
    points, low, high = (
        f"{100 * (value or 0):+.1f}".replace("-", "−")
        for value in (difference, chosen["difference_low"], chosen["difference_high"])
    )
    numbers = f"student minus teacher: {points} points, 95% CI {low} to {high}"
    # Larger candidates are trained only if the smaller ones are too inaccurate.
    climbed = any(rung["status"] in ("too inaccurate", "stopped early") for rung in ladder[place + 1 :])
    if score.startswith("agreement"):
        numbers = f"the same label for {100 * (1 + difference):.1f}% of the texts"
        if climbed or difference < -margin:
            return f"No candidate agrees enough with its teacher on validation; {name} agrees most ({numbers})."
        return f"{name} is the smallest candidate that agrees enough with its teacher on validation ({numbers})."
    larger = [rung for rung in ladder[place + 1 :] if rung["status"] == "not needed" and rung["bytes"]]
    if larger:
        times = (larger[0]["bytes"] or 0) / (chosen["bytes"] or 1)
        return (
            f"{name} was chosen although {code(larger[0]['rung'])} loses less on validation, as it is {times:.0f} "
            f"times smaller and what it loses is acceptable ({numbers})."
        )
    if climbed or difference < -margin:
        return f"No candidate keeps its teacher's accuracy on validation; {name} is the most accurate ({numbers})."
    return f"{name} is the smallest candidate that keeps its teacher's accuracy on validation ({numbers})."
