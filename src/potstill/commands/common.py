"""Arguments that several commands have."""

import argparse
import re
from pathlib import Path

from potstill.runtime.model import Student
from potstill.terminal import Parser

MAX_COUNT = 2**31 - 1


def add_model(parser: Parser) -> None:
    """Add the argument `model`."""
    parser.add_argument("model", type=Path, help="a potstill model file, such as models/export/student.pot")


def count(value: str) -> int:
    """Parse a positive integer.

    Raises:
        ArgumentTypeError: it is none, or larger than `MAX_COUNT`.
    """
    if not re.fullmatch("[0-9]{1,10}", value) or not 0 < int(value) <= MAX_COUNT:
        raise argparse.ArgumentTypeError(f"must be an integer from 1 to {MAX_COUNT} (found: {value[:50]!r})")
    return int(value)


def load(path: Path) -> tuple[Student, bytes]:
    """Return a student and the bytes of its file, which may be a pipe, and then can be read only once."""
    student = Student.load(path)
    return student, path.read_bytes() if path.is_file() else student.to_bytes()
