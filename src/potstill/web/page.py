"""A page that classifies while one types, in one file that needs no server."""

import base64
import html
import re
from importlib.resources import files


def page(student: bytes, title: str, whole: str = "") -> str:
    """The page's HTML, with the student and its runtime inside.

    Args:
        student: the contents of a student's file.
        title: what it is called, plain text.
        whole: the title with whole names, for a tooltip; `title` may have cut ones.
    """
    here = files(__package__)
    parts = {
        "title": html.escape(title),
        "tooltip": "" if whole in ("", title) else f' title="{html.escape(whole)}"',
        "model": base64.b64encode(student).decode(),
        "student": here.joinpath("student.js").read_text("utf-8"),
    }
    return re.sub(r"\{\{(\w+)\}\}", lambda match: parts[match[1]], here.joinpath("page.html").read_text("utf-8"))
