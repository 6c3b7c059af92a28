"""The page of `/docs`: the interface, from its OpenAPI schema.

FastAPI's own pages load scripts from other hosts; this one loads nothing, and runs no script.
"""

import html
import json
from typing import Any

EXAMPLE = (
    """curl -s http://127.0.0.1:8000/predict -H 'Content-Type: application/json' -d '{"texts": ["one", "another"]}'"""
)
STYLE = (
    "body{max-width:50rem;margin:2rem auto;padding:0 1rem;font-family:sans-serif}"
    "pre{overflow:auto;padding:.5rem;border:1px solid #999}"
)


def page(schema: dict[str, Any]) -> str:
    """Return the HTML of the page.

    Args:
        schema: the OpenAPI schema of the app.
    """
    title = html.escape(f"{schema['info']['title']} {schema['info']['version']}")
    parts = [
        f'<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f"<title>{title}</title><style>{STYLE}</style><h1>{title}</h1>"
        '<p>For programs: <a href="openapi.json">openapi.json</a>. Metrics for Prometheus: '
        '<a href="metrics">metrics</a>. A page to try the model: <a href="./">here</a>.</p>',
        _block(EXAMPLE),
    ]
    for path, operations in schema["paths"].items():
        for method, operation in operations.items():
            parts.append(f"<h2><code>{method.upper()} {html.escape(path)}</code></h2>")
            parts.append(f"<p>{html.escape(operation['description'])}</p>")
            if body := operation.get("requestBody"):
                parts.append(f"<h3>Request</h3>{_schema(body)}")
            for status, response in operation["responses"].items():
                parts.append(f"<h3>Response {html.escape(status)}</h3>{_schema(response)}")
    parts.append("<h2>Schemas</h2>")
    for name, definition in schema["components"]["schemas"].items():
        parts.append(f'<h3 id="{html.escape(name)}">{html.escape(name)}</h3>{_block(_json(definition))}')
    return "".join(parts) + "</html>\n"


def _schema(message: dict[str, Any]) -> str:
    """Return the schema of a request or a response, or a link to it."""
    [content] = message["content"].values()
    if name := content["schema"].get("$ref", "").rpartition("/")[2]:
        return f'<p><a href="#{html.escape(name)}">{html.escape(name)}</a></p>'
    return _block(_json(content["schema"]))


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)


def _block(text: str) -> str:
    return f"<pre>{html.escape(text)}</pre>"
