"""Figures: accuracy against size, confusion matrices and training curves."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, PercentFormatter
from matplotlib.transforms import Bbox, IdentityTransform

from potstill.core.errors import PotstillError
from potstill.evaluate.plots.canvas import INK, PALE, SOFT, drawable, heading, new_figure, short, tip
from potstill.evaluate.plots.placement import place
from potstill.evaluate.table import thousands

# Marker and colour by kind; the colours (Okabe and Ito) are safe for colour-blind readers.
KINDS = {"baseline": ("s", "#7b8794"), "teacher": ("D", "#0072b2"), "student": ("o", "#d55e00")}
SHADES = LinearSegmentedColormap.from_list("potstill", ["#ffffff", "#cfe3f1", "#0072b2", "#00395a"])

# On Emotion's test split: name, kind, parameters, accuracy (Wasserblat 2021, one run each).
PUBLISHED = (
    ("MLP", "baseline", 80_102, 0.860),
    ("distilled MLP", "student", 80_102, 0.918),
    ("DistilBERT", "teacher", 66_000_000, 0.915),
    ("DistilRoBERTa", "teacher", 82_000_000, 0.923),
    ("BERT-base", "teacher", 110_000_000, 0.924),
    ("RoBERTa-base", "teacher", 125_000_000, 0.930),
    ("T5-base", "teacher", 220_000_000, 0.935),
)

SERIES = ("#d55e00", "#0072b2", "#009e73", "#cc79a7", "#7b8794")  # Okabe and Ito

NUMBERED_CLASSES = 30  # up to which the cells of a confusion matrix have numbers
MATRIX_CLASSES = 150  # up to which all classes are drawn
COLUMNS = 4  # of training curves


@dataclass(frozen=True)
class _Mark:
    """A point of the size figure: `size` in parameters, `x` where it is drawn, `y` in percent of the reference."""

    name: str
    kind: str
    size: float
    x: float
    y: float
    low: float
    high: float
    published: bool = False


def size_figure(
    rows: Sequence[Mapping[str, Any]],
    reference: str,
    path: Path,
    published: bool = False,
    width: float = 8,
    titled: bool = True,
) -> None:
    """Draw accuracy relative to a reference model against the number of parameters.

    Models of nearly the same size are drawn a few pixels apart.

    Args:
        rows: per model `name`, `kind` ("baseline", "teacher" or "student"), `parameters` (count), `accuracy`,
            `accuracy_low` and `accuracy_high` (fractions). A row without `parameters`, such as a table of
            probabilities, is left out.
        reference: the name of the row that is 100%.
        path: the PNG or SVG file to write.
        published: whether to add the results of Wasserblat 2021, which are for the Emotion data only.
        width: inches.
        titled: whether to draw a title.

    Raises:
        PotstillError: no row has the name `reference`, or its accuracy is 0.
    """
    base = next((row["accuracy"] for row in rows if row["name"] == reference), 0)
    if not base:
        raise PotstillError(f"the reference {reference!r} is not evaluated, or its accuracy is 0. Choose another.")
    marks = []
    for row in rows:
        if size := row.get("parameters"):
            y, low, high = (100 * row[key] / base for key in ("accuracy", "accuracy_low", "accuracy_high"))
            marks.append(_Mark(row["name"], row["kind"], size, size, y, low, high))
    if published:
        for name, kind, parameters, accuracy in PUBLISHED:
            y = 100 * accuracy / base
            marks.append(_Mark(name, kind, parameters, parameters, y, y, y, published=True))
    with new_figure(path, width, 5) as figure:
        axes = figure.subplots()
        figure.subplots_adjust(left=0.64 / width, right=1 - 0.12 / width, top=0.85 if titled else 0.92, bottom=0.105)
        if titled:
            caption = f"relative to {short(reference)} ({base:.1%} accuracy); bars show 95% intervals"
            heading(figure, "Accuracy against size", caption)
        _legend(figure, marks)
        _size_axes(axes, marks)
        _draw_marks(axes, _dodge(axes, marks))


def _legend(figure: Figure, marks: list[_Mark]) -> None:
    present = {mark.kind for mark in marks if not mark.published}
    looks = [(kind, marker, colour, colour) for kind, (marker, colour) in KINDS.items() if kind in present]
    if any(mark.published for mark in marks):
        looks.append(("published", "o", "white", SOFT))
    handles = [Line2D([], [], ls="", marker=m, mfc=f, mec=e, ms=6, label=name) for name, m, f, e in looks]
    spacing: Any = {"ncols": 4, "handletextpad": 0.1, "columnspacing": 1}
    figure.legend(handles=handles, loc="upper right", bbox_to_anchor=(0.99, 0.985), **spacing)


def _size_axes(axes: Axes, marks: list[_Mark]) -> None:
    xs = [mark.x for mark in marks] or [1e3, 1e6]
    low, high = min([100, *(mark.low for mark in marks)]), max([100, *(mark.high for mark in marks)])
    padding = 0.07 * (high - low) + 0.3
    # At least 1.2 decades wide, so that a power of ten is always among the ticks.
    axes.set(xscale="log", xlim=(min(xs) / 4, max(xs) * 4), ylim=(low - padding, high + padding))
    axes.xaxis.set_major_locator(LogLocator(10, numticks=12))
    axes.xaxis.set_major_formatter(lambda x, _: thousands(x))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.yaxis.set_major_formatter("{x:g}%")
    axes.yaxis.set_major_locator(MaxNLocator(7, steps=[1, 2, 5, 10]))
    axes.set_xlabel("parameters")
    axes.grid(axis="y")
    axes.axhline(100, color=SOFT, lw=1, ls=(0, (4, 3)), zorder=1)


def _dodge(axes: Axes, marks: list[_Mark]) -> list[_Mark]:
    """Move points a few pixels sideways where one would hide another."""
    left, right = np.log10(axes.get_xlim())
    bottom, top = axes.get_ylim()
    step, margin = 0.013 * (right - left), 0.025 * (top - bottom)

    def hides(one: _Mark, other: _Mark) -> bool:
        if abs(np.log10(one.x / other.x)) > 0.9 * step:
            return False
        if one.published or other.published:
            return abs(one.y - other.y) < margin
        return one.low < other.high and other.low < one.high

    placed: list[_Mark] = []
    for mark in sorted(marks, key=lambda mark: (mark.published, mark.x, mark.name)):
        tries = (replace(mark, x=mark.x * 10 ** (step * steps)) for steps in (0, 1, -1, 2, -2, 3, -3))
        placed.append(next((new for new in tries if not any(hides(new, old) for old in placed)), mark))
    return placed


def _draw_marks(axes: Axes, marks: list[_Mark]) -> None:
    left, right = axes.get_xlim()
    texts, taken = [], [_box(axes, (left, 100), (right, 100), 1.5)]
    for mark in marks:
        marker, colour = KINDS[mark.kind]
        axes.vlines(mark.x, mark.low, mark.high, color=colour, lw=1.2, alpha=0.55, zorder=2)
        face, edge, size = ("white", colour, 5) if mark.published else (colour, "white", 7.5)
        axes.plot(mark.x, mark.y, marker, mfc=face, mec=edge, ms=size, zorder=3, gid=tip(_tip(mark)))
        text = axes.text(0, 0, short(mark.name), ha="center", va="center", transform=IdentityTransform())
        if mark.published:
            text.set(color=SOFT, size=8)
        elif mark.kind == "student":
            text.set(weight="bold")
        texts.append(text)
        taken.append(_box(axes, (mark.x, mark.low), (mark.x, mark.high), 2))
        taken.append(_box(axes, (mark.x, mark.y), (mark.x, mark.y), 4))
    place(axes, [(mark.x, mark.y) for mark in marks], texts, taken)


def _tip(mark: _Mark) -> str:
    interval = "" if mark.published else f" ({mark.low:.1f} to {mark.high:.1f})"
    source = ", as published" if mark.published else ""
    return f"{mark.name}: {mark.y:.1f}%{interval} of the reference's accuracy, {mark.size:,.0f} parameters{source}"


def _box(axes: Axes, start: tuple[float, float], end: tuple[float, float], margin: float) -> Bbox:
    """Return the box in pixels between two data points, `margin` points wider on every side."""
    pixel = axes.get_figure(root=True).dpi / 72  # type: ignore[union-attr]
    return Bbox(axes.transData.transform([start, end])).padded(margin * pixel)


def confusion_figure(matrix: Any, names: Sequence[str], path: Path, outcomes: Sequence[str] = ()) -> None:
    """Draw a confusion matrix, shaded by the share of the row.

    Above 30 classes the cells have no numbers; above 150 only the 30 classes with the most errors are drawn.

    Args:
        matrix: counts of texts (k, k), a row per true class, a column per predicted one; or (k, outcomes).
        names: k names of the classes.
        path: the PNG file to write.
        outcomes: the names of the columns for a multi-label task, true positives first.
    """
    counts = np.asarray(matrix)
    # The square root makes a few errors visible next to a diagonal with almost all texts.
    shades = np.sqrt(counts / counts.sum(axis=1, keepdims=True).clip(1))
    names, title = drawable(names), ""
    if len(names) > MATRIX_CLASSES:
        wrong = counts[:, 1:].sum(1) if outcomes else counts.sum(0) + counts.sum(1) - 2 * counts.diagonal()
        rows = np.sort(np.argsort(-wrong, kind="stable")[:NUMBERED_CLASSES])
        line = "\n" if outcomes else ", those "  # a figure of few columns is narrow
        title = f"{NUMBERED_CLASSES} of {len(names):,} classes{line}with the most errors"
        names = [names[row] for row in rows]
        part = np.ix_(rows, np.arange(counts.shape[1]) if outcomes else rows)
        counts, shades = counts[part], shades[part]
    classes = len(names)
    side = min(0.66 * classes + 0.8, 3 + 0.3 * classes, 15)  # inches
    cell = 72 * side / classes  # points
    columns = outcomes or names
    width = side * len(outcomes) / classes if outcomes else side
    letters = min(9, 0.8 * cell)
    with new_figure(path, width + 1.6, side + 1.3, layout="constrained") as figure:
        axes = figure.subplots()
        axes.imshow(shades, cmap=SHADES, vmin=0, vmax=1, interpolation="nearest")
        upright = max(map(len, columns)) * 0.6 * letters > cell
        axes.set_xticks(range(len(columns)), columns, size=letters, rotation=90 if upright else 0)
        axes.set_yticks(range(classes), names, size=letters)
        axes.set_xticks(np.arange(1, len(columns)) - 0.5, minor=True)
        axes.set_yticks(np.arange(1, classes) - 0.5, minor=True)
        axes.tick_params(which="both", length=0, labelcolor=INK)
        axes.grid(which="minor")
        axes.spines[:].set_visible(False)
        axes.set(xlabel="" if outcomes else "predicted", ylabel="label" if outcomes else "actual", title=title)
        if classes > NUMBERED_CLASSES:
            return
        size = min(9, 1.3 * cell / max(2, len(f"{counts.max():,}")))
        for (row, column), count in np.ndenumerate(counts):
            ink = "white" if shades[row, column] > 0.55 else INK if count else PALE
            axes.text(column, row, f"{count:,}", ha="center", va="center", color=ink, size=size)


def curves_figure(runs: Mapping[str, pd.DataFrame], path: Path) -> None:
    """Draw the training curves of runs side by side, the loss above the validation accuracy.

    Accuracies share one scale; losses do not, since they may be of different kinds.

    Args:
        runs: per name a table with the columns `epoch`, `loss` and `validation_accuracy` (fraction); NaN is skipped.
        path: the PNG or SVG file to write.

    Raises:
        PotstillError: there are no runs.
    """
    if not runs:
        raise PotstillError("no training curves. Run `dvc repro` to train the models.")
    height = math.ceil(len(runs) / COLUMNS)
    columns = math.ceil(len(runs) / height)
    seen = pd.concat([frame["validation_accuracy"] for frame in runs.values()]).dropna()
    low, high = (seen.min(), seen.max()) if len(seen) else (0, 1)
    padding = 0.12 * (high - low) + 0.005
    with new_figure(path, max(4, 2.4 * columns), 3.8 * height, layout="constrained") as figure:
        grid = figure.subplots(2 * height, columns, squeeze=False)
        for axes in grid[-2:, len(runs) - columns * (height - 1) :].flat:
            axes.remove()
        for index, (name, frame) in enumerate(runs.items()):
            row, column = divmod(index, columns)
            loss, accuracy = grid[2 * row : 2 * row + 2, column]
            _curve(loss, frame["epoch"], frame["loss"], SOFT)
            loss.set_title(short(name), weight="bold")
            _curve(accuracy, frame["epoch"], frame["validation_accuracy"], KINDS["teacher"][1])
            _best(accuracy, frame["epoch"], frame["validation_accuracy"])
            accuracy.set(xlabel="epoch", ylim=(low - padding, high + padding))
            accuracy.yaxis.set_major_formatter(PercentFormatter(1))
            if column == 0:
                loss.set_ylabel("loss")
                accuracy.set_ylabel("validation accuracy")


def _curve(axes: Axes, epochs: pd.Series, values: pd.Series, colour: str) -> None:
    known = values.notna()
    axes.plot(epochs[known], values[known], color=colour, marker="o" if known.sum() < 8 else "", ms=3.5)
    axes.grid()
    axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10], integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))


def _best(axes: Axes, epochs: pd.Series, values: pd.Series) -> None:
    if values.notna().any():
        best, colour = int(np.nanargmax(values)), KINDS["student"][1]
        axes.plot(epochs.iloc[best], values.iloc[best], "o", color=colour, ms=5)
        axes.set_title(f"best {values.iloc[best]:.1%}", size=8, color=colour, loc="right", pad=3)
