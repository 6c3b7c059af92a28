"""Stage `ensemble`: write the transfer set, the texts of the pool with the mean logits of the teachers.

It is a stage of its own so that a teacher can be added or left out without labelling again, and so that
`dvc exp run --pull` needs one output for a student.
"""

from potstill.core.start import run

from potstill.core import files, paths
from potstill.core.errors import PotstillError
from potstill.core.params import section
from potstill.core.resources import record_resources
from potstill.data import transfer
from potstill.scoring.ensemble import merge


@record_resources("ensemble")
def main() -> None:
    """Read the pool and `data/label/<teacher>` of each; write `data/ensemble`."""
    teachers = section("label").load().teachers
    files.warn_unused(paths.METRICS / "label", teachers, "label.teachers")
    labelled = [paths.LABEL / name / "logits.parquet" for name in teachers]
    for name, path in zip(teachers, labelled, strict=True):
        if not path.is_file():
            raise PotstillError(f"{path}: no such file. Run `dvc pull label@{name}` or `dvc repro`.")
    with files.atomic_write(paths.ENSEMBLE) as folder:
        folder.mkdir()
        written, rows = merge(paths.POOL / "pool.parquet", labelled, folder, section("prepare").load().multi_label)
        if not transfer.sources(folder):
            raise PotstillError(
                f"{', '.join(teachers)}: no probabilities for any text of the pool. Add these texts to the table."
            )
    print(f"{written:,} of {rows:,} texts labelled by {', '.join(teachers)}")


if __name__ == "__main__":
    run(main)
