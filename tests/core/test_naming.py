import contextlib

import pytest

from potstill.core import naming
from potstill.runtime import file
from tests.prepare_project import Project, rows


@pytest.mark.parametrize(
    ("labels", "says"),
    [
        (("very\nbad", "good"), r"the class 'very\nbad' has a line break or another control character"),
        (("tab\tbed", "good"), r"the class 'tab\tbed' has a line break or another control character"),
        (("a" * 40_000, "b" * 40_000), "the names of the 2 classes have 80,001 bytes together"),
    ],
)
def test_names_that_a_model_file_cannot_hold_are_refused(
    project: Project,
    labels: tuple[str, str],
    says: str,
) -> None:
    project.table("train.csv", rows(40, labels=labels))
    project.fails(says)
    named = rows(40, labels=(0, 1))
    project.table("train.csv", named)
    project.fails(says, label_names=list(labels))


def test_the_bytes_of_names_are_what_the_header_holds():
    assert naming.find_fault(["a" * naming.LARGEST]) is None
    assert naming.find_fault(["a" * (naming.LARGEST + 1)])
    file._Header.layout(0)[1].pack(*[0] * 11, naming.LARGEST)
    with contextlib.suppress(file.struct.error):
        file._Header.layout(0)[1].pack(*[0] * 11, naming.LARGEST + 1)
        pytest.fail("the header holds more")
