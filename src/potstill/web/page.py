"""A web page that classifies texts while they are typed, in one file and without a server."""

import base64
import html
import re
from importlib.resources import files


def page(student: bytes, title: str, tooltip: str = "") -> str:
    """Return the HTML of the page, which contains the student and its runtime.

    Args:
        student: the bytes of a model file.
        title: title of the page, plain text.
        tooltip: the title with names that are not truncated.
    """
    here = files(__package__)
    parts = {
        "title": html.escape(title),
        "tooltip": "" if tooltip in ("", title) else f' title="{html.escape(tooltip)}"',
        "model": base64.b64encode(student).decode(),
        "student": here.joinpath("student.js").read_text("utf-8"),
    }
    return re.sub(r"\{\{(\w+)\}\}", lambda match: parts[match[1]], here.joinpath("page.html").read_text("utf-8"))
