"""Markdown tables of models."""

from collections.abc import Mapping, Sequence
from typing import Any

from potstill.core.markdown import escape

KINDS = ("baseline", "teacher", "student")
MISSING = "–"


def markdown(rows: Sequence[Mapping[str, Any]], by_teacher: bool = False) -> str:
    """Return a Markdown table of models: baselines, teachers, students, each from small to large.

    Args:
        rows: per model `name`, `kind` (one of `KINDS`) and optionally `parameters` (count), `bytes`, the values of
            `scores` and `relative` (fraction); a missing value shows as a dash. Rows with `micro_f1` are of a
            multi-label task.
        by_teacher: whether nobody has labelled the texts, so that accuracy is agreement with the teacher.
    """

    def order(row: Mapping[str, Any]) -> tuple[int, int, str]:
        return KINDS.index(row["kind"]), row.get("parameters") or 0, row["name"]

    multi_label = any("micro_f1" in row for row in rows)
    accuracy, matthews = ("exact match", "micro-F1, %") if multi_label else ("accuracy", "Matthews")
    accuracy = "accuracy against the teacher's labels" if by_teacher else accuracy
    return (
        f"| model | kind | {accuracy}, % (95% CI) | macro-F1, % | {matthews} | agreement, % | relative accuracy, % "
        "| parameters | size |\n| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n"
    ) + "".join(f"| {' | '.join(_cells(row))} |\n" for row in sorted(rows, key=order))


def speeds(timings: Mapping[str, Mapping[str, float]], reference: str) -> str:
    """Return a Markdown table of the speed of models, fastest first.

    Args:
        timings: the results of `timing.throughput` by model name.
        reference: the name of the model that speeds are relative to.
    """
    table = (
        f"| model | ms per text | texts per s | texts per s, {escape(reference)} = 1 |\n| --- | ---: | ---: | ---: |\n"
    )
    base = timings[reference]["texts_per_second"]
    for name, timing in sorted(timings.items(), key=lambda item: -item[1]["texts_per_second"]):
        rate = timing["texts_per_second"]
        table += f"| {escape(name)} | {timing['milliseconds_per_text']:.3g} | {rate:,.0f} | {rate / base:.3g} |\n"
    return table


def comparison(first: str, second: str, test: Mapping[str, Any]) -> str:
    """Return the result of a paired test as a line of Markdown.

    Args:
        first: the first model, as in "the student"; Markdown.
        second: the second model, likewise.
        test: the result of `scores.mcnemar` for the two.
    """
    points, low, high = (100 * test[f"difference{end}"] for end in ("", "_low", "_high"))
    if points < 0:
        low, high = -high, -low
    more = "less" if points < 0 else "more"
    interval = f"{low:+.2f} to {high:+.2f}".replace("-", "−")
    difference = f"{first} is {abs(points):.2f} points {more} accurate than {second} (95% CI {interval})"
    if not points:
        difference = f"{first} and {second} are equally accurate (95% CI of the difference {interval} points)"
    p = "p < 0.0001" if test["p"] < 1e-4 else f"p = {test['p']:.2g}"
    significance = "significant" if test["p"] < 0.05 else "not significant"
    return (
        f"{difference[0].upper()}{difference[1:]}. The difference is {significance} (McNemar's mid-p test, {p}): "
        f"{test['only_first']:,} texts are classified correctly only by {first}, {test['only_second']:,} only by "
        f"{second}.\n"
    )


def size(count: float) -> str:
    """Return a number of bytes in decimal units: 320 kB, 90.9 MB."""
    return _short(count, (" B", " kB", " MB", " GB"))


def thousands(count: float) -> str:
    """Return a number in short form: 950, 4.2K, 22.7M."""
    return _short(count, ("", "K", "M", "B"))


def _short(count: float, units: Sequence[str]) -> str:
    for unit in units[:-1]:
        if count < 999.5:
            return f"{count:.3g}{unit}"
        count /= 1000
    return f"{count:,.3g}{units[-1]}"


def amount(count: int) -> str:
    """Return a number of parameters: 80,102 in full below a million, then 22.7M."""
    return f"{count:,}" if count < 1_000_000 else f"{count / 1e6:,.1f}M"


def _cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    def shown(key: str, form: str, scale: float = 1) -> str:
        return MISSING if row.get(key) is None else format(scale * row[key], form)

    accuracy = shown("accuracy", ".2f", 100)
    if row.get("accuracy_low") is not None:
        accuracy += f" ({100 * row['accuracy_low']:.1f}–{100 * row['accuracy_high']:.1f})"
    return (
        escape(row["name"]),
        row["kind"],
        accuracy,
        shown("macro_f1", ".2f", 100),
        shown("micro_f1", ".2f", 100) if "micro_f1" in row else shown("matthews", ".3f"),
        shown("agreement", ".2f", 100),
        shown("relative", ".1f", 100),
        MISSING if row.get("parameters") is None else amount(row["parameters"]),
        MISSING if row.get("bytes") is None else size(row["bytes"]),
    )
