"""The advice as Markdown."""

from collections.abc import Sequence
from typing import Any

from potstill.advise.decide import Measured, Statement, second_score
from potstill.core.markdown import code

CONFIDENCE = {
    "measured": "Measured: the 95% interval on the sample excludes any other answer.",
    "likely": "Likely: extrapolated beyond the sample.",
    "inconclusive": "Inconclusive: the sample does not decide it.",
}


def markdown(measured: Measured, advice: Sequence[Statement]) -> str:
    """Return the statements, each with its evidence, and a table of all models that were trained."""
    rows = measured["rows"]
    others = "train texts without their labels" if measured["train_as_unlabelled"] else "unlabelled texts"
    lines = [
        "# Advice",
        "",
        f"Based on {rows['sample']:,} of {rows['train']:,} labelled rows, {rows['transfer'] - rows['sample']:,} "
        f"{others}, and the teacher {code(measured['teacher'])}, fine-tuned on the sample. Measured on "
        f"{rows['validation']:,} validation texts; the test split was not used. Each model was trained once.",
        "",
    ]
    for statement in advice:
        lines += [f"**{statement.topic}** {statement.claim}", "", f"- Evidence: {statement.evidence}."]
        lines += [f"- {CONFIDENCE[statement.confidence]}"]
        lines += [f"- `{statement.command}`", ""] if statement.command else [""]
    key, name = second_score(measured)
    lines += [f"| model | training | texts | parameters | validation, % (95% CI) | {name} | agreement, % |"]
    lines += ["| --- | --- | ---: | ---: | ---: | ---: | ---: |"]
    lines += [f"| {' | '.join(_cells(model, key))} |" for model in measured["models"]]
    chance = "0.0" if key == "matthews" else "–"
    frequent = f"| most frequent class | – | – | – | {100 * measured['majority']:.1f} | {chance} | – |"
    return "\n".join([*lines, frequent, ""])


def _cells(model: dict[str, Any], second: str) -> list[str]:
    low, high = 100 * model["accuracy_low"], 100 * model["accuracy_high"]
    return [
        model["name"],
        model["training"],
        f"{model['texts']:,}",
        f"{model['parameters']:,}" if model["parameters"] else "–",
        f"{100 * model['accuracy']:.1f} ({low:.1f}–{high:.1f})",
        f"{100 * model[second]:.1f}",
        f"{100 * model['agreement']:.1f}" if "agreement" in model else "–",
    ]
