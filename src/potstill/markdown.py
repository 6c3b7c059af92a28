"""Texts, labels and names from elsewhere in Markdown that GitHub or the Hugging Face hub renders."""

import re

from potstill.errors import visible

LONGEST = 240  # letters of a text that are shown, and
NAME = 50  # of a name on a page
# Letters, digits and punctuation that mean nothing in Markdown, nor to what GitHub does with the rendered text …
_PLAIN = re.compile(r"[^\W_](?:[^\W_]|[ .,;!?'\"()%…–—’|-]|:(?= ))*")
# … but for issues, advisories, addresses and commits.
_REFERENCE = re.compile(r"\b(?:(?:gh|cve|ghsa)-|www\.|[0-9a-f]{7,40}\b)|\w\.[^\W\d]", re.IGNORECASE)


def clip(text: str) -> str:
    """Return a text on one line, cut if it is long, with what nobody would see in it escaped."""
    return visible(cut(" ".join(text.split()), LONGEST))


def cut(text: str, most: int = NAME) -> str:
    """Return a text, such as a name, of at most `most` letters, the last of which is an ellipsis if there were more."""
    return text if len(text) <= most else text[: most - 1] + "…"


def inert(text: str) -> str:
    """Return Markdown that renders as the text itself, in a table's cell or elsewhere in a line.

    Plain words stay as they are, with their pipes escaped; anything else becomes `code`.

    Args:
        text: any text; white space is collapsed, and the rest cut, as by `clip`.
    """
    line = clip(text)
    plain = _PLAIN.fullmatch(line) and not _REFERENCE.search(line)
    return line.replace("|", "\\|") if plain else code(line)


def code(text: str) -> str:
    """Return a code span that renders as the text itself, in a table's cell or elsewhere in a line.

    GitHub looks for mentions, issues, commits, links, emoji and mathematics in the rendered text, where an escaped
    character is as good as a plain one, but never in code. Pipes stand between two spans, because Markdown parsers
    differ in how they read a backslash before a pipe in code.
    """
    return "\\|".join(_span(part) for part in clip(text).split("|"))


def _span(text: str) -> str:
    if not text:
        return ""
    runs = {len(run) for run in re.findall("`+", text)}
    fence = "`" * next(length for length in range(1, len(text) + 2) if length not in runs)
    # One space at each end is not part of a code span where there is one at both, unless it is all spaces.
    pad = " " if text.strip() and {text[0], text[-1]} & {"`", " "} else ""
    return f"{fence}{pad}{text}{pad}{fence}"
