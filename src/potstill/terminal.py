"""What is read from a terminal and printed to it, such that no label, fact or file name can drive it."""

import argparse
import json
import math
import os
import re
from typing import Any, NoReturn

from potstill.errors import SURROGATE, visible

NOT_ASCII = re.compile(r"[^\n -~]+")  # and DEL; line feeds in JSON are of its indentation, those of strings are escaped


class Parser(argparse.ArgumentParser):
    """A parser of arguments that says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        """End the process with status 2 and one line."""
        self.exit(2, f"error: {visible(message)}. `{self.prog} --help` lists the options.\n")


def text(value: str) -> str:
    """The type of an argument that is text, not a path: what the locale does not know is read as UTF-8."""
    try:
        return os.fsencode(value).decode() if SURROGATE.search(value) else value
    except UnicodeError:
        raise argparse.ArgumentTypeError(f"must be UTF-8 (found: {value[:50]!r})") from None


def as_json(value: Any, indent: int | None = None) -> str:
    r"""Return `value` as JSON; what `visible` escapes is escaped as `\u001b` is, which every reader reads back.

    A number that is not finite, of which JSON knows none, becomes null.
    """
    return escaped(json.dumps(finite(value), ensure_ascii=False, indent=indent))


def escaped(text: str) -> str:
    r"""Return JSON with what `visible` escapes escaped as `\u001b` is."""
    return text if text.isprintable() else NOT_ASCII.sub(_escaped, text)  # which is slow, and rarely needed


def _escaped(run: re.Match[str]) -> str:
    return "".join(char if visible(char) == char else json.dumps(char)[1:-1] for char in run[0])


def finite(value: Any) -> Any:
    """Return `value`, of lists, dicts and what they may hold in JSON, with None for numbers that are not finite."""
    if isinstance(value, dict):
        return dict(zip(value, map(finite, value.values()), strict=True))
    if isinstance(value, list):
        return list(map(finite, value))
    return None if isinstance(value, float) and not math.isfinite(value) else value
