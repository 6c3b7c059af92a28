"""Laying the report out: one HTML file that needs nothing else, and the same as Markdown."""

from collections.abc import Callable, Mapping
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from potstill.errors import visible
from potstill.evaluate.table import MISSING, amount, size
from potstill.markdown import clip, code, cut, inert

SHADED = 25  # classes up to which a confusion matrix is shown whole


def render(template: str, facts: Mapping[str, Any]) -> str:
    """Fill a template of this folder, HTML or Markdown, so that every text in it is shown as that text.

    What is not marked safe is escaped; in Markdown by `markdown.inert`.
    """
    html = template.endswith(".html")
    environment = Environment(
        loader=PackageLoader("potstill", "report"),
        autoescape=html,
        finalize=_finalize(_visible_lines if html else inert),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    numbers: dict[str, Callable[..., str]] = {
        "points": points,
        "span": span,
        "count": lambda value: MISSING if value is None else f"{value:,}",
        "amount": lambda value: MISSING if value is None else amount(value),
        "size": lambda value: MISSING if value is None else size(value),
        "digits": digits,
    }
    environment.filters |= {name: _safe(write) for name, write in numbers.items()} | {
        "clip": clip,
        "code": _safe(code),
        "name": name,
    }
    environment.globals |= {"SHADED": SHADED}
    return environment.get_template(template).render(facts)


def _finalize(show: Callable[[str], str]) -> Callable[[Any], Any]:
    """What is done to a value before it is written; numbers, and what is marked safe, stay as they are."""

    def finalize(value: Any) -> Any:
        return value if isinstance(value, Markup | int | float) else show(str(value))

    return finalize


def _visible_lines(text: str) -> str:
    return "\n".join(map(visible, text.split("\n")))


def _safe(write: Callable[..., str]) -> Callable[..., Markup]:
    """Mark what a filter makes as safe."""
    return lambda *arguments: Markup(write(*arguments))


def name(text: str) -> Markup:
    """A name in HTML; one that is long is cut, and whole in its tooltip."""
    whole = visible(text)
    shown = cut(whole)
    return escape(whole) if shown == whole else Markup('<span title="{}">{}</span>').format(whole, shown)


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
