"""The style of the figures, and how they are written so that equal numbers give equal bytes."""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib.style
from matplotlib.axis import XAxis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import findfont, get_font
from matplotlib.ticker import LogLocator, NullFormatter

from potstill.core import files
from potstill.core.markdown import clip, cut

INK, SOFT, PALE, FAINT = "#1f2933", "#5f6b78", "#b8c0c8", "#e3e7eb"
DPI = 200
TIP = "tip:"  # prefix of the `gid` of an artist with a tooltip
MAX_NAME = 28  # characters of a name that are shown

STYLE = {
    "font.size": 9,
    "text.color": INK,
    "text.parse_math": False,  # names of classes may contain "$"
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
    "svg.fonttype": "none",  # text, not outlines of its letters
    "svg.hashsalt": "potstill",
}


@contextmanager
def new_figure(path: Path, width: float, height: float, **options: Any) -> Iterator[Figure]:
    """Provide a figure of a size in inches, and write it to a PNG or SVG file at the end of the block.

    `options` are further options of matplotlib's `Figure`.
    """
    # The user's matplotlibrc must not change the bytes.
    with matplotlib.style.context(["default", STYLE]), files.atomic_write(path) as part, warnings.catch_warnings():
        # A character that the font does not have is drawn as a box in a PNG; an SVG is drawn with the reader's fonts.
        warnings.filterwarnings("ignore", r"Glyph \d+ .*missing from")
        kind = path.suffix.removeprefix(".")
        # An SVG's unit is the point, and names are placed in pixels.
        figure = Figure(figsize=(width, height), dpi=72 if kind == "svg" else DPI, **options)
        FigureCanvasAgg(figure)
        yield figure
        figure.savefig(part, format=kind, metadata={"Date" if kind == "svg" else "Software": None})


def heading(figure: Figure, title: str, caption: str) -> None:
    """Draw a title and a caption in the upper left corner."""
    figure.text(0.012, 0.972, title, size=13, weight="bold", va="top")
    figure.text(0.012, 0.91, caption, color=SOFT, va="top")


def log_axis(axis: XAxis) -> None:
    """Format the ticks of a logarithmic axis as plain numbers: 0.5, 3,000."""
    axis.set_major_formatter("{x:,.12g}")
    axis.set_minor_formatter(NullFormatter())
    axis.set_major_locator(LogLocator(10, subs=(1, 2, 5), numticks=20))


def short(name: str) -> str:
    """Return a name on one line, cut if it is long, to fit next to a point or an axis."""
    return cut(clip(name), MAX_NAME)


def drawable(names: Sequence[str]) -> list[str]:
    """Return short names of classes; a name with a character missing from the PNG's font is replaced by its id."""
    font = get_font(findfont("DejaVu Sans"))
    shortened = map(short, names)
    return [name if all(map(font.get_char_index, map(ord, name))) else f"#{i}" for i, name in enumerate(shortened)]


def legend_name(name: str) -> str:
    """Return a short name for a legend; matplotlib leaves out names that begin with an underscore."""
    return short(name).replace("_", " _", 1) if name.startswith("_") else short(name)


def tip(text: str) -> str:
    """Return the `gid` of an artist with a tooltip in an SVG."""
    return TIP + clip(text)
