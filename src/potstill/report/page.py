"""Rendering of the report, as one self-contained HTML file or as Markdown."""

from collections.abc import Mapping
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from potstill.core import markdown
from potstill.core.errors import visible
from potstill.core.markdown import clip, code, cut
from potstill.evaluate import cascade
from potstill.evaluate.table import MISSING, amount, size
from potstill.report.glossary import TERMS, explain

MATRIX_CLASSES = 25  # up to which the confusion matrix is shown


def render(template: str, facts: Mapping[str, Any]) -> str:
    """Render a template of this folder, HTML or Markdown.

    Every value is escaped, in Markdown by `markdown.escape`; numbers, and what is marked safe, stay as they are.
    """
    html = template.endswith(".html")
    escaped = _visible_lines if html else markdown.escape
    environment = Environment(
        loader=PackageLoader("potstill", "report"),
        autoescape=html,
        finalize=lambda value: value if isinstance(value, Markup | int | float) else escaped(str(value)),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"percent": percent, "accuracy": accuracy, "count": count, "digits": digits, "clip": clip}
    environment.filters |= {
        "amount": lambda value: Markup(MISSING if value is None else amount(value)),
        "size": lambda value: Markup(MISSING if value is None else size(value)),
        "difference": difference,
        "code": lambda text: Markup(code(text)),
        "name": name,
        "explain": lambda text: explain(visible(text)),
    }
    environment.globals |= {"MATRIX_CLASSES": MATRIX_CLASSES, "TERMS": TERMS, "cascade_command": cascade.command}
    return environment.get_template(template).render(facts)


def _visible_lines(text: str) -> str:
    return "\n".join(map(visible, text.split("\n")))


def name(text: str) -> Markup:
    """Return a name in HTML, cut if it is long, with the whole name in a tooltip."""
    whole = visible(text)
    shown = cut(whole)
    return escape(whole) if shown == whole else Markup('<span title="{}">{}</span>').format(whole, shown)


def percent(fraction: float | None, decimals: int = 1) -> Markup:
    """Return a fraction in percent."""
    return Markup(MISSING if fraction is None else f"{100 * fraction:.{decimals}f}")


def count(value: int | None) -> Markup:
    """Return an integer with separators of thousands."""
    return Markup(MISSING if value is None else f"{value:,}")


def digits(value: float | None) -> Markup:
    """Return a number with three digits, or as an integer if it is large: 0.0042, 11.2, 1,934."""
    return Markup(MISSING if value is None else f"{value:,.0f}" if value >= 999.5 else f"{value:.3g}")


def accuracy(row: Mapping[str, Any]) -> Markup:
    """Return an accuracy in percent, with its interval."""
    low, high = percent(row["accuracy_low"]), percent(row["accuracy_high"])
    return Markup(f"{percent(row['accuracy'], 2)} ({low}–{high})")


def difference(row: Mapping[str, Any]) -> Markup:
    """Return a difference in accuracy in points, with its interval."""
    if row["difference"] is None:
        return Markup(MISSING)
    points, low, high = (
        MISSING if row[key] is None else f"{100 * row[key]:+.1f}".replace("-", "−")
        for key in ("difference", "difference_low", "difference_high")
    )
    return Markup(f"{points} ({low} to {high})")
