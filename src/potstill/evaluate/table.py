"""The table of models, for people."""

from collections.abc import Mapping, Sequence
from typing import Any

from potstill.markdown import inert

KINDS = ("baseline", "teacher", "student")
MISSING = "–"

HEADINGS = (
    "model",
    "kind",
    "accuracy, % (95% interval)",
    "macro-F1, %",
    "Matthews",
    "agreement, %",
    "relative accuracy, %",
    "parameters",
    "size",
)
# Instead, where a text may have several labels.
SEVERAL = {"accuracy, % (95% interval)": "all labels right, % (95% interval)", "Matthews": "micro-F1, %"}


def markdown(rows: Sequence[Mapping[str, Any]]) -> str:
    """Lay models out as a GitHub-flavoured table: baselines, teachers, students, each from small to large.

    Where a text may have several labels, accuracy is that of all of them, and micro-F1 stands in the place of Matthews.

    Args:
        rows: per model `name`, `kind` (one of `KINDS`), and of `parameters` (count), `bytes`, what
            `scores` gives and `relative` (fraction) whatever there is; the rest shows as a dash.

    Returns:
        Lines, the last one ended too.
    """

    def order(row: Mapping[str, Any]) -> tuple[int, int, str]:
        return KINDS.index(row["kind"]), row.get("parameters") or 0, row["name"]

    other = SEVERAL if any("micro_f1" in row for row in rows) else {}
    lines: list[tuple[str, ...]] = [
        tuple(other.get(heading, heading) for heading in HEADINGS),
        ("---", "---") + ("---:",) * (len(HEADINGS) - 2),
        *map(_cells, sorted(rows, key=order)),
    ]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def speeds(timings: Mapping[str, Mapping[str, float]], peer: str) -> str:
    """Lay out what `timing.throughput` measured, fastest first.

    Args:
        timings: what `throughput` gave, by the name of the model.
        peer: the model that the others are compared with.
    """
    lines = [("model", "ms per text", "texts per s", f"texts per s, {inert(peer)} = 1"), ("---", *("---:",) * 3)]
    whole = timings[peer]["texts_per_second"]
    for name, timing in sorted(timings.items(), key=lambda item: -item[1]["texts_per_second"]):
        rate = timing["texts_per_second"]
        lines.append((inert(name), f"{timing['milliseconds_per_text']:.3g}", f"{rate:,.0f}", f"{rate / whole:.3g}"))
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def sentence(first: str, second: str, test: Mapping[str, Any]) -> str:
    """Say in words what a paired test found.

    Args:
        first: what to call the first model, as in "the student".
        second: what to call the second, as in "the teacher"; Markdown both.
        test: what `scores.mcnemar` gave for the two.
    """
    points, low, high = (100 * test[f"difference{end}"] for end in ("", "_low", "_high"))
    if points < 0:
        low, high = -high, -low
    more = "less" if points < 0 else "more"
    p = "p < 0.0001" if test["p"] < 1e-4 else f"p = {test['p']:.2g}"
    verdict = "the difference is more than chance" if test["p"] < 0.05 else "the difference may be chance"
    found = (
        f"{first} is {abs(points):.2f} points {more} accurate than {second} "
        f"(95% interval {_signed(low)} to {_signed(high)})"
        if points
        else f"{first} and {second} are equally accurate (95% interval of the difference "
        f"{_signed(low)} to {_signed(high)} points)"
    )
    return (
        f"{found[0].upper()}{found[1:]}: {test['only_first']:,} texts only {first} gets right, "
        f"{test['only_second']:,} only {second} (exact McNemar test, {p}), so {verdict}.\n"
    )


def size(count: float) -> str:
    """Write a number of bytes in decimal units: 320 kB, 90.9 MB."""
    return _short(count, (" B", " kB", " MB", " GB"))


def thousands(count: float) -> str:
    """Write a number in few letters: 950, 4.2K, 22.7M."""
    return _short(count, ("", "K", "M", "B"))


def _short(count: float, units: Sequence[str]) -> str:
    for unit in units[:-1]:
        if count < 999.5:
            return f"{count:.3g}{unit}"
        count /= 1000
    return f"{count:,.3g}{units[-1]}"


def amount(count: int) -> str:
    """Write a number of parameters: 80,102 in full below a million, then 22.7M."""
    return f"{count:,}" if count < 1_000_000 else f"{count / 1e6:,.1f}M"


def _cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    def shown(key: str, form: str, scale: float = 1) -> str:
        return MISSING if row.get(key) is None else format(scale * row[key], form)

    accuracy = shown("accuracy", ".2f", 100)
    if row.get("accuracy_low") is not None:
        accuracy += f" ({100 * row['accuracy_low']:.1f}–{100 * row['accuracy_high']:.1f})"
    return (
        inert(row["name"]),
        row["kind"],
        accuracy,
        shown("macro_f1", ".2f", 100),
        shown("micro_f1", ".2f", 100) if "micro_f1" in row else shown("matthews", ".3f"),
        shown("agreement", ".2f", 100),
        shown("relative", ".1f", 100),
        MISSING if row.get("parameters") is None else amount(row["parameters"]),
        MISSING if row.get("bytes") is None else size(row["bytes"]),
    )


def _signed(points: float) -> str:
    return f"{points:+.2f}".replace("-", "−")
