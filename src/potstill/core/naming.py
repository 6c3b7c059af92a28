"""Which class names a model file can hold."""

import unicodedata
from collections.abc import Sequence

SEPARATOR = "\n"  # between the names in the file
LARGEST = (1 << 16) - 1  # bytes of all names with their separators


def find_fault(labels: Sequence[str]) -> str | None:
    """Return what is wrong with class names and how to fix it; None if a model file can hold them."""
    seen: set[str] = set()
    for i, label in enumerate(labels):
        if not label.strip():
            return f"class {i} has an empty name: give it one"
        if label in seen:
            return f"two classes are named {label!r}: rename or merge them"
        seen.add(label)
        # Controls, line and paragraph separators, surrogates.
        if any(unicodedata.category(char) in ("Cc", "Zl", "Zp", "Cs") for char in label):
            return f"the class {label!r} has a line break or another control character in its name: rename it"
    size = len(SEPARATOR.join(labels).encode())
    if size > LARGEST:
        return (
            f"the names of the {len(labels):,} classes have {size:,} bytes together, and a model file holds at most "
            f"{LARGEST:,}: shorten them"
        )
    return None
