"""Which pictures the report has, and of what."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import pandas as pd

from potstill.evaluate import figure
from potstill.report import charts
from potstill.report.facts import STUDENT, Inputs
from potstill.runtime.decision import right


def sizes(rows: Sequence[Mapping[str, Any]], reference: str, published: bool = False) -> dict[str, str]:
    """Accuracy against size, `size` and for phones `size_narrow`; arguments as of `figure.size_figure`."""
    size = partial(figure.size_figure, rows, reference, published=published, titled=False)
    return {
        "size": charts.inline(size, "Accuracy against size"),
        "size_narrow": charts.inline(partial(size, width=4.4), "Accuracy against size, narrow"),
    }


def draw(
    inputs: Inputs, facts: Mapping[str, Any], curves: Mapping[str, pd.DataFrame], reference: str, published: bool
) -> dict[str, str]:
    """Draw all pictures.

    Args:
        inputs: what the stages left.
        facts: what `facts.collect` made of it.
        curves: the training curves by name, see `figure.curves_figure`.
        reference: the name of the model that accuracy is relative to.
        published: whether to add the article's own figures.

    Returns:
        By name an SVG element, or an empty text where there is nothing to draw.
    """
    named = [{**row, "name": inputs.name if row["name"] == STUDENT else row["name"]} for row in facts["table"]]
    reference = inputs.name if reference == STUDENT else reference
    found = sizes(named, reference, published)
    found["curves"] = charts.inline(partial(figure.curves_figure, curves), "Training curves")
    test = inputs.test
    sure = {inputs.name: (test.confidence(STUDENT), test.right(STUDENT))}
    if facts["when"]["order"]:
        found["order"] = charts.inline(partial(charts.order, facts["when"]["order"]), "Word-order sensitivity")
    if inputs.teacher:
        sure[inputs.teacher] = (test.confidence(inputs.teacher), test.right(inputs.teacher))
        agrees = right(test.chosen(STUDENT), test.chosen(inputs.teacher))
        agreement = partial(charts.agreement, test.confidence(inputs.teacher), agrees)
        found["agreement"] = charts.inline(agreement, "Agreement")
    if facts["cascade"]:
        cascade = facts["cascade"]["found"]
        shown = partial(charts.cascade, cascade.curve, cascade.teacher, cascade.threshold)
        found["cascade"] = charts.inline(shown, "Cascade")
    found["reliability"] = charts.inline(partial(charts.reliability, sure), "Reliability")
    ablation = facts["ablation"]
    level = (inputs.name, facts["table"][-1]["accuracy"])
    for name in ("ladder", "architectures"):
        if len(ablation[name]) > 1:
            found[name] = charts.inline(partial(charts.bars, ablation[name]), f"Ablation, {name}")
    if ablation["pool"]:
        hard = ("hard labels alone", ablation["ladder"][0]["accuracy"]) if ablation["ladder"] else None
        found["pool"] = charts.inline(partial(charts.lines, {"distilled": ablation["pool"]}, hard), "Ablation, pool")
    if ablation["hard"]:
        series = {"network": ablation["hard"], "TF-IDF + LR": ablation["tfidf"]}
        found["labels"] = charts.inline(partial(charts.lines, series, level), "Ablation, labels")
    every = ("order", "architectures", "ladder", "pool", "labels", "agreement", "cascade")
    return dict.fromkeys(every, "") | found
