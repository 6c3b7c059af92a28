"""What the pictures share: their looks, and writing them so that equal numbers give equal bytes."""

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import matplotlib.style
from matplotlib.axis import XAxis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import findfont, get_font
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from potstill import files
from potstill.markdown import clip, cut

INK, SOFT, PALE, FAINT = "#1f2933", "#5f6b78", "#b8c0c8", "#e3e7eb"
DPI = 200
TIP = "tip:"  # begins such a `gid`, see `tip`
LONGEST = 28  # letters of a name before it is cut

STYLE = {
    "font.size": 9,
    "text.color": INK,
    "text.parse_math": False,  # a class may be called "$"
    "axes.edgecolor": SOFT,
    "axes.labelcolor": SOFT,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 10,
    "axes.axisbelow": True,
    "grid.color": FAINT,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "legend.frameon": False,
    "svg.fonttype": "none",  # letters, not their outlines
    "svg.hashsalt": "potstill",
}


def save(draw: Callable[[Figure], None], path: Path, width: float, height: float, **options: Any) -> None:
    """Make a figure of `width` by `height` inches, have it drawn on, and write it to `path`, a PNG or an SVG file.

    Args:
        draw: puts what is to be seen on the figure.
        path: the file.
        width: inches.
        height: inches.
        **options: further ones of matplotlib's `Figure`.
    """
    # The user's own matplotlibrc must not change the bytes; the process's settings come back after.
    with matplotlib.style.context(["default", STYLE]), files.atomic_write(path) as part, warnings.catch_warnings():
        # A letter that the font lacks is a box in a PNG; in an SVG the reader's fonts count.
        warnings.filterwarnings("ignore", r"Glyph \d+ .*missing from")
        kind = path.suffix.removeprefix(".")
        # An SVG's unit is the point; names are placed in what are pixels here.
        figure = Figure(figsize=(width, height), dpi=72 if kind == "svg" else DPI, **options)
        FigureCanvasAgg(figure)
        draw(figure)
        figure.savefig(part, format=kind, metadata={"Date" if kind == "svg" else "Software": None})


def heading(figure: Figure, title: str, caption: str) -> None:
    """Put a title and a line below it into the upper left corner."""
    figure.text(0.012, 0.972, title, size=13, weight="bold", va="top")
    figure.text(0.012, 0.91, caption, color=SOFT, va="top")


def log_axis(axis: XAxis) -> None:
    """Write the numbers of a logarithmic axis out: 0.5, 3,000."""
    axis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.12g}"))
    axis.set_minor_formatter(NullFormatter())
    axis.set_major_locator(LogLocator(10, subs=(1, 2, 5), numticks=20))


def short(name: str) -> str:
    """Put a name on one line and cut it if it is long, so that it fits beside a point or an axis."""
    return cut(clip(name), LONGEST)


def numbered(names: Sequence[str]) -> list[str]:
    """Shorten the names of classes; if the font of the PNG files lacks a letter of one, it becomes its id."""
    font = get_font(findfont("DejaVu Sans"))
    shown = map(short, names)
    return [name if all(map(font.get_char_index, map(ord, name))) else f"#{i}" for i, name in enumerate(shown)]


def legend_name(name: str) -> str:
    """Shorten a name for a legend, which leaves out what begins with an underscore."""
    return short(name).replace("_", " _", 1) if name.startswith("_") else short(name)


def tip(text: str) -> str:
    """Return the `gid` of an artist that says `text` where one points at it, in an SVG."""
    return TIP + clip(text)
