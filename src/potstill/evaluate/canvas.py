"""What the pictures share: their looks, and writing them so that equal numbers give equal bytes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib.style
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from potstill import files

INK, SOFT, PALE, FAINT = "#1f2933", "#5f6b78", "#b8c0c8", "#e3e7eb"
DPI = 200
LONGEST = 28  # letters of a name before it is cut

STYLE = {
    "figure.dpi": DPI,
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
}


def save(draw: Callable[[Figure], None], path: Path, width: float, height: float, **options: Any) -> None:
    """Make a figure of `width` by `height` inches, have it drawn on, and write it to `path` as a PNG file.

    Args:
        draw: puts what is to be seen on the figure.
        path: the file.
        width: inches.
        height: inches.
        **options: further ones of matplotlib's `Figure`.
    """
    # The user's own matplotlibrc must not change the bytes; the process's settings come back after.
    with matplotlib.style.context(["default", STYLE]), files.whole(path) as part:
        figure = Figure(figsize=(width, height), **options)
        FigureCanvasAgg(figure)
        draw(figure)
        figure.savefig(part, format="png", metadata={"Software": None})


def short(name: str) -> str:
    """Cut a long name, so that it fits beside a point or an axis."""
    return name if len(name) <= LONGEST else name[: LONGEST - 1] + "…"
