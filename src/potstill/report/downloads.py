"""Files that the page holds: the model, and tables of errors, of probable label errors and of texts to label."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from potstill.report.to_label import COLUMNS
from potstill.web.page import data_url

LIMIT = 1_500_000  # bytes of a file; as the address of a link it is a third longer, and browsers take up to 2 MB

# A cell that begins with one of these is a formula for Excel, and texts may come from anybody. An apostrophe in front
# makes it a text, as OWASP recommends ("CSV injection").
FORMULA = ("=", "+", "-", "@", "\t", "\r")

ERRORS = ("text", "actual", "predicted", "confidence", "teacher")


def collect(content: bytes, runs: bool, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return the files that the page holds.

    Args:
        content: the bytes of the model file.
        runs: whether the model runs in a page.
        facts: the result of `facts.collect`.

    Returns:
        `model`, the address of a link that holds the model file, or None if it is too large; `runs`; and `errors`,
        `suspects` and `to_label`, see `table`.
    """
    return {
        "model": data_url(content) if len(content) <= LIMIT else None,
        "runs": runs,
        "errors": table(facts["error_analysis"]["all_errors"], ERRORS),
        "suspects": table(facts["label_errors"]["all_rows"], COLUMNS),
        "to_label": table(facts["to_label"], COLUMNS),
    }


def table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], limit: int = LIMIT) -> dict[str, Any] | None:
    """Return a link's address that holds a CSV file, which spreadsheets read as UTF-8.

    Args:
        rows: the rows of the table.
        columns: the keys of the rows, which the table has as columns.
        limit: the largest number of bytes; rows at the end are left out if there are too many.

    Returns:
        `href`, the address; `rows`, how many the file has; `total`, how many there are. None without rows.
    """
    frame = pd.DataFrame(list(rows), columns=list(columns))
    content = csv(frame)
    while len(content) > limit and len(frame):
        frame = frame.head(int(len(frame) * 0.9 * limit / len(content)))
        content = csv(frame)
    return {"href": data_url(content, "text/csv"), "rows": len(frame), "total": len(rows)} if len(frame) else None


def csv(frame: pd.DataFrame) -> bytes:
    """Return a table as CSV that spreadsheets read as UTF-8."""
    frame = frame.map(lambda cell: f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULA) else cell)
    return frame.to_csv(index=False, float_format="%.4f").encode("utf-8-sig", "backslashreplace")
