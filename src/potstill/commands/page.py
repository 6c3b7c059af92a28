"""Write an HTML page that classifies text in the browser, without a server."""

import argparse

from potstill.bulk.write import output
from potstill.commands.common import add_model, add_output, load, over_words
from potstill.core.errors import MAX_NAMES, visible
from potstill.core.markdown import NAME, cut
from potstill.readers.formats import STANDARD
from potstill.runtime.model import Classifier, Student
from potstill.terminal import Parser, text
from potstill.web.page import page


def arguments(parser: Parser) -> None:
    """Add the options."""
    add_model(parser)
    add_output(parser, required=True, help="the file to write, such as demo.html; or -")
    parser.add_argument("--title", type=text, help="title of the page (default: its classes)")


def run(args: argparse.Namespace) -> None:
    """Write the page."""
    student, content = load(args.model)
    html = render(over_words(student, args.model, "a page"), content, args.title).encode()
    with output(args.output, args.model, overwrite=args.overwrite) as stream:
        stream.write(html)
    if args.output != STANDARD:
        print(visible(f"{args.output}: {len(html):,} bytes"))


def render(student: Student, content: bytes, heading: str | None = None) -> str:
    """Return the HTML of the page for a student.

    Args:
        student: the student.
        content: the bytes of its file.
        heading: the title; None for one that names the classes.
    """
    return page(content, heading or title(student, NAME), heading or title(student))


def title(student: Classifier, name_length: int | None = None) -> str:
    """Return a title that names the classes, each cut to `name_length` characters."""
    if len(student.labels) > MAX_NAMES:
        return f"Which of {len(student.labels):,} classes?"
    labels = [visible(label) for label in student.labels]
    labels = [cut(label, name_length) for label in labels] if name_length else labels
    if student.thresholds is not None:
        return f"Which of {', '.join(labels)}?"
    return f"Is it {', '.join(labels[:-1])} or {labels[-1]}?"
