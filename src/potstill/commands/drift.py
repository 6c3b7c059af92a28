"""Say whether texts differ from those that a model was validated on."""

import argparse
from collections.abc import Iterator, Sequence
from contextlib import nullcontext, suppress
from dataclasses import asdict
from functools import partial

from potstill.bulk.predict import Progress
from potstill.bulk.write import output
from potstill.commands.common import add_model, add_output, columns, number
from potstill.core.errors import PotstillError, visible
from potstill.readers import propose
from potstill.readers.formats import FORMATS, STANDARD, format_of
from potstill.readers.read import read
from potstill.readers.request import BadRows
from potstill.runtime.drift import ALPHA, LEAST_ALPHA, MIN_EFFECT, drift
from potstill.runtime.model import Student, as_list
from potstill.terminal import Parser, as_json
from potstill.web.drift import page


def arguments(parser: Parser) -> None:
    """Add the options."""
    add_model(parser)
    add = parser.add_argument
    formats = "txt, csv, tsv or jsonl, also as .gz or .zst; or parquet (default: -, standard input)"
    add("input", nargs="?", default=STANDARD, help=formats)
    add("--input-format", choices=FORMATS, help="default: by the file's suffix; txt for standard input")
    joined = "columns, or keys, of the text, separated by commas; several are joined by a space, as by `prepare.text`"
    add("--text", "--column", type=columns, metavar="NAMES", default=["text"], help=f"{joined} (default: text)")
    add(
        "--alpha",
        type=partial(number, least=LEAST_ALPHA, most=0.5, kind=f"a number from {LEAST_ALPHA} to 0.5"),
        metavar="P",
        default=ALPHA,
        help="false-alarm rate (default: %(default)s)",
    )
    add(
        "--min-effect",
        type=partial(number, least=0, most=1, kind="a number from 0 to 1"),
        metavar="SHARE",
        default=MIN_EFFECT,
        help="least share of texts in other bins that counts as drift (default: %(default)s)",
    )
    add("--skip-bad", action="store_true", help="skip rows without a valid text")
    add("--fail", action="store_true", help="exit with status 1 if there is drift")
    add("--json", action="store_true", help="print JSON")
    add_output(parser, help="also write a page with a picture, such as drift.html")


def run(args: argparse.Namespace) -> None:
    """Print what differs, and write the page.

    Raises:
        PotstillError: the model has no profile, or the file cannot be read.
        SystemExit: with status 1, there is drift and `--fail` is set.
    """
    if args.output == STANDARD:
        raise PotstillError("--output: must be a file (found: -, where the table is printed). Name one.")
    student = Student.load(args.model)
    sources = [args.model, *([] if args.input == STANDARD else [args.input])]
    with output(args.output, *sources, overwrite=args.overwrite) if args.output else nullcontext() as stream:
        found = drift(student, _batches(args), args.alpha, args.min_effect)
        if stream:
            stream.write(page(found).encode())
    with suppress(BrokenPipeError):  # the status matters more
        if args.json:
            print(as_json({"drifted": found.drifted, **asdict(found)}, indent=2))
        else:
            print("\n".join(map(visible, found.lines())))
    if args.fail and found.drifted:
        raise SystemExit(1)


def _batches(args: argparse.Namespace) -> Iterator[Sequence[str]]:
    """Yield the texts of the input, batch by batch."""
    kind = format_of(args.input, args.input_format, "txt")
    advise = propose.advise(args.input, kind, dict.fromkeys(args.text, "--text"), propose.option)
    skipped = BadRows(0 if args.skip_bad else None)
    with Progress() as progress:
        for batch in read(args.input, kind, args.text, skipped, len(args.text), advise=advise):
            yield as_list(batch.texts)
            progress.update(len(batch.numbers))
