"""Charts of the report, as SVG with the page's colours and tooltips.

They are drawn by matplotlib, as the figures of the stage `evaluate` are. Vega-Lite would embed half a megabyte of
JavaScript in each page to work offline, or require a renderer of 30 MB whose SVG needs the same changes that `inline`
makes.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from xml.etree import ElementTree

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, NullFormatter, PercentFormatter

from potstill.evaluate import table
from potstill.evaluate.cascade import Cascade
from potstill.evaluate.metrics.measures import Rung
from potstill.evaluate.plots.canvas import FAINT, INK, PALE, SOFT, TIP, legend_name, new_figure, short, tip
from potstill.evaluate.plots.figure import KINDS, SERIES
from potstill.report.reliability import BINS
from potstill.report.reliability import reliability as bins_of

# The page's names of the colours, which differ in dark mode, and of which a text in a light one has enough contrast.
COLOURS = {INK: "--ink", SOFT: "--soft", PALE: "--pale", FAINT: "--line", "#ffffff": "--paper"}
COLOURS |= {colour: f"--{kind}" for kind, (_, colour) in KINDS.items()}

_SVG = "http://www.w3.org/2000/svg"


def inline(draw: Callable[[Path], Any], name: str) -> str:
    """Return a chart as an SVG element for a page.

    Args:
        draw: writes the chart to the path of an SVG file.
        name: the name of the chart, unique in the page; also the text for screen readers.
    """
    with TemporaryDirectory() as folder:
        path = Path(folder) / "picture.svg"
        draw(path)
        text = path.read_text("utf-8")
    for colour, variable in COLOURS.items():
        text = re.sub(rf"(?<=: ){colour}\b", f"var({variable})", text)
    # Each chart numbers its elements from one, and all are in one page.
    slug = re.sub(r"\W+", "-", name.lower())
    text = re.sub(r'(?<=id=")(?!tip:)|(?<=href="#)|(?<=url\(#)', f"{slug}-", text)
    ElementTree.register_namespace("", _SVG)
    ElementTree.register_namespace("xlink", "http://www.w3.org/1999/xlink")
    root = ElementTree.fromstring(text)
    for unused in root.findall(f"{{{_SVG}}}metadata"):
        root.remove(unused)
    width = float(root.attrib.pop("width").removesuffix("pt"))
    root.attrib.pop("height")
    root.attrib |= {"role": "group", "aria-label": name, "style": f"max-width: {width * 4 / 3:.0f}px"}
    for element in root.iter():
        if element.get("id", "").startswith(TIP):
            text = element.attrib.pop("id").removeprefix(TIP)
            element.attrib |= {"data-tip": text, "role": "img", "aria-label": text, "tabindex": "0"}
    return ElementTree.tostring(root, encoding="unicode")


@contextmanager
def _chart(path: Path, height: float = 2.9) -> Iterator[Axes]:
    """Provide the axes of a chart of a height in inches, so narrow that a phone shows all of it."""
    with new_figure(path, 4.2, height, layout="constrained") as figure:
        yield figure.subplots()


def _legend(axes: Axes, columns: int) -> None:
    axes.figure.legend(loc="outside upper left", ncols=columns, fontsize=8, columnspacing=1, handlelength=1.5)


def bars(rows: Sequence[Mapping[str, Any]], score: str, path: Path) -> None:
    """Draw accuracies with their intervals, one below the other.

    Args:
        rows: `name`, `kind`, `accuracy`, `accuracy_low`, `accuracy_high`, `tip`, the text of the tooltip, and
            optionally `detail`, a second line of the name.
        score: what these accuracies are.
        path: the SVG file to write.
    """
    with _rows(rows, path) as axes:
        for place, row in enumerate(rows):
            colour = KINDS[row["kind"]][1]
            y, low, high = (100 * row[f"accuracy{end}"] for end in ("", "_low", "_high"))
            axes.hlines(place, low, high, color=colour, alpha=0.55)
            axes.plot(y, place, KINDS[row["kind"]][0], color=colour, ms=6, gid=tip(row["tip"]))
            axes.annotate(f"{y:.1f}", (high, place), xytext=(5, 0), textcoords="offset points", va="center", size=8)
        axes.set_xlabel(f"test {score}, %")
        axes.margins(x=0.12)


def sizes(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Draw sizes of files, one below the other; equal sizes are above each other.

    Args:
        rows: see `bars`, with `bytes`.
        path: the SVG file to write.
    """
    with _rows(rows, path) as axes:
        for place, row in enumerate(rows):
            x, (marker, colour) = row["bytes"], KINDS[row["kind"]]
            axes.plot(x, place, marker, color=colour, ms=6, gid=tip(f"{row['name']}: {x:,} bytes"))
            label: dict[str, Any] = {"textcoords": "offset points", "va": "center", "size": 8}
            axes.annotate(table.size(x), (x, place), xytext=(6, 0), **label)
        axes.set_xlabel("size of the file")
        _size_axis(axes, [row["bytes"] for row in rows])


@contextmanager
def _rows(rows: Sequence[Mapping[str, Any]], path: Path) -> Iterator[Axes]:
    """Provide the axes of a chart with a row per name."""
    detailed = any(row.get("detail") for row in rows)
    with _chart(path, 0.75 + (0.4 if detailed else 0.28) * len(rows)) as axes:
        yield axes
        names = ["\n".join(short(part) for part in (row["name"], row.get("detail")) if part) for row in rows]
        axes.set_yticks(range(len(rows)), names)
        axes.tick_params(axis="y", length=0, labelcolor=INK)
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.grid(axis="x")
        axes.spines["left"].set_visible(False)


def lines(
    series: Mapping[str, Sequence[Mapping[str, Any]]], level: tuple[str, float] | None, score: str, path: Path
) -> None:
    """Draw test accuracy against the number of texts.

    Args:
        series: per name the points, each with `texts`, `accuracy`, `accuracy_low`, `accuracy_high`.
        level: the name and accuracy of a horizontal line, or None.
        score: what these accuracies are.
        path: the SVG file to write.
    """
    with _chart(path) as axes:
        for colour, (name, points) in zip(SERIES, series.items(), strict=False):
            xs = [point["texts"] for point in points]
            ys = [100 * point["accuracy"] for point in points]
            axes.plot(xs, ys, color=colour, lw=1.5, label=name)
            for x, y, point in zip(xs, ys, points, strict=True):
                low, high = 100 * point["accuracy_low"], 100 * point["accuracy_high"]
                axes.vlines(x, low, high, color=colour, alpha=0.5)
                text = f"{name}, {x:,} texts: {y:.1f}% ({low:.1f} to {high:.1f})"
                axes.plot(x, y, "o", color=colour, ms=5, gid=tip(text))
        if level:
            axes.axhline(100 * level[1], color=SOFT, lw=1, ls=(0, (4, 3)), label=level[0])
        axes.set(xscale="log", xlabel="texts", ylabel=f"test {score}, %")
        axes.xaxis.set_major_locator(LogLocator(10, subs=(1, 3), numticks=12))
        axes.xaxis.set_major_formatter("{x:,.0f}")
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.margins(x=0.08)
        axes.grid(axis="y")
        _legend(axes, 2)


def reliability(models: Mapping[str, tuple[np.ndarray, np.ndarray]], path: Path) -> None:
    """Draw a reliability diagram: accuracy against confidence (Guo et al. 2017, arXiv 1706.04599).

    Args:
        models: per name the confidence in each prediction, and whether it is correct, both (texts,).
        path: the SVG file to write.
    """
    with _chart(path) as axes:
        axes.plot([0, 1], [0, 1], color=SOFT, lw=1, ls=(0, (4, 3)), label="calibrated")
        for colour, (name, (confidence, correct)) in zip(SERIES, models.items(), strict=False):
            bins = bins_of(confidence, correct)
            xs, ys = [part.confidence for part in bins], [part.accuracy for part in bins]
            axes.plot(xs, ys, color=colour, lw=1.5, label=legend_name(name))
            for part in bins:
                sure, accuracy = f"mean confidence {part.confidence:.0%}", f"accuracy {part.accuracy:.1%}"
                size = 3 + 5 * (part.texts / len(correct)) ** 0.5
                axes.plot(
                    part.confidence,
                    part.accuracy,
                    "o",
                    color=colour,
                    ms=size,
                    gid=tip(f"{name}: {sure}, {accuracy}, {part.texts:,} texts"),
                )
        axes.set(xlabel="confidence", ylabel="accuracy")
        _percents(axes)
        _legend(axes, 3)


def agreement(confidence: np.ndarray, agrees: np.ndarray, path: Path) -> None:
    """Draw how often student and teacher agree, by the teacher's confidence.

    Args:
        confidence: the teacher's confidence, floats (texts,).
        agrees: whether the two predict the same, booleans (texts,).
        path: the SVG file to write.
    """
    with _chart(path) as axes:
        for part in bins_of(confidence, agrees):
            left, share = min(int(part.confidence * BINS), BINS - 1) / BINS, part.accuracy
            text = f"teacher's confidence {left:.0%} to {left + 0.1:.0%}: agreement {share:.1%}, {part.texts:,} texts"
            axes.bar(left + 0.05, share, 0.085, color=KINDS["student"][1], gid=tip(text))
            place = (left + 0.05, share)
            axes.annotate(f"{part.texts:,}", place, (0, 2), textcoords="offset points", ha="center", size=7)
        axes.set(xlabel="confidence of the teacher", ylabel="agreement")
        _percents(axes)
        axes.set_xlim(max(0, confidence.min() - 0.1), 1)
        axes.set_ylim(0, 1.1)


def cascade(result: Cascade, path: Path) -> None:
    """Draw the accuracy of a cascade against the share of texts that are sent to the teacher.

    Args:
        result: what `cascade.cascade` returned; its threshold is marked.
        path: the SVG file to write.
    """
    colour = KINDS["student"][1]
    with _chart(path) as axes:
        axes.axhline(result.teacher, color=SOFT, lw=1, ls=(0, (4, 3)), label="teacher alone")
        xs, ys = [point.fallback_share for point in result.curve], [point.accuracy for point in result.curve]
        axes.plot(xs, ys, color=colour, lw=1.5, label="cascade")
        for x, y, point in zip(xs, ys, result.curve, strict=True):
            text = f"threshold {point.threshold:g}: {x:.1%} sent to the teacher, accuracy {y:.2%}"
            axes.plot(x, y, "o", color=colour, ms=3, gid=tip(text))
            if point.threshold == result.threshold:
                axes.plot(x, y, "o", mfc="none", mec=INK, ms=9, label=f"threshold {point.threshold:g}")
        axes.set(xlabel="sent to the teacher", ylabel="test accuracy")
        axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=1))
        axes.grid(axis="y")
        _legend(axes, 3)


def ladder(rows: Sequence[Rung], teacher: float | None, margin: float, score: str, path: Path) -> None:
    """Draw the validation accuracy of the candidates for the student against their size; the chosen one is marked.

    Args:
        rows: the candidates; those that were not trained are left out.
        teacher: the teacher's validation accuracy, a fraction, or None.
        margin: the non-inferiority margin, a fraction.
        score: what these accuracies are.
        path: the SVG or PNG file to write.
    """
    marker, colour = KINDS["student"]
    with _chart(path) as axes:
        if teacher is not None:
            axes.axhline(100 * teacher, color=KINDS["teacher"][1], lw=1, label="teacher")
            below = f"{100 * margin:g} point{'s' * (margin != 0.01)} below"
            axes.axhline(100 * (teacher - margin), color=SOFT, lw=1, ls=(0, (4, 3)), label=below)
        for row in rows:
            x, share = row["bytes"], row["validation_accuracy"]
            if x is None or share is None:
                continue
            y, text = 100 * share, f"{row['rung']}: {100 * share:.1f}%, {table.size(x)}, {row['status']}"
            low, high = row["difference_low"], row["difference_high"]
            if teacher is not None and low is not None and high is not None:
                axes.vlines(x, 100 * (teacher + low), 100 * (teacher + high), color=colour, alpha=0.5)
            face = "none" if row["status"] == "stopped early" else colour
            axes.plot(x, y, marker, color=colour, mfc=face, ms=5, gid=tip(text))
            if row["status"] == "chosen":
                axes.plot(x, y, "o", mfc="none", mec=INK, ms=10, label=f"chosen: {legend_name(row['rung'])}")
        axes.set(xlabel="size", ylabel=f"validation {score}, %")
        _size_axis(axes, [row["bytes"] for row in rows if row["bytes"]])
        axes.grid(axis="y")
        _legend(axes, 3)


# Word-order sensitivity of a fine-tuned RoBERTa (Wasserblat 2021, part 3).
PUBLISHED = (("Emotion", 0.14), ("IMDB", 0.28), ("SST-2", 0.34), ("CoLA", 0.99))


def word_order(sensitivity: Mapping[str, float], path: Path) -> None:
    """Draw the word-order sensitivity of models, by name, and of `PUBLISHED` data."""
    with _chart(path, 1.5) as axes:
        axes.hlines(0, 0, max(1.05, *sensitivity.values()), color=PALE, lw=2)
        for step, (name, value) in enumerate(PUBLISHED):
            axes.plot(value, 0, "|", color=SOFT, ms=9)
            below = -8 - 18 * (step % 2)  # so that neighbours do not overlap
            label: dict[str, Any] = {"ha": "center", "va": "top", "size": 7, "color": SOFT}
            axes.annotate(f"{name}\n{value:g}", (value, 0), xytext=(0, below), textcoords="offset points", **label)
        for step, (name, value) in enumerate(sorted(sensitivity.items(), key=lambda item: item[1])):
            colour = KINDS["student" if name == "student" else "teacher"][1]
            axes.plot(value, 0, "o", color=colour, ms=7, gid=tip(f"{name}: {value:.2f}"))
            label = {"ha": "left", "size": 8, "color": colour}
            above = 9 + 13 * step
            axes.annotate(f"{short(name)} {value:.2f}", (value, 0), (0, above), textcoords="offset points", **label)
        axes.set(ylim=(-1.4, 1.2), yticks=[], xticks=[])
        axes.margins(x=0.06)
        axes.spines[:].set_visible(False)


def _size_axis(axes: Axes, sizes: Sequence[int]) -> None:
    # At least a decade wide, so that a power of ten is always among the ticks.
    axes.set(xscale="log", xlim=(min(sizes) / 4, max(sizes) * 4))
    axes.xaxis.set_major_locator(LogLocator(10, numticks=4))
    axes.xaxis.set_major_formatter(lambda x, _: table.size(x))
    axes.xaxis.set_minor_formatter(NullFormatter())


def _percents(axes: Axes) -> None:
    axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.grid()
