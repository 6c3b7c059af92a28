"""Write a model as a QR code.

A reader that returns the bytes of the code returns a file that `potstill.Student` loads: the same model, without its
facts.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import segno

from potstill.bulk.write import output
from potstill.commands.common import add_output, over_words
from potstill.core import paths
from potstill.core.errors import PotstillError, join_names, visible
from potstill.readers.formats import STANDARD
from potstill.runtime.model import FILE, Student
from potstill.terminal import Parser

CAPACITY = 2953  # bytes, in version 40 with the lowest error correction (ISO/IEC 18004)


def arguments(parser: Parser) -> None:
    """Add the options."""
    model = f"a potstill model file (default: {paths.EXPORT / FILE})"
    parser.add_argument("model", nargs="?", type=Path, default=paths.EXPORT / FILE, help=model)
    add_output(parser, default="qr.png", help="the PNG file to write, or - (default: %(default)s)")


def run(args: argparse.Namespace) -> None:
    """Write the picture."""
    student = over_words(Student.load(args.model), args.model, "a QR code")
    data = replace(student, facts={}).to_bytes()
    code = encode(data)
    with output(args.output, args.model, overwrite=args.overwrite) as stream:
        code.save(stream, kind="png", scale=4, border=4)
    if args.output != STANDARD:
        line = f"{args.output}: QR code version {code.version}-{code.error}, {len(data):,} bytes without metadata, "
        line += f"a classifier of {student.parameters:,} parameters for {join_names(student.labels)}"
        print(visible(line))


def encode(data: bytes) -> segno.QRCode:
    """Return the smallest QR code that contains a file.

    Raises:
        PotstillError: the file is larger than any QR code.
    """
    if len(data) > CAPACITY:
        raise PotstillError(
            f"the model has {len(data):,} bytes, and a QR code holds at most {CAPACITY:,}. Train one with fingerprints "
            "(`dvc exp run -S student.fingerprint_bits=4`) and, if needed, a smaller `student.vocab_size` or "
            "`student.weight_bits`."
        )
    return segno.make_qr(data, mode="byte", error="L", boost_error=False)
