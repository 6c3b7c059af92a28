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
    parts = demo() | {
        "title": html.escape(title),
        "tooltip": "" if tooltip in ("", title) else f' title="{html.escape(tooltip)}"',
        "model": data_url(student),
    }
    return re.sub(r"\{\{(\w+)\}\}", lambda match: parts[match[1]], _read("page.html"))


def demo() -> dict[str, str]:
    """Return the parts of the live demo, for a page with a link `#model` to the model file as a data URL.

    Returns:
        `style`, CSS; `form`, HTML; `script`, a JavaScript module.
    """
    return {
        "style": _read("demo.css"),
        "form": _read("demo.html"),
        "script": f"{_read('student.js')}\n{_read('demo.js')}",
    }


def data_url(content: bytes, kind: str = "application/octet-stream") -> str:
    """Return the address of a link that holds a file of a media type."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def _read(name: str) -> str:
    return files(__package__).joinpath(name).read_text("utf-8")


def plain(title: str) -> str:
    """Return the HTML of a page for a student that runs on a server only.

    Args:
        title: title of the page, plain text.
    """
    heading = html.escape(title)
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'">'
        f"<title>{heading}</title><h1>{heading}</h1>"
        "<p>This model does not run in a browser. Send texts to <code>/predict</code>, as "
        '<a href="/openapi.json">openapi.json</a> describes; <a href="/model">/model</a> describes the model.</p>\n'
    )
