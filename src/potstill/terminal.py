"""Read arguments and print text, so that no label, fact or file name can control the terminal."""

import argparse
import json
import math
import os
import re
from collections.abc import Iterable
from typing import Any, NoReturn

from potstill.core.errors import SURROGATE, visible

NOT_ASCII = re.compile(r"[^\n -~]+")  # or DEL; line feeds stay, which in JSON are indentation only


class Parser(argparse.ArgumentParser):
    """A parser of arguments whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        """End the process with status 2 and one line."""
        end = "" if message.endswith("?") else "."
        self.exit(2, f"error: {visible(message)}{end} `{self.prog} --help` lists the options.\n")


def text(value: str) -> str:
    """Parse an argument that is text, not a path: bytes that the locale cannot decode are read as UTF-8."""
    try:
        return os.fsencode(value).decode() if SURROGATE.search(value) else value
    except UnicodeError:
        raise argparse.ArgumentTypeError(f"must be UTF-8 (found: {value[:50]!r})") from None


def as_json(value: Any, indent: int | None = None) -> str:
    r"""Return `value` as JSON, with the characters that `visible` escapes written as `\u001b`.

    Numbers that are not finite become null, since JSON has none.
    """
    return escaped(json.dumps(finite(value), ensure_ascii=False, indent=indent))


def escaped(text: str) -> str:
    r"""Return JSON with the characters that `visible` escapes written as `\u001b`."""
    return text if text.isprintable() else NOT_ASCII.sub(_escaped, text)  # the pattern is slow, and rarely needed


def _escaped(run: re.Match[str]) -> str:
    return "".join(char if visible(char) == char else json.dumps(char)[1:-1] for char in run[0])


def finite(value: Any) -> Any:
    """Return a value of JSON with None in place of numbers that are not finite."""
    if isinstance(value, dict):
        return dict(zip(value, map(finite, value.values()), strict=True))
    if isinstance(value, list):
        return list(map(finite, value))
    return None if isinstance(value, float) and not math.isfinite(value) else value


def suggestion(name: str, known: Iterable[str]) -> str:
    """Return which known name an unknown one may stand for, as a question; empty if none is similar."""
    import difflib  # only for errors, so that no command pays for it when it starts

    similar = difflib.get_close_matches(name, known, n=1)
    return f"Did you mean {similar[0]!r}?" if similar else ""
