"""The report's pictures, as SVG that takes the page's colours and says more where one points at it."""

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from xml.etree import ElementTree

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, PercentFormatter

from potstill.evaluate.canvas import FAINT, INK, PALE, SOFT, TIP, legend_name, save, short, tip
from potstill.evaluate.figure import KINDS, SERIES
from potstill.report.reliability import BINS, binned

WIDTH, HEIGHT = 4.2, 2.9  # inches: what a phone shows in full
# What the page calls the colours, so that they suit a dark page as well.
COLOURS = {INK: "--ink", SOFT: "--soft", PALE: "--pale", FAINT: "--line", "#ffffff": "--paper"}

_SVG = "http://www.w3.org/2000/svg"
_LINK = "http://www.w3.org/1999/xlink"


def inline(draw: Callable[[Path], Any], name: str) -> str:
    """An SVG element for a page.

    Args:
        draw: writes the SVG file whose path it is given.
        name: of the picture, unique in the page; also what a screen reader says.
    """
    with TemporaryDirectory() as folder:
        path = Path(folder) / "picture.svg"
        draw(path)
        text = path.read_text("utf-8")
    for colour, variable in COLOURS.items():
        text = re.sub(rf"(?<=: ){colour}\b", f"var({variable})", text)
    # Each picture counts its parts from one, and all are in one page.
    marked = re.sub(r'(?<=id=")(?!tip:)|(?<=href="#)|(?<=url\(#)', f"{_slug(name)}-", text)
    for prefix, uri in (("", _SVG), ("xlink", _LINK)):
        ElementTree.register_namespace(prefix, uri)
    root = ElementTree.fromstring(marked)
    for unused in root.findall(f"{{{_SVG}}}metadata"):
        root.remove(unused)
    width = float(root.attrib.pop("width").removesuffix("pt"))
    root.attrib.pop("height")
    root.attrib |= {"role": "img", "aria-label": name, "style": f"max-width: {width * 4 / 3:.0f}px"}
    for element in root.iter():
        if element.get("id", "").startswith(TIP):
            element.set("data-tip", element.attrib.pop("id").removeprefix(TIP))
            element.set("tabindex", "0")
    return ElementTree.tostring(root, encoding="unicode")


def _slug(name: str) -> str:
    return re.sub(r"\W+", "-", name.lower())


def bars(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Draw accuracies below each other: rows of `name`, `kind`, `accuracy`, `accuracy_low`, `accuracy_high`, `tip`."""

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        for place, row in enumerate(rows):
            colour = KINDS[row["kind"]][1]
            y, low, high = (100 * row[f"accuracy{end}"] for end in ("", "_low", "_high"))
            axes.hlines(place, low, high, color=colour, alpha=0.55)
            axes.plot(y, place, KINDS[row["kind"]][0], color=colour, ms=6, gid=tip(row["tip"]))
            axes.annotate(f"{y:.1f}", (high, place), xytext=(5, 0), textcoords="offset points", va="center", size=8)
        axes.set_yticks(range(len(rows)), [short(row["name"]) for row in rows])
        axes.tick_params(axis="y", length=0, labelcolor=INK)
        axes.set(ylim=(len(rows) - 0.5, -0.5), xlabel="test accuracy, %")
        axes.margins(x=0.12)
        axes.grid(axis="x")
        axes.spines["left"].set_visible(False)

    save(draw, path, WIDTH, 0.75 + 0.28 * len(rows), layout="constrained")


def lines(series: Mapping[str, Sequence[Mapping[str, Any]]], level: tuple[str, float] | None, path: Path) -> None:
    """Draw test accuracy against the number of texts.

    Args:
        series: per name the points, each with `texts`, `accuracy`, `accuracy_low`, `accuracy_high`.
        level: a name and an accuracy to compare with, a horizontal line.
        path: the SVG file to write.
    """

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        for colour, (name, points) in zip(SERIES, series.items(), strict=False):
            xs = [point["texts"] for point in points]
            ys = [100 * point["accuracy"] for point in points]
            axes.plot(xs, ys, color=colour, lw=1.5, label=name)
            for x, y, point in zip(xs, ys, points, strict=True):
                low, high = 100 * point["accuracy_low"], 100 * point["accuracy_high"]
                axes.vlines(x, low, high, color=colour, alpha=0.5)
                said = f"{name}, {x:,} texts: {y:.1f}% ({low:.1f} to {high:.1f})"
                axes.plot(x, y, "o", color=colour, ms=5, gid=tip(said))
        if level:
            axes.axhline(100 * level[1], color=SOFT, lw=1, ls=(0, (4, 3)), label=level[0])
        axes.set(xscale="log", xlabel="texts", ylabel="test accuracy, %")
        axes.xaxis.set_major_locator(LogLocator(10, subs=(1, 3), numticks=12))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.0f}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.margins(x=0.08)
        axes.grid(axis="y")
        figure.legend(loc="outside upper left", ncols=2, fontsize=8, columnspacing=1, handlelength=1.5)

    save(draw, path, WIDTH, HEIGHT, layout="constrained")


def reliability(models: Mapping[str, tuple[np.ndarray, np.ndarray]], path: Path) -> None:
    """Draw how often models are right when they are so sure (Guo et al. 2017, arXiv 1706.04599).

    Args:
        models: per name the confidence in the chosen classes, and whether they are right, both (texts,).
        path: the SVG file to write.
    """

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        axes.plot([0, 1], [0, 1], color=SOFT, lw=1, ls=(0, (4, 3)), label="as sure as right")
        for colour, (name, (confidence, right)) in zip(SERIES, models.items(), strict=False):
            points = binned(confidence, right)
            axes.plot([p[0] for p in points], [p[1] for p in points], color=colour, lw=1.5, label=legend_name(name))
            for sure, share, count in points:
                said = f"{name}: {sure:.0%} sure on average, right in {share:.1%} of {count:,} texts"
                axes.plot(sure, share, "o", color=colour, ms=3 + 5 * (count / len(right)) ** 0.5, gid=tip(said))
        axes.set(xlabel="confidence", ylabel="share that is right")
        _percents(axes)
        figure.legend(loc="outside upper left", ncols=3, fontsize=8, columnspacing=1, handlelength=1.5)

    save(draw, path, WIDTH, HEIGHT, layout="constrained")


def agreement(confidence: np.ndarray, agrees: np.ndarray, path: Path) -> None:
    """Draw how often the student answers as its teacher, by the teacher's confidence; both arrays are (texts,)."""

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        for sure, share, count in binned(confidence, agrees):
            left = min(int(sure * BINS), BINS - 1) / BINS
            sureness = f"{left:.0%} to {left + 0.1:.0%}"
            said = f"teacher {sureness} sure: the student agrees on {share:.1%} of {count:,} texts"
            axes.bar(left + 0.05, share, 0.085, color=KINDS["student"][1], gid=tip(said))
            axes.annotate(
                f"{count:,}", (left + 0.05, share), xytext=(0, 2), textcoords="offset points", ha="center", size=7
            )
        axes.set(xlabel="confidence of the teacher", ylabel="student agrees")
        _percents(axes)
        axes.set_xlim(max(0, confidence.min() - 0.1), 1)
        axes.set_ylim(0, 1.1)

    save(draw, path, WIDTH, HEIGHT, layout="constrained")


def cascade(curve: Sequence[tuple[float, float, float]], teacher: float, chosen: float | None, path: Path) -> None:
    """Draw accuracy against the share of texts that the teacher answers.

    Args:
        curve: threshold, share and accuracy, see `cascade.Cascade`.
        teacher: the teacher's own accuracy.
        chosen: the threshold to mark.
        path: the SVG file to write.
    """

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        axes.axhline(teacher, color=SOFT, lw=1, ls=(0, (4, 3)), label="teacher alone")
        axes.plot(
            [p[1] for p in curve], [p[2] for p in curve], color=KINDS["student"][1], lw=1.5, label="both together"
        )
        for threshold, share, accuracy in curve:
            said = f"threshold {threshold:g}: {share:.1%} passed on, {accuracy:.2%} right"
            axes.plot(share, accuracy, "o", color=KINDS["student"][1], ms=3, gid=tip(said))
            if threshold == chosen:
                axes.plot(share, accuracy, "o", mfc="none", mec=INK, ms=9, label=f"threshold {threshold:g}")
        axes.set(xlabel="passed on to the teacher", ylabel="test accuracy")
        axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=1))
        axes.grid(axis="y")
        figure.legend(loc="outside upper left", ncols=3, fontsize=8, columnspacing=1, handlelength=1.5)

    save(draw, path, WIDTH, HEIGHT, layout="constrained")


# Fine-tuned RoBERTa on the article's data (Wasserblat 2021, part 3).
ELSEWHERE = (("Emotion", 0.14), ("IMDB", 0.28), ("SST-2", 0.34), ("CoLA", 0.99))


def order(found: Mapping[str, float], path: Path) -> None:
    """Draw word-order sensitivity on its scale, beside what the article found; `found` is by the name of the model."""

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        axes.hlines(0, 0, max(1.05, *found.values()), color=PALE, lw=2)
        for step, (name, value) in enumerate(ELSEWHERE):
            axes.plot(value, 0, "|", color=SOFT, ms=9)
            below = -8 - 18 * (step % 2)  # those near each other take turns
            label: dict[str, Any] = {"ha": "center", "va": "top", "size": 7, "color": SOFT}
            axes.annotate(f"{name}\n{value:g}", (value, 0), xytext=(0, below), textcoords="offset points", **label)
        for step, (name, value) in enumerate(sorted(found.items(), key=lambda item: item[1])):
            colour = KINDS["student" if name == "student" else "teacher"][1]
            axes.plot(value, 0, "o", color=colour, ms=7, gid=tip(f"{name}: {value:.2f}"))
            label = {"ha": "left", "size": 8, "color": colour}
            above = 9 + 13 * step
            axes.annotate(f"{short(name)} {value:.2f}", (value, 0), (0, above), textcoords="offset points", **label)
        axes.set(ylim=(-1.4, 1.2), yticks=[], xticks=[])
        axes.margins(x=0.06)
        axes.spines[:].set_visible(False)

    save(draw, path, WIDTH, 1.5, layout="constrained")


def _percents(axes: Axes) -> None:
    axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.grid()
