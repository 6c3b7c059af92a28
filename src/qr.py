"""Write the student as a QR code: `make qr`.

Any reader that gives a code's bytes gives back the file that `potstill.runtime` loads, bit for bit.
"""

import argparse
from pathlib import Path

from potstill import files, paths
from potstill.errors import run
from potstill.qr import encode
from potstill.runtime.model import FILE, Student


def main() -> None:
    """Read a student's file; write a picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--student", type=Path, default=paths.STUDENT / FILE, help="a student's file (%(default)s)")
    parser.add_argument("--image", type=Path, default=Path("qr.png"), help="the picture to write (%(default)s)")
    arguments = parser.parse_args()
    student = Student.load(arguments.student)
    code = encode(arguments.student)
    with files.whole(arguments.image) as part:
        code.save(str(part), kind="png", scale=4, border=4)
    size = arguments.student.stat().st_size
    print(
        f"{arguments.image}: QR code version {code.version}-{code.error}, {size:,} bytes, "
        f"a classifier of {student.parameters:,} parameters for {', '.join(student.labels)}"
    )


if __name__ == "__main__":
    run(main)
