"""The charts of the report."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from potstill.core.labels import is_correct
from potstill.evaluate.plots import figure
from potstill.report import charts
from potstill.report.facts import STUDENT, Inputs


def sizes(rows: Sequence[Mapping[str, Any]], reference: str, published: bool = False) -> dict[str, str]:
    """Return the chart of accuracy against size, `size` and for phones `size_narrow`; see `figure.size_figure`."""
    size = partial(figure.size_figure, rows, reference, published=published, titled=False)
    return {
        "size": charts.inline(size, "Accuracy against size"),
        "size_narrow": charts.inline(partial(size, width=4.4), "Accuracy against size, narrow"),
    }


def experiments(rows: Sequence[Mapping[str, Any]], score: str) -> dict[str, str]:
    """Return the charts `accuracy` and `size` of experiments and their teachers.

    Args:
        rows: of `experiments.compare`, and per teacher its scores, `name`, and `differs`, which is empty.
        score: what their accuracy is.
    """
    named = [
        {
            **row,
            "tip": f"{row['name']}: {100 * row['accuracy']:.2f}%",
            "detail": ", ".join(f"{key.rpartition('.')[2]}={value}" for key, value in row["differs"].items()),
        }
        for row in rows
    ]
    return {
        "accuracy": charts.inline(partial(charts.bars, named, score), f"{score.capitalize()} of the experiments"),
        "size": charts.inline(partial(charts.sizes, named), "Size of the experiments"),
    }


def ladder(inputs: Inputs, facts: Mapping[str, Any]) -> Callable[[Path], None]:
    """Return the function that draws the candidates for the student to an SVG or PNG file."""
    return partial(charts.ladder, inputs.ladder, facts["ladder"]["teacher"], inputs.margin, inputs.chosen_by)


def draw(
    inputs: Inputs, facts: Mapping[str, Any], curves: Mapping[str, pd.DataFrame], reference: str, published: bool
) -> dict[str, str]:
    """Draw all charts.

    Args:
        inputs: the outputs of the stages.
        facts: the result of `facts.collect`.
        curves: the training curves by name, see `figure.curves_figure`.
        reference: the name of the model that accuracy is relative to.
        published: whether to add the results of Wasserblat 2021.

    Returns:
        SVG elements by name. A chart without data is left out.
    """
    named = [{**row, "name": inputs.name if row["name"] == STUDENT else row["name"]} for row in facts["models"]]
    drawn = sizes(named, inputs.name if reference == STUDENT else reference, published)
    drawn["curves"] = charts.inline(partial(figure.curves_figure, curves), "Training curves")
    if sensitivity := facts["task_profile"]["word_order"]:
        drawn["word_order"] = charts.inline(partial(charts.word_order, sensitivity), "Word-order sensitivity")
    test = inputs.test
    calibration = {inputs.name: (test.confidence(STUDENT), test.correct(STUDENT))}
    if inputs.teacher:
        answered = test.answered(inputs.teacher)
        sure = test.confidence(inputs.teacher)[answered]
        calibration[inputs.teacher] = (sure, test.correct(inputs.teacher)[answered])
        agrees = is_correct(test.predicted(STUDENT), test.predicted(inputs.teacher))[answered]
        agreement = partial(charts.agreement, sure, agrees)
        drawn["agreement"] = charts.inline(agreement, "Agreement")
    drawn["reliability"] = charts.inline(partial(charts.reliability, calibration), "Reliability diagram")
    if len(inputs.ladder) > 1:
        drawn["ladder"] = charts.inline(ladder(inputs, facts), "Candidates for the student")
    if facts["cascade"]:
        drawn["cascade"] = charts.inline(partial(charts.cascade, facts["cascade"]["result"]), "Cascade")
    ablation = facts["ablation"]
    for name in ("sources", "architectures"):
        if len(ablation[name]) > 1:
            drawn[name] = charts.inline(partial(charts.bars, ablation[name], inputs.score), f"Ablation, {name}")
    if ablation["transfer_size"]:
        of_labels = facts["labelled"] and ablation["sources"]
        hard = ("hard labels", ablation["sources"][0]["accuracy"]) if of_labels else None
        lines = partial(charts.lines, {"distilled": ablation["transfer_size"]}, hard, inputs.score)
        drawn["transfer_size"] = charts.inline(lines, "Ablation, transfer size")
    if ablation["hard"]:
        series = {"network": ablation["hard"], "TF-IDF + LR": ablation["tfidf"]}
        lines = partial(charts.lines, series, (inputs.name, facts["models"][-1]["accuracy"]), inputs.score)
        drawn["labels"] = charts.inline(lines, "Ablation, labels")
    return drawn
