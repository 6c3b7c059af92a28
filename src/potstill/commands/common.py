"""Arguments that commands share."""

import argparse
import csv
import math
import re
from pathlib import Path
from typing import Any

from potstill.core.errors import PotstillError
from potstill.runtime.model import Classifier, Student
from potstill.terminal import Parser, text


def add_model(parser: Parser) -> None:
    """Add the argument `model`."""
    parser.add_argument("model", type=Path, help="a potstill model file, such as models/export/student.pot")


def add_output(parser: Parser, **options: Any) -> None:
    """Add the options `-o`, for which `options` are those of `add_argument`, and `--overwrite`."""
    parser.add_argument("-o", "--output", **options)
    parser.add_argument("--overwrite", action="store_true", help="replace the output if it exists")


def columns(value: str) -> list[str]:
    """Parse the names of columns, separated by commas; quotes as in CSV let a name contain one.

    Raises:
        ArgumentTypeError: a name is empty, or there twice.
    """
    [names] = csv.reader([text(value)]) if value and len(value.splitlines()) == 1 else [[value]]
    if not all(names) or len(set(names)) < len(names):
        raise argparse.ArgumentTypeError(f"must be different names, separated by commas (found: {value[:50]!r})")
    return names


def count(value: str) -> int:
    """Parse a positive integer."""
    return integer(value, 1, 2**31 - 1)


def integer(value: str, least: int, most: int) -> int:
    """Parse a non-negative integer.

    Raises:
        ArgumentTypeError: it is not an integer, or outside the bounds.
    """
    if not re.fullmatch("[0-9]{1,10}", value) or not least <= int(value) <= most:
        raise argparse.ArgumentTypeError(f"must be an integer from {least} to {most} (found: {value[:50]!r})")
    return int(value)


def number(value: str, least: float, most: float, kind: str) -> float:
    """Parse a number within bounds, which `kind` describes.

    Raises:
        ArgumentTypeError: it is not a number, or outside the bounds.
    """
    try:
        parsed = float(value)
    except ValueError:
        parsed = math.nan
    if not least <= parsed <= most:
        raise argparse.ArgumentTypeError(f"must be {kind} (found: {value[:50]!r})")
    return parsed


def load(path: Path) -> tuple[Classifier, bytes]:
    """Return a student and the bytes of its file, which may be a pipe, and then can be read only once."""
    student = Student.load(path)
    return student, path.read_bytes() if path.is_file() else student.to_bytes()


def over_words(student: Classifier, path: Path, what: str) -> Student:
    """Return a student if it is one over words.

    Args:
        student: the student.
        path: its file.
        what: what requires one, for the message.

    Raises:
        PotstillError: it is a small Transformer.
    """
    if not isinstance(student, Student):
        raise PotstillError(
            f"{path}: {what} requires a student over words (found: {student.architecture}). Train one, as with "
            "`dvc exp run -S student.architecture=bigru`."
        )
    return student
