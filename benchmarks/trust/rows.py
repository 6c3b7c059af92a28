"""The rows of `results.json`: each says how often a promise was kept (or something was found) in so many redraws."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from potstill.core import files

RESULTS = Path(__file__).parent / "results.json"
KEYS = ("task", "what", "target", "held", "draws")  # every row has these; it may have others


def write(rows: Sequence[dict[str, Any]], path: Path = RESULTS) -> None:
    """Write rows, in place of those there with the same `what`; the others stay."""
    for row in rows:
        if missing := [key for key in KEYS if key not in row]:
            raise ValueError(f"a row has no {missing[0]!r}: {row}")
    replaced = {row["what"] for row in rows}
    kept: Iterable[Any] = files.read_json(path, kind=list) if path.is_file() else ()
    files.write_json(path, [*(row for row in kept if row["what"] not in replaced), *rows])
