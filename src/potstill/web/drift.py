"""A page that shows how texts differ from the validation texts, in one file."""

import html
import re
from collections.abc import Iterator
from importlib.resources import files

from potstill.core.errors import visible
from potstill.runtime.drift import Change, Drift

SHOWN = 30  # bins of a trait, at most


def page(drift: Drift) -> str:
    """Return the HTML of the page; it quotes the unknown words, and no text."""
    found = [change.trait for change in drift.changes if change.drifted]
    score = "agreement with its teacher" if drift.score == "agreement" else "accuracy"
    accuracy = f"{drift.expected_accuracy:.1%} (validation: {drift.validation_accuracy:.1%})"
    parts = {
        "title": f"Drift in {', '.join(found)}" if found else "No drift",
        "class": "drift" if found else "none",
        "summary": f"{drift.texts:,} texts, compared with {drift.validation_texts:,} validation texts. "
        f"Expected {score}: {accuracy}, an estimate from confidences.",
        "test": f"Of texts like the validation texts, at most {drift.alpha:g} of such comparisons show drift. "
        f"A trait has drifted if its p-value is at most that, and {drift.min_effect:.0%} of texts are in other bins.",
        "traits": "\n".join(map(_trait, drift.changes)),
        "words": _words(drift),
    }
    template = files(__package__).joinpath("drift.html").read_text("utf-8")
    return re.sub(r"\{\{(\w+)\}\}", lambda match: parts[match[1]], template)


def _trait(change: Change) -> str:
    verdict = "drift" if change.drifted else "no drift"
    p = f"p = {change.p:.4f}" if change.p >= 0.0001 else "p < 0.0001"
    heading = f"{change.trait}: {change.effect:.1%} in other bins, {p}, <span>{verdict}</span>"
    return f"<h2{' class=drift' * change.drifted}>{heading}</h2>\n<table>{''.join(_bins(change))}</table>"


def _bins(change: Change) -> Iterator[str]:
    """Yield a row per bin that has texts; of very many, those whose shares have changed most."""
    before, now = (sum(counts) for counts in (change.before, change.now))
    rows = [
        (name, old / before, new / now)
        for name, old, new in zip(change.bins, change.before, change.now, strict=True)
        if old or new
    ]
    changed = sorted(rows, key=lambda row: -abs(row[2] - row[1]))[:SHOWN]
    longest = max(max(row[1:]) for row in rows)
    if len(rows) > SHOWN:
        yield f"<caption>the {SHOWN} of {len(rows):,} that changed most</caption>"
    for name, old, new in rows if len(rows) <= SHOWN else changed:
        bars = "".join(
            f'<div class="bar{kind}" style="width: {100 * share / longest:.1f}%"></div>'
            for kind, share in (("", old), (" now", new))
        )
        yield f"<tr><th>{html.escape(visible(name))}<td>{bars}<td>{old:.1%} → {new:.1%}"


def _words(drift: Drift) -> str:
    if not drift.unknown_words:
        return ""
    named = ", ".join(f"{html.escape(visible(word))} ({count:,})" for word, count in drift.unknown_words)
    return f"<h2>Most frequent words outside the vocabulary</h2>\n<p>{named}; in parentheses, texts that have them.</p>"
