"""Escape untrusted texts, labels and names for Markdown that GitHub or the Hugging Face hub renders."""

import re

from potstill.core.errors import visible

LONGEST = 240  # characters of a text
NAME = 50  # characters of a name on a page
# Letters, digits and punctuation without a meaning in Markdown or in GitHub's processing of the rendered text …
_PLAIN = re.compile(r"[^\W_](?:[^\W_]|[ .,;!?'\"()%…–—’|-]|:(?= ))*")
# … except in references to issues, advisories, addresses and commits.
_REFERENCE = re.compile(r"\b(?:(?:gh|cve|ghsa)-|www\.|[0-9a-f]{7,40}\b)|\w\.[^\W\d]", re.IGNORECASE)


def clip(text: str) -> str:
    """Return a text on one line, truncated to `LONGEST`, with invisible characters escaped."""
    return visible(cut(" ".join(text.split()), LONGEST))


def cut(text: str, most: int = NAME) -> str:
    """Truncate a text to `most` characters, the last of which is then an ellipsis."""
    return text if len(text) <= most else text[: most - 1] + "…"


def escape(text: str) -> str:
    """Return Markdown that renders as the text itself, in a table's cell or elsewhere in a line.

    Plain words are kept, with pipes escaped; anything else becomes a code span. The text is clipped by `clip`.
    """
    line = clip(text)
    plain = _PLAIN.fullmatch(line) and not _REFERENCE.search(line)
    return line.replace("|", "\\|") if plain else code(line)


def code(text: str) -> str:
    """Return a code span that renders as the text itself, in a table's cell or elsewhere in a line.

    GitHub looks for mentions, issues, commits, links, emoji and mathematics in the rendered text, where escaping does
    not help, but not in code. Pipes are put between two spans, because Markdown parsers differ in how they read a
    backslash before a pipe in code.
    """
    return "\\|".join(_span(part) for part in clip(text).split("|"))


def _span(text: str) -> str:
    if not text:
        return ""
    runs = {len(run) for run in re.findall("`+", text)}
    fence = "`" * next(length for length in range(1, len(text) + 2) if length not in runs)
    # A code span that begins and ends with a space loses one at each end, unless it is all spaces.
    pad = " " if text.strip() and {text[0], text[-1]} & {"`", " "} else ""
    return f"{fence}{pad}{text}{pad}{fence}"
