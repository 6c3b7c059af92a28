"""Write the student as a QR code: `make qr`.

Any reader that gives a code's bytes gives back a file that `potstill.Student` loads, bit for bit: all of the student's
but what it says of itself.
"""

from potstill.start import run

from dataclasses import replace
from pathlib import Path

from potstill import paths
from potstill.bulk.formats import STANDARD
from potstill.bulk.write import output
from potstill.errors import join_names, visible
from potstill.qr import encode
from potstill.runtime.model import FILE, Student
from potstill.terminal import Parser


def main() -> None:
    """Read a student's file; write a picture."""
    parser = Parser(description=__doc__.splitlines()[0])
    parser.add_argument("--student", type=Path, default=paths.EXPORT / FILE, help="a student's file (%(default)s)")
    parser.add_argument("--image", default="qr.png", help="the picture to write, or - (%(default)s)")
    arguments = parser.parse_args()
    student = Student.load(arguments.student)
    data = replace(student, facts={}).to_bytes()
    code = encode(data)
    with output(arguments.image, arguments.student) as stream:
        code.save(stream, kind="png", scale=4, border=4)
    said = (
        f"{arguments.image}: QR code version {code.version}-{code.error}, {len(data):,} bytes, "
        f"a classifier of {student.parameters:,} parameters for {join_names(student.labels)}"
    )
    if arguments.image != STANDARD:
        print(visible(said))


if __name__ == "__main__":
    run(main)
