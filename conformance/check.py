"""Check the potstill that is installed, kernel included, against the conformance files; it requires numpy alone.

    python conformance/check.py

The release workflow runs it on every wheel, with every version of Python.
"""

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from potstill import Student
from potstill.runtime import fast

FOLDER = Path(__file__).parent
TOLERANCE = 1e-5  # of a probability


def main() -> None:
    """Compare all files of pot1."""
    if fast.kernel is None:
        sys.exit("the C kernel is missing: it was not compiled")
    given = json.loads((FOLDER / "expected.json").read_text("utf-8"))
    checked = 0
    for name, answer in given["files"].items():
        if name.startswith("transformer-"):  # requires onnxruntime
            continue
        made = Student.load(FOLDER / name)
        without_kernel = replace(made)
        without_kernel.__dict__["_kernel"] = None
        for student in (made, without_kernel):
            found = student.predict_proba(given["texts"])
            np.testing.assert_allclose(found, answer["probabilities"], atol=TOLERANCE, err_msg=name)
            if "in_scope" in answer:
                np.testing.assert_array_equal(student.in_scope(given["texts"]), answer["in_scope"], name)
        checked += 1
    print(f"{checked} files agree, with the kernel and without, in Python {sys.version.split()[0]}")


if __name__ == "__main__":
    main()
