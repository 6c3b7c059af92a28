"""Requests of a browser."""

import json


def requested(browser):
    """Return the addresses requested since the logs were last read; fail if the browser logged an error."""
    assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []
    sent = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    urls = {m["params"]["request"]["url"] for m in sent if m["method"] == "Network.requestWillBeSent"}
    return {url for url in urls if not url.startswith("data:")}
