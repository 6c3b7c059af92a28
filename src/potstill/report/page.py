"""Laying the report out: one HTML file that needs nothing else, and the same as Markdown."""

from collections.abc import Mapping
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from potstill.evaluate.table import MISSING, amount, size

LONGEST = 240  # letters of a text that are shown
SHADED = 25  # classes up to which a confusion matrix is shown whole


def render(template: str, facts: Mapping[str, Any]) -> str:
    """Fill a template of this folder, HTML or Markdown. In HTML all that is not marked safe is escaped."""
    environment = Environment(
        loader=PackageLoader("potstill", "report"),
        autoescape=template.endswith(".html"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "points": points,
        "span": span,
        "count": lambda value: MISSING if value is None else f"{value:,}",
        "amount": lambda value: MISSING if value is None else amount(value),
        "size": lambda value: MISSING if value is None else size(value),
        "digits": digits,
        "clip": clip,
        "cell": lambda text: clip(text).replace("\\", "\\\\").replace("|", "\\|"),
    }
    environment.globals |= {"SHADED": SHADED}
    return environment.get_template(template).render(facts)


def points(share: float | None, decimals: int = 1) -> str:
    """A share in percent."""
    return MISSING if share is None else f"{100 * share:.{decimals}f}"


def digits(value: float | None) -> str:
    """A number to three digits, or to the whole: 0.0042, 11.2, 1,934."""
    return MISSING if value is None else f"{value:,.0f}" if value >= 999.5 else f"{value:.3g}"


def span(row: Mapping[str, Any]) -> str:
    """An accuracy in percent, with its interval."""
    ends = (row["accuracy_low"], row["accuracy_high"])
    return f"{points(row['accuracy'], 2)} ({points(ends[0])}–{points(ends[1])})"


def clip(text: str) -> str:
    """A text on one line, cut if it is long."""
    line = " ".join(text.split())
    return line if len(line) <= LONGEST else line[: LONGEST - 1] + "…"
