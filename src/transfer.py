"""Stage `transfer`: the transfer set, every text with the mean logits of the labelling teachers.

It is a stage of its own so that every output has one maker: a teacher is added or left out without labelling
anything twice, and `dvc exp run --pull` finds all that a student needs in one place.
"""

from potstill.start import run

from potstill import files, paths
from potstill.cost import record_resources
from potstill.errors import PotstillError
from potstill.params.label import LabelParams
from potstill.params.prepare import PrepareParams
from potstill.teacher.average import merge


@record_resources(paths.METRICS / "transfer" / "resources.json")
def main() -> None:
    """Read the pool and `data/label/<teacher>` of each; write `data/transfer`."""
    teachers = LabelParams.load().teachers
    files.warn_unused(paths.METRICS / "label", teachers, "label.teachers")
    answers = [paths.LABEL / name / "logits.parquet" for name in teachers]
    for name, path in zip(teachers, answers, strict=True):
        if not path.is_file():
            raise PotstillError(f"{path} is missing: run `dvc pull label@{name}` or `dvc repro`")
    with files.atomic_write(paths.TRANSFER) as folder:
        folder.mkdir()
        labelled, rows = merge(paths.POOL / "pool.parquet", answers, folder, PrepareParams.load().multi_label)
        if not labelled:
            raise PotstillError(f"{', '.join(teachers)} has no answer for any text of the pool: let the table cover it")
    print(f"{labelled:,} of {rows:,} texts labelled by {', '.join(teachers)}")


if __name__ == "__main__":
    run(main)
